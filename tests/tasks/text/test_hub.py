"""Data sets of the Hugging Face hub, read from this disk and without a network."""

import json
import sys
import types

import pyarrow
import pyarrow.parquet
import pytest

from mythos_blocks.declaring.registry import lookup
from mythos_lab.tasks import Text
from tests.tasks.text.conftest import sentence

ROWS = [sentence(i) for i in range(40)]


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    import datasets
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")


@pytest.fixture
def copies(tmp_path):
    """The same rows, one of them null and one empty, in four places."""
    rows = [*ROWS[:5], None, "", *ROWS[5:]]
    table = pyarrow.table({"text": rows, "id": list(range(len(rows)))})
    for name in ("one", "many", "lines"):
        (tmp_path / name).mkdir()
    pyarrow.parquet.write_table(table, tmp_path / "one" / "rows.parquet")
    pyarrow.parquet.write_table(table[:9], tmp_path / "many" / "a.parquet")
    pyarrow.parquet.write_table(table[9:], tmp_path / "many" / "b.parquet")
    (tmp_path / "lines" / "rows.jsonl").write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    return [tmp_path / name for name in ("one", "many", "lines", "one/rows.parquet", "lines/rows.jsonl")]


def make(path, **fields):
    said = {name: fields.pop(name) for name in list(fields) if name in lookup("dataset", "hub").Spec.model_fields}
    return Text(dataset={"name": str(path), **said}, length=16, **fields)


def documents(task):
    return {split: [bytes(part.data).decode() for part in parts] for split, parts in task.corpus.parts.items()}


@pytest.mark.parametrize("streaming", [True, False])
def test_every_format_gives_the_same_documents(copies, streaming):
    tasks = [make(path, streaming=streaming, packing="packed") for path in copies]
    for task in tasks:
        assert sorted(text for texts in documents(task).values() for text in texts) == sorted(ROWS)
        assert task.skips.counts == {"null": 1, "empty": 1}
        assert "2 skipped: 1 null (row 6), 1 empty (row 7)" in task.describe()
        assert task.identity()["text_documents"] == "40" and "text_files" not in task.identity()
    assert len({task.fingerprint() for task in tasks}) == 1


def test_streaming_and_not_is_the_same_text(copies, tmp_path, monkeypatch):
    streamed = make(copies[1], streaming=True)
    monkeypatch.setenv("MYTHOS_CACHE", str(tmp_path / "another"))
    assert make(copies[1], streaming=False).fingerprint() == streamed.fingerprint()


@pytest.mark.parametrize("streaming", [True, False])
def test_only_the_first_documents(copies, streaming):
    few = make(copies[0], streaming=streaming, max_documents=12, max_skipped=0.2)
    assert sorted(text for texts in documents(few).values() for text in texts) == sorted(ROWS[:10])
    assert few.fingerprint() != make(copies[0], streaming=streaming).fingerprint()


def test_a_made_entry_needs_no_data_set_library(copies, monkeypatch):
    fields = {"tokenizer": {"kind": "bpe", "vocab_size": 300}, "packing": "packed"}
    fingerprint = make(copies[0], **fields).fingerprint()
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert make(copies[0], **fields).fingerprint() == fingerprint
    with pytest.raises(ValueError, match=r"^dataset: needs the package datasets; install mythos-lab\[text\]$"):
        make(copies[0], **fields, seed=1)


def test_changed_rows_give_another_entry(copies):
    before = make(copies[2]).fingerprint()
    with copies[4].open("a") as file:
        file.write(json.dumps({"text": sentence(99)}) + "\n")
    assert make(copies[2]).fingerprint() != before


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize(
    "fields, said",
    [
        ({"text_field": "txt"}, "^dataset.text_field: '.*one' has no column 'txt'; did you mean 'text'\\? \\(one of: id, text"),
        ({"text_field": "id"}, "^dataset.text_field: column 'id' of '.*one' holds int64, not text"),
        ({"split": "trian"}, "^dataset.split: 'trian': cannot be opened: .*'train'"),
        ({"config": "other"}, "^dataset.config: 'other': cannot be opened: .*not found. Available: "),
    ],
)  # fmt: skip
def test_mistakes_in_fields(copies, streaming, fields, said):
    with pytest.raises(ValueError, match=said) as caught:
        make(copies[0], streaming=streaming, **fields)
    assert "\n" not in str(caught.value)


def test_places_that_are_not_there(copies, tmp_path):
    with pytest.raises(ValueError, match="^name: no such file or folder '.*/on'; did you mean '.*/one'"):
        make(tmp_path / "on")
    with pytest.raises(ValueError, match="^dataset.name: 'who/knows' is no file or folder here, and the hub does not"):
        make("who/knows")
    with pytest.raises(ValueError, match="^dataset.name: 'who/knows': cannot be opened: "):
        make("who/knows", revision="0" * 40)
    with pytest.raises(ValueError, match="^revision: .* is on this disk"):
        make(copies[0], revision="main")
    (tmp_path / "rows.xyz").write_text("a")
    with pytest.raises(ValueError, match="^dataset.name: '.*rows.xyz' is of no known format; one of: .csv, .json, "):
        make(tmp_path / "rows.xyz")
    with pytest.raises(ValueError, match="^dataset: there is a path too"):
        Text(dataset={"name": str(copies[0])}, path=str(tmp_path))


@pytest.mark.parametrize("streaming", [True, False])
def test_broken_files_are_named_with_their_reason(copies, streaming):
    with copies[4].open("a") as file:
        file.write("{broken\n")
    with pytest.raises(ValueError, match="^dataset.name: '.*rows.jsonl'.* JSON parse error"):
        make(copies[4], streaming=streaming)
    copies[3].write_bytes(copies[3].read_bytes()[:-9])
    with pytest.raises(ValueError, match="^dataset.name: '.*rows.parquet'.* Parquet magic bytes not found") as caught:
        make(copies[3], streaming=streaming)
    assert "\n" not in str(caught.value)


def test_a_name_on_the_hub_is_read_at_the_commit_that_it_means_now(monkeypatch, tmp_path):
    import datasets
    import huggingface_hub

    asked, commit = [], "a" * 40
    rows = datasets.Dataset.from_dict({"text": ROWS})

    class Hub:
        def dataset_info(self, name, revision):
            asked.append((name, revision))
            return types.SimpleNamespace(sha=commit)

    def load(**fields):
        asked.append(fields)
        return rows.to_iterable_dataset() if fields["streaming"] else rows

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    monkeypatch.setattr(datasets, "load_dataset", load)
    fields = {"config": "sample-10BT", "max_documents": 30}
    task = make("who/knows", **fields)
    assert asked == [
        ("who/knows", None),
        {"path": "who/knows", "name": "sample-10BT", "revision": commit, "split": "train", "streaming": True},
    ]
    assert task.identity()["text_documents"] == "30"
    make("who/knows", revision=commit, **fields)
    assert len(asked) == 2, "a pinned commit that is in the cache asks nobody"
    commit = "b" * 40
    make("who/knows", revision="main", **fields)
    assert asked[2] == ("who/knows", "main") and asked[3]["revision"] == commit
