"""Text: what is read, what is left out and said so, and where windows lie."""

import platform

import pytest

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
    files = {f"{i}.log": bytes([65 + i]) * 400 for i in range(3)}
    assert set(split_of(Text(path=write(tmp_path, numbered(4) | files), suffixes=[".log"], length=8))) == set(files)


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
        ({"a.txt": bytes(range(32, 127)) * 9}, "needs 130 bytes in every split, and (validation|test) has 128"),
        ({f"{i}.txt": bytes([65 + i]) * 90 for i in range(9)}, "needs 130 bytes in every split, and validation has 90"),
        (
            {"a.txt": b"a" * 900},
            "^held_out: a text of fewer than 3 documents is split by stretches of 128 bytes, of which this one has 2 different",
        ),
    ],
)
def test_text_that_cannot_serve_is_found_at_construction(tmp_path, files, said):
    with pytest.raises(ValueError, match=said):
        Text(path=write(tmp_path, files))


def test_a_padded_vocabulary_is_what_a_model_gets_and_changes_no_token(tmp_path):
    folder = write(tmp_path, numbered(6))
    plain, padded = Text(path=folder, length=8), Text(path=folder, length=8, padded_vocab_size=320)
    assert (plain.vocab_size, padded.vocab_size) == (256, 320)
    assert (padded.batch("train", range(4)).tokens == plain.batch("train", range(4)).tokens).all()
    assert padded.bits_per_byte("test") == plain.bits_per_byte("test")
    assert padded.tokenizer.decode([65, 300, 66]) == "AB", "what pads stands for no text"
    with pytest.raises(ValueError, match="padded_vocab_size=8 must be at least the tokenizer's 256"):
        Text(path=folder, length=8, padded_vocab_size=8)
