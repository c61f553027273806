"""Every kind of corpus is read whole or refused: what is left out is counted by reason, and never much of it."""

import json

import pyarrow
import pyarrow.parquet
import pytest

from mythos_lab.tasks import Text
from tests.tasks.text.conftest import sentence
from tests.tasks.text.corpora import CELL_DAMAGE, CORPORA, FILES, PACKERS, ROW_DAMAGE, WRITERS, _json_lines, _object

TEXTS = [sentence(i) for i in range(40)]


def make(fields, **more):
    return Text(**fields, length=16, **more)


def texts(task):
    return {split: [bytes(part.data).decode() for part in parts] for split, parts in task.corpus.parts.items()}


@pytest.mark.parametrize("kind", CORPORA)
def test_every_kind_gives_the_same_documents(kind, tmp_path):
    task = make(CORPORA[kind](tmp_path, TEXTS))
    found = texts(task)
    assert sorted(text for each in found.values() for text in each) == sorted(TEXTS)
    assert (len(found["validation"]), task.skips.num, task.identity()["text_skipped"]) == (2, 0, "0")
    assert not any("left out" in line for line in task.remarks())


@pytest.mark.parametrize("kind", [k for k in CORPORA if "folder" not in k])
def test_a_field_that_is_not_there_names_the_nearest(kind, tmp_path):
    fields = CORPORA[kind](tmp_path, TEXTS)
    where = fields.get("dataset", fields)
    where["text_field"] = "txt"
    with pytest.raises(ValueError, match="text_field: .*'txt'; did you mean 'text'\\? \\(one of: id, text\\)$"):
        make(fields)


@pytest.mark.parametrize("kind", [k for k in FILES if "lines" not in k])
@pytest.mark.parametrize("damage", ["cut", "another's", "gone"])
def test_a_file_of_rows_that_is_broken_is_refused(kind, damage, tmp_path):
    """What cannot be read as its ending says is never taken as one document, nor half of it as all."""
    fields = CORPORA[kind](tmp_path, TEXTS)
    path = tmp_path / FILES[kind][0]
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(
            data[: len(data) // 2 + 40] if damage == "cut" else b"This is a letter.\n\nIt has no rows.\n" * 20
        )
    if damage == "cut" and path.suffix.lower() in (".jsonl", ".ndjson"):
        # One cut line is one document of some twenty; nothing tells that there were more.
        assert make(fields).skips.counts == {"not JSON": 1}
        fields["max_skipped"] = 0
    with pytest.raises(ValueError, match=f"^(path|text_field|max_skipped).*{path.stem}") as caught:
        make(fields)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ROW_DAMAGE)
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_lines_that_are_no_rows_are_counted_and_many_refused(damage, name, tmp_path):
    write, reason = ROW_DAMAGE[damage]
    path = tmp_path / name
    lines = [_object(text) for text in TEXTS]
    path.write_bytes(b"\n".join([*lines[:7], *(write(text) for text in TEXTS[7:9]), *lines[9:], b""]))
    task = make({"path": str(path)})
    assert task.skips.counts == {reason: 2} and task.identity()["text_skipped"] == f"2: 2 {reason}"
    assert task.identity()["text_documents"] == "38"
    (line,) = [line for line in task.remarks() if "left out" in line]
    assert f"2 of 40 documents of {str(path)!r} are left out: 2 skipped: 2 {reason} ({name} line 8" in line
    assert f"2 skipped: 2 {reason} ({name} line 8" in task.describe()
    path.write_bytes(b"\n".join([*lines[:1], *(write(text) for text in TEXTS[1:])]))
    said = (
        f"^max_skipped=0.05: 39 of 40 documents of '.*' cannot be read \\(39 {reason}\\); the first is {name} line 2: "
    )
    for fields in ({}, {"packing": "packed"}):
        with pytest.raises(ValueError, match=said) as caught:
            make({"path": str(path)}, **fields)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", CELL_DAMAGE)
