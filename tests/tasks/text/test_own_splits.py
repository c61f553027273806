"""A data set's own splits: used as they are, what is missing divided from training, and what they share counted."""

import json

import pytest

from mythos_lab.tasks import Text
from tests.tasks.text.conftest import sentence

SETS = {
    "train": [sentence(i) for i in range(60)],
    "validation": [sentence(i) for i in range(100, 120)],
    "test": [sentence(i) for i in range(200, 220)],
}


def saved(folder, sets):
    import datasets

    datasets.disable_progress_bars()
    rows = datasets.DatasetDict({name: datasets.Dataset.from_dict({"text": texts}) for name, texts in sets.items()})
    rows.save_to_disk(folder / "sets")
    return {"path": str(folder / "sets")}


def paths(folder, sets):
    folder.mkdir(exist_ok=True)
    for name, texts in sets.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return {"path" if name == "train" else f"{name}_path": str(folder / f"{name}.jsonl") for name in sets}


def hub(folder, sets):
    (folder / "hub").mkdir(exist_ok=True)
    paths(folder / "hub", sets)
    own = {f"{name}_split": name for name in sets if name != "train"}
    return {"dataset": {"name": str(folder / "hub"), **own}}


WAYS = {"a dictionary that was saved": saved, "paths": paths, "splits of a data set of the hub": hub}


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    import datasets
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")


def make(fields, **more):
    return Text(**fields, length=16, **more)


def texts(task):
    return {split: [bytes(part.data).decode() for part in parts] for split, parts in task.corpus.parts.items()}


@pytest.mark.parametrize("way", WAYS)
def test_each_document_is_in_the_split_that_the_data_set_has_it_in(way, tmp_path):
    for fields in ({}, {"packing": "packed"}):  # read as it stands, and tokens of the cache
        task = make(WAYS[way](tmp_path, SETS), **fields)
        assert texts(task) == SETS
        assert "validation and test are splits of the data's own" in task.describe()
        assert task.prepared.census.num_own == {"validation": 20, "test": 20}
        assert task.identity()["text_own_splits"] == "validation: 0 of 20 shared, test: 0 of 20 shared"
        assert task.batch("validation", range(1)).tokens[0].tolist() == list(SETS["validation"][0].encode()[:16])
        assert task.remarks() == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("own", ["validation", "test"])
def test_what_is_missing_is_divided_from_training(way, own, tmp_path):
    task = make(WAYS[way](tmp_path, {name: SETS[name] for name in ("train", own)}), held_out=0.1)
    found, other = texts(task), "test" if own == "validation" else "validation"
    assert found[own] == SETS[own] and len(found[other]) == 6
    assert sorted(found["train"] + found[other]) == sorted(SETS["train"])
    assert (
        f"{own} is a split of the data's own; split by content, 0.1 of training's documents in {other}"
        in task.describe()
    )


@pytest.mark.parametrize("fields", [{}, {"packing": "packed"}])
def test_what_stands_in_two_splits_is_counted_said_and_left_out_of_the_earlier(fields, tmp_path):
    sets = dict(SETS)
    sets["train"] = [*sets["train"], sets["validation"][3].upper(), sets["test"][5] + "\n", sets["validation"][3]]
    sets["validation"] = [*sets["validation"], sets["test"][7]]
    for _ in range(2):  # made, and from the cache
        task = make(paths(tmp_path, sets), max_shared=0.1, **fields)
        assert texts(task) == SETS
        assert task.identity()["text_own_splits"] == "validation: 2 of 21 shared, test: 2 of 20 shared"
        assert any("2 of 21 documents of the validation split" in said for said in task.remarks())
        assert any("2 of 20 documents of the test split" in said for said in task.remarks())
        with pytest.raises(
            ValueError, match="^max_shared=0.05: 2 of 21 documents of the validation split of "
        ) as caught:
            make(paths(tmp_path, sets), **fields)
        assert "\n" not in str(caught.value)


def test_the_fingerprint_covers_every_split_and_where_it_went(tmp_path):
    seen = {make(paths(tmp_path, SETS)).fingerprint()}
    for split in SETS:
        changed = SETS | {split: [*SETS[split][:-1], sentence(999)]}
        seen.add(make(paths(tmp_path, changed)).fingerprint())
    seen.add(make(paths(tmp_path, SETS | {"validation": SETS["test"], "test": SETS["validation"]})).fingerprint())
    assert len(seen) == 5


def test_a_training_text_of_one_document_is_cut_for_what_is_missing(tmp_path):
    one = " ".join(SETS["train"])
    found = texts(make(paths(tmp_path, {"train": [one], "test": SETS["test"]})))
    assert found["test"] == SETS["test"] and sum(map(len, found["train"] + found["validation"])) == len(one)
    assert texts(make(paths(tmp_path, SETS | {"train": [one]}))) == SETS | {"train": [one]}


def test_mistakes_are_one_line(tmp_path):
    whole = paths(tmp_path, SETS)
    sets = saved(tmp_path, SETS | {"unsupervised": SETS["test"]})["path"]
    other = saved(tmp_path / "other", {"valid": SETS["validation"], "dev": SETS["test"]})["path"]
    empty = paths(tmp_path / "other", {"train": SETS["train"], "test": []})
    for said, fields in {
        "validation_path: there is no path": {"validation_path": whole["path"]},
        "test_path: no such file or folder": {**whole, "test_path": str(tmp_path / "tst.jsonl")},
        "test_path: .* has several splits; name one of them: .*sets/train, ": {**whole, "test_path": sets},
        "test_path: no usable text for test in ": empty,
        "validation_path: .* has a validation split; path=.*sets/train is without": {**whole, "path": sets},
        "path: .* has the splits valid, dev and no train; path=.*sets/valid": {"path": other},
        "held_out: .* has its own validation and test splits": {**whole, "held_out": 0.1},
        "split_by: position holds out the end": {**whole, "split_by": "position"},
        "max_shared is of splits that the data has itself": {"path": whole["path"], "max_shared": 0.1},
        "max_shared is of splits that": {"max_shared": 0.1},
        "split: train, train are not different": {"dataset": {"name": sets, "test_split": "train"}},
        "max_shared=0.05: 20 of 20 documents of the validation split": {**whole, "path": str(tmp_path), "suffixes": [".jsonl"]},
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match=f"^{said}") as caught:
            make(fields)
        assert "\n" not in str(caught.value)
    assert make({"path": sets}).remarks() == [f"{sets!r}: splits of other names are not read (unsupervised)"]
    (tmp_path / "sets" / "dataset_dict.json").write_text('{"splits": ["train", "../sets/test"]}')
    with pytest.raises(ValueError, match="^path: .* names a split '../sets/test', which is no folder that was saved"):
        make({"path": sets})


def test_suffixes_choose_among_the_files_of_a_folder_and_nowhere_else(tmp_path):
    fields = paths(tmp_path, {"train": SETS["train"]})
    with pytest.raises(ValueError, match="suffixes: .*train.jsonl' is a file, which is read whatever its ending"):
        make(fields, suffixes=[".jsonl"])
    assert make({"path": str(tmp_path)}, suffixes=[".jsonl"]).size("validation")
