"""Text: what is read, what is left out and said so, and where windows lie."""

import platform

import pytest
import torch

from mythos_lab.tasks import Text

SPLITS = ("train", "validation", "test")


def write(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return str(folder)


def numbered(count, size=400):
    return {f"f{i:03}.txt": bytes([33 + i]) * size for i in range(count)}


def split_of(task):
    return {name: split for split in SPLITS for name, _ in task.corpus.files[split]}


def test_the_standard_library_is_the_default():
    task = Text()
    names = set(split_of(task))
    assert "json/decoder.py" in names and all(name.endswith(".py") for name in names)
    assert not {"test", "tests", "idlelib", "site-packages", "lib2to3"} & {part for n in names for part in n.split("/")}
    assert platform.python_version() in task.describe()


def test_a_users_folder_may_be_called_test(tmp_path):
    folder = write(tmp_path, {"test/a.txt": b"a" * 900, "tests/b.txt": b"b" * 900, "site-packages/c.md": b"c" * 900})
    assert set(split_of(Text(path=folder, length=8))) == {"test/a.txt", "tests/b.txt", "site-packages/c.md"}


def test_suffixes_choose_the_files(tmp_path):
    folder = write(tmp_path, numbered(4) | {"table.csv": b"1,2\n" * 200})
    assert set(split_of(Text(path=folder, suffixes=[".csv"], length=8))) == {"table.csv"}


def test_each_file_is_in_one_split_and_a_new_one_moves_few(tmp_path):
    folder = write(tmp_path, numbered(60))
    before = split_of(Text(path=folder, length=8, held_out=0.1))
    assert sorted(before.values()).count("validation") == sorted(before.values()).count("test") == 6
    for extra in range(12):
        (tmp_path / f"new{extra}.txt").write_bytes(b"n" * 400)
        after = split_of(Text(path=folder, length=8, held_out=0.1))
        assert sum(after[name] != split for name, split in before.items()) <= 3
        before = after


def test_two_files_are_split_by_position(tmp_path):
    folder = write(
        tmp_path, {"a.txt": b"a" * 800 + b"b" * 100 + b"c" * 100, "d.txt": b"d" * 800 + b"e" * 100 + b"f" * 100}
    )
    text = Text(path=folder, length=8, held_out=0.1).corpus.text
    assert [set(text[split]) for split in SPLITS] == [set(b"ad"), set(b"be"), set(b"cf")]


def test_the_fingerprint_follows_the_bytes_and_names_but_not_the_place(tmp_path):
    def fingerprint(name, files):
        return Text(path=write(tmp_path / name, files), length=8).fingerprint()

    files = numbered(6)
    assert fingerprint("one", files) == fingerprint("elsewhere", files)
    others = [
        fingerprint("changed", files | {"f002.txt": b"!" * 399 + b"?"}),
        fingerprint("more", numbered(7)),
        fingerprint("fewer", numbered(5)),
        fingerprint("renamed", {f"g{name}": data for name, data in files.items()}),
    ]
    assert len({fingerprint("one", files), *others}) == 5


def test_files_left_out_are_named_with_the_reason(tmp_path):
    bad = {f"bad{i}.txt": b"ok \xff" for i in range(4)}
    task = Text(path=write(tmp_path, numbered(3) | bad | {"void.txt": b""}), length=8)
    assert task.skipped == {name: "not UTF-8 at byte 3" for name in bad} | {"void.txt": "empty"}
    assert "5 skipped (bad0.txt: not UTF-8 at byte 3, " in task.describe() and ", ...)" in task.describe()
    assert not set(task.skipped) & set(split_of(task))


def test_a_link_to_nothing_is_left_out_and_named(tmp_path):
    write(tmp_path, numbered(3))
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    assert Text(path=str(tmp_path), length=8).skipped == {"gone.txt": "not a file"}


def test_windows_lie_within_their_split_and_reach_its_ends(tmp_path):
    ramp = bytes(i % 96 + 32 for i in range(1000))
    path = write(tmp_path, {"ramp.txt": ramp}) + "/ramp.txt"
    task = Text(path=path, length=9, held_out=0.1, validation_size=4)
    first, second = ramp[800:810], ramp[890:900]
    batch = task.batch("validation", range(4))
    assert bytes(batch.tokens[0].tolist()) == first[:-1] and bytes(batch.targets[3].tolist()) == second[1:]
    starts = {bytes(row.tolist()) for row in task.batch("train", range(20_000)).tokens}
    assert starts == {ramp[i : i + 9] for i in range(800 - 9)}, "every window of the training bytes, and no other"


def test_max_bytes_caps_the_training_text_only(tmp_path):
    path = write(tmp_path, {"f.txt": b"x" * 40 + b"y" * 760 + b"z" * 200}) + "/f.txt"
    whole, capped = (Text(path=path, length=8, held_out=0.1, max_bytes=most) for most in (None, 40))
    assert set(whole.batch("train", range(500)).tokens.flatten().tolist()) == set(b"xy")
    assert set(capped.batch("train", range(500)).targets.flatten().tolist()) == set(b"x")
    for split in ("validation", "test"):
        assert torch.equal(whole.batch(split, range(9)).tokens, capped.batch(split, range(9)).tokens)


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"path": ""}, "at least 1 character"),
        ({"suffixes": [".txt"]}, "there is no path"),
        ({"max_bytes": 100}, "max_bytes=100 must be at least length \\+ 2 = 130"),
        ({"held_out": 0.5}, "less than 0.5"),
    ],
)
def test_mistakes_in_fields(fields, said):
    with pytest.raises(ValueError, match=said):
        Text(**fields)


def test_a_path_that_is_not_there_names_its_nearest_sibling(tmp_path):
    write(tmp_path, {"corpus/a.txt": b"a"})
    with pytest.raises(ValueError, match="did you mean '.*/corpus'\\?") as caught:
        Text(path=str(tmp_path / "corpsu"))
    assert "\n" not in str(caught.value) and str(tmp_path / "corpsu") in str(caught.value)
    with pytest.raises(ValueError, match="nothing beside it has a name like it"):
        Text(path=str(tmp_path / "zzz"))
    with pytest.raises(ValueError, match="its folder does not exist either"):
        Text(path=str(tmp_path / "no" / "folder"))


@pytest.mark.parametrize(
    "files, said",
    [
        ({"a.csv": b"a" * 900}, "none ends in .txt, .md, .rst, .py"),
        ({"a.txt": b""}, "1 skipped \\(a.txt: empty\\)"),
        ({"a.txt": b"\xff"}, "1 skipped \\(a.txt: not UTF-8 at byte 0\\)"),
        ({"a.txt": b"a" * 900}, "needs 130 bytes in every split, and validation has 45"),
    ],
)
def test_text_that_cannot_serve_is_found_at_construction(tmp_path, files, said):
    with pytest.raises(ValueError, match=said):
        Text(path=write(tmp_path, files))