def test_lines_of_a_table_that_are_no_rows_are_counted(damage, tmp_path):
    write, reason = CELL_DAMAGE[damage]
    rows = WRITERS[".csv"]([text.replace("\n", " ") for text in TEXTS]).splitlines(keepends=True)
    (tmp_path / "rows.csv").write_bytes(b"".join([*rows[:3], write("") + b"\r\n", *rows[3:]]))
    task = make({"path": str(tmp_path / "rows.csv")})
    assert task.skips.counts == {reason: 1} and f"1 {reason} (rows.csv line 4" in str(task.skips)
    with pytest.raises(ValueError, match="^max_skipped=0: 1 of 41 documents .*; the first is rows.csv line 4"):
        make({"path": str(tmp_path / "rows.csv")}, max_skipped=0)


def test_the_issue_s_file_is_refused_by_its_first_line(tmp_path):
    """399 of 400 rows end in a comma; the one good row had been the corpus."""
    rows = [_object(sentence(i)) + b",\n" for i in range(399)]
    (tmp_path / "rows.jsonl").write_bytes(b"".join([*rows, _object(sentence(399)) + b"\n"]))
    with pytest.raises(
        ValueError, match="399 of 400 .*399 not JSON.*the first is rows.jsonl line 1: not JSON \\(Extra data"
    ):
        make({"path": str(tmp_path / "rows.jsonl")})


def test_blank_lines_and_empty_files_are_no_loss(tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(_json_lines(TEXTS).replace(b"\n", b"\n\n"))
    task = make({"path": str(tmp_path / "rows.jsonl")}, max_skipped=0)
    assert task.skips.counts == {"blank line": 40} and not any("left out" in line for line in task.remarks())
    (tmp_path / "rows.jsonl").unlink()
    for number, text in enumerate([*TEXTS[:4], "", "", ""]):
        (tmp_path / f"{number}.txt").write_text(text)
    assert make({"path": str(tmp_path)}, max_skipped=0).skips.counts == {"empty file": 3}


@pytest.mark.parametrize("data, reason", [(b"ok \xff", "not UTF-8"), (b"ok \0", "binary"), (None, "not a file")])
@pytest.mark.parametrize("fields", [{}, {"packing": "packed"}])
def test_files_of_a_folder_that_are_no_text_are_counted(data, reason, fields, folder):
    for number in range(2):
        if data is None:
            (folder / f"bad{number}.txt").symlink_to(folder / "nowhere")
        else:
            (folder / f"bad{number}.txt").write_bytes(data)
    for _ in range(2):  # made, and from the cache
        task = make({"path": str(folder)}, **fields)
        assert task.skips.counts == {reason: 2} and f"{reason} (bad0.txt" in task.describe()
        assert task.identity()["text_files"] == "40"
    for wanted in (0.04, 0):  # from the cache too, where more was allowed
        with pytest.raises(ValueError, match=f"^max_skipped={wanted}: 2 of 42 documents"):
            make({"path": str(folder)}, max_skipped=wanted, **fields)


@pytest.mark.parametrize("fields", [{}, {"packing": "packed"}])
def test_nothing_usable_is_one_line_that_says_why(tmp_path, fields):
    (tmp_path / "a.txt").write_bytes(b"\xff")
    (tmp_path / "b.txt").write_bytes(b"")
    with pytest.raises(ValueError, match="^path: no usable text in '.*': 2 skipped: 1 not UTF-8 \\(a.txt \\(at byte 0\\)\\), 1 empty file \\(b.txt\\)$"):  # fmt: skip
        make({"path": str(tmp_path)}, **fields)
    with pytest.raises(ValueError, match="^path: no usable text in '.*': none ends in .rst; most end in .txt, which"):
        make({"path": str(tmp_path)}, suffixes=[".rst"], **fields)


def test_rows_beside_the_text_are_not_left_out_without_a_word(folder):
    (folder / "rows.jsonl").write_bytes(_json_lines(TEXTS))
    (line,) = [line for line in make({"path": str(folder)}).remarks() if "not read" in line]
    assert "files of rows are not read (1 end in .jsonl, which suffixes do not name)" in line
    both = make({"path": str(folder)}, suffixes=[".txt", ".jsonl"])
    assert both.identity()["text_files"] == "41" and not any("not read" in line for line in both.remarks())


@pytest.mark.parametrize("write", [_json_lines, WRITERS[".json"]])
def test_rows_under_the_name_of_a_text_are_not_taken_for_one(write, tmp_path):
    path = tmp_path / "rows.txt"
    path.write_bytes(write(TEXTS))
    with pytest.raises(
        ValueError, match="^format: 'rows.txt' holds rows of JSON; name it .jsonl or .json, or say which"
    ):
        make({"path": str(path)})
    rows = make({"path": str(path)}, format="json")
    assert sum(map(len, texts(rows).values())) == 40
    assert make({"path": str(path)}, format="text").identity()["text_files"] == "1"


def test_a_field_of_a_text_is_refused(folder):
    with pytest.raises(ValueError, match="^text_field: 'body' is a field of rows, and '.*' has no file of rows \\(by "):
        make({"path": str(folder)}, text_field="body")
    for field in ({"text_field": "body"}, {"format": "csv"}):
        with pytest.raises(
            ValueError, match=f"^{next(iter(field))} is that of the files at path, and there is no path"
        ):
            make({}, **field)


def test_one_object_is_one_row(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"data": [{"text": "a"}]}, indent=1))
    with pytest.raises(ValueError, match="^text_field: no row of 'a.json' has a field 'text'; one of: data$"):
        make({"path": str(tmp_path / "a.json")})
    (tmp_path / "a.json").write_text(json.dumps({"text": " ".join(TEXTS)}, indent=1))
    assert make({"path": str(tmp_path / "a.json")}).prepared.census.num_documents == 1


