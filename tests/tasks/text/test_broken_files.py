"""What cannot be read is named with its reason, and never silently left out."""

import json

import pyarrow
import pyarrow.parquet
import pytest

from mythos_lab.tasks import Text
from tests.tasks.text.conftest import sentence

ROWS = [sentence(i) for i in range(20)]


def lines(*rows):
    return b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows)


def parquet(path, rows, **fields):
    pyarrow.parquet.write_table(pyarrow.table({"text": rows, "title": rows}), path, **fields)


def test_lines_that_are_no_rows_are_named_by_file_and_line(tmp_path):
    good = [{"text": row} for row in ROWS]
    bad = [
        (b"{broken\n", "not JSON: Expecting property name enclosed in double quotes"),
        (b"\n", "blank"),
        (b'{"text": "\xff"}\n', "not UTF-8 at byte 10"),
        ({"text": ""}, "empty"),
        ({"text": None}, "null"),
        ({"text": 3}, "int, not text"),
        ({"title": "a"}, "no field 'text'"),
        ([1], "not an object but list"),
        (b'{"text": "ab\\ud800"}\n', "a lone surrogate at character 2"),
    ]
    (tmp_path / "rows.jsonl").write_bytes(lines(*good, *(row for row, _ in bad)))
    task = Text(path=str(tmp_path / "rows.jsonl"), length=16)
    assert list(task.skipped) == [f"rows.jsonl:{21 + i}" for i in range(len(bad))]
    for said, (_, reason) in zip(task.skipped.values(), bad, strict=True):
        assert said.startswith(reason)
    assert "9 skipped (rows.jsonl:21: not JSON: " in task.describe()
    assert task.identity()["text_documents"] == "20" and task.identity()["text_files"] == "1"


def test_rows_are_documents_of_their_own(tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(lines(*({"body": row} for row in ROWS)))
    task = Text(path=str(tmp_path), suffixes=[".jsonl"], text_field="body", length=16, held_out=0.1)
    assert {s: len(files) for s, files in task.corpus.files.items()} == {"train": 16, "validation": 2, "test": 2}
    assert all(name.startswith("rows.jsonl:") for files in task.corpus.files.values() for name, _ in files)


def test_parquet_is_read_and_broken_parquet_is_named(tmp_path):
    parquet(tmp_path / "a.parquet", [*ROWS, None, ""])
    parquet(tmp_path / "b.parquet", ROWS)
    cut = (tmp_path / "b.parquet").read_bytes()
    (tmp_path / "b.parquet").write_bytes(cut[: len(cut) // 2])
    (tmp_path / "c.parquet").write_bytes(b"")
    parquet(tmp_path / "d.parquet", [])
    task = Text(path=str(tmp_path), suffixes=[".parquet"], length=16)
    assert task.skipped.pop("b.parquet").startswith("corrupt Parquet: ")
    assert task.skipped.pop("c.parquet").startswith("corrupt Parquet: ")
    reasons = {"a.parquet:21": "null", "a.parquet:22": "empty"}
    assert {name: task.skipped[name] for name in reasons} == reasons
    assert task.identity()["text_documents"] == "20" and task.identity()["text_files"] == "1"


def test_parquet_that_breaks_half_way_says_after_which_row(tmp_path):
    path = tmp_path / "a.parquet"
    parquet(path, ROWS, row_group_size=10, compression="none", use_dictionary=False)
    offset = pyarrow.parquet.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    data = bytearray(path.read_bytes())
    data[offset : offset + 16] = b"\xff" * 16
    path.write_bytes(data)
    task = Text(path=str(path), length=16)
    assert task.skipped["a.parquet"].startswith("corrupt Parquet after row 10: ")
    assert task.identity()["text_documents"] == "10"


@pytest.mark.parametrize(
    "name, said",
    [
        ("a.jsonl", "^text_field: no line of '.*a.jsonl' has a field 'txt'; did you mean 'text'\\? \\(one of: text, title"),
        ("a.parquet", "^text_field: no column 'txt' in '.*a.parquet'; did you mean 'text'\\? \\(one of: text, title\\)"),
    ],
)  # fmt: skip
def test_a_field_that_no_row_has_names_the_nearest(tmp_path, name, said):
    (tmp_path / "a.jsonl").write_bytes(lines(*({"text": row, "title": row} for row in ROWS)))
    parquet(tmp_path / "a.parquet", ROWS)
    with pytest.raises(ValueError, match=said):
        Text(path=str(tmp_path / name), text_field="txt", length=16)


def test_a_column_of_numbers_is_no_text(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"text": [1, 2]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="^text_field: column 'text' of '.*a.parquet' holds int64, not text"):
        Text(path=str(tmp_path / "a.parquet"), length=16)


@pytest.mark.parametrize("fields", [{}, {"packing": "packed"}])
def test_nothing_usable_is_one_line_that_says_why(tmp_path, fields):
    (tmp_path / "a.txt").write_bytes(b"\xff")
    (tmp_path / "b.txt").write_bytes(b"")
    with pytest.raises(ValueError, match="^path: no usable text in '.*': 2 skipped \\(a.txt: not UTF-8 at byte 0, b.txt: empty\\)$"):  # fmt: skip
        Text(path=str(tmp_path), **fields)
    with pytest.raises(ValueError, match="^path: no usable text in '.*': none ends in .jsonl; most end in .txt, which"):
        Text(path=str(tmp_path), suffixes=[".jsonl"], **fields)


@pytest.mark.parametrize("fields", [{}, {"packing": "packed"}])
def test_broken_files_beside_good_ones_are_named_by_every_kind_of_tokens(folder, fields):
    (folder / "broken.txt").write_bytes(b"ok \xff")
    (folder / "void.txt").write_bytes(b"")
    for _ in range(2):  # made, and from the cache
        task = Text(path=str(folder), length=16, **fields)
        assert task.skipped == {"broken.txt": "not UTF-8 at byte 3", "void.txt": "empty"}
        assert "2 skipped (broken.txt: not UTF-8 at byte 3, void.txt: empty)" in task.describe()
        assert task.identity()["text_files"] == "40"


def test_documents_without_a_token_are_named(folder, tmp_path):
    import tokenizers

    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"crows": 0, "?": 1, "</s>": 2}, unk_token="?"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(tmp_path / "t.json"))
    (folder / "blank.txt").write_text(" \n ")
    task = Text(
        path=str(folder), length=16, packing="packed", tokenizer={"kind": "file", "path": str(tmp_path / "t.json")}
    )
    assert task.skipped == {"blank.txt": "no token"} and task.tokenizer.end == 2


def test_characters_are_not_cut(tmp_path):
    (tmp_path / "a.txt").write_text("€" * 1000, encoding="utf-8")
    for most in (100, 101, 102):
        task = Text(path=str(tmp_path), length=16, held_out=0.1, max_bytes=most)
        assert {split: set(text.decode()) for split, text in task.corpus.text.items()} == dict.fromkeys(
            ("train", "validation", "test"), {"€"}
        )
        assert len(task.corpus.text["train"]) == most // 3 * 3


def test_too_little_text_is_counted_in_tokens(folder):
    with pytest.raises(ValueError, match="^length=4000 needs 4002 tokens in every split, and validation has "):
        Text(path=str(folder), length=4000, packing="packed")