def test_a_cell_may_be_long_and_have_lines(tmp_path):
    long = "line\n" * 40_000
    (tmp_path / "rows.csv").write_bytes(WRITERS[".csv"]([*TEXTS, long]))
    assert long in [text for each in texts(make({"path": str(tmp_path / "rows.csv")})).values() for text in each]


@pytest.mark.parametrize(
    "data, said",
    [
        (b'id,text\r\n1,"a\r\n2,b\r\n', "rows.csv' cannot be read as csv: line 3: unexpected end of data"),
        (b"text,text\r\na,b\r\n", "cannot be read as csv: its header has 'text' 2 times"),
    ],
)
def test_a_table_that_cannot_be_trusted_is_refused(data, said, tmp_path):
    (tmp_path / "rows.csv").write_bytes(data)
    with pytest.raises(ValueError, match=said):
        make({"path": str(tmp_path / "rows.csv")})


def test_parquet_that_breaks_half_way_is_refused_with_the_row(tmp_path):
    path = tmp_path / "a.parquet"
    table = pyarrow.table({"text": TEXTS})
    pyarrow.parquet.write_table(table, path, row_group_size=10, compression="none", use_dictionary=False)
    offset = pyarrow.parquet.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    data = bytearray(path.read_bytes())
    data[offset : offset + 16] = b"\xff" * 16
    path.write_bytes(data)
    with pytest.raises(ValueError, match="^path: '.*a.parquet' cannot be read as parquet: after row 10: "):
        make({"path": str(path)})


def test_a_column_of_numbers_is_no_text(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"text": [1, 2]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="^text_field: column 'text' of 'a.parquet' holds int64, not text"):
        make({"path": str(tmp_path / "a.parquet")})


def test_documents_without_a_token_are_counted(folder, tmp_path):
    import tokenizers

    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"crows": 0, "?": 1, "</s>": 2}, unk_token="?"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(tmp_path / "t.json"))
    (folder / "blank.txt").write_text(" \n ")
    tokenizer = {"kind": "file", "path": str(tmp_path / "t.json")}
    task = make({"path": str(folder)}, packing="packed", tokenizer=tokenizer)
    assert task.skips.counts == {"no token": 1} and task.tokenizer.end == 2


def test_too_little_text_is_counted_in_tokens(folder):
    with pytest.raises(ValueError, match="^length=4000 needs 4002 tokens in every split, and validation has "):
        Text(path=str(folder), length=4000, packing="packed")


def test_every_compression_is_tried():
    assert {f"rows.jsonl{packing}" for packing in PACKERS} <= FILES.keys()
