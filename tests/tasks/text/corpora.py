"""The same texts in every kind of corpus that can be read, and what may be wrong with one of their rows."""

import bz2
import csv
import gzip
import io
import json
import lzma

import pyarrow
import pyarrow.parquet

from mythos_lab.tasks.text.formats import ROWS


def _object(text):
    return json.dumps({"id": 1, "text": text}).encode()


ROW_DAMAGE = {
    "a comma after the object": (lambda t: _object(t) + b",", "not JSON"),
    "cut": (lambda t: _object(t)[:-1], "not JSON"),
    "not UTF-8": (lambda t: b'{"text": "\xff"}', "not UTF-8"),
    "another field": (lambda t: b'{"body": "a"}', "no field 'text'"),
    "empty": (lambda t: _object(""), "empty"),
    "null": (lambda t: _object(None), "null"),
    "a number": (lambda t: _object(3), "int, not text"),
    "a list": (lambda t: b'["a"]', "list, not an object"),
    "a lone surrogate": (lambda t: b'{"text": "a\\ud800"}', "lone surrogate"),
}
"""Of a line of JSON: what it becomes, and the reason that is counted."""

CELL_DAMAGE = {
    "one cell more": (lambda t: b"1,a,b", "not as many cells as the header"),
    "one cell fewer": (lambda t: b"1", "not as many cells as the header"),
    "not UTF-8": (lambda t: b"1,\xff", "not UTF-8"),
    "empty": (lambda t: b"1,", "empty"),
}
"""Of a line of CSV."""


def _json_lines(texts):
    return b"".join(_object(text) + b"\n" for text in texts)


def _json_array(texts):
    return json.dumps([{"id": 1, "text": text} for text in texts], indent=1).encode()


def _separated(delimiter):
    def write(texts):
        file = io.StringIO(newline="")
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows([["id", "text"], *([i, text] for i, text in enumerate(texts))])
        return file.getvalue().encode()

    return write


def _parquet(texts):
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"id": [1] * len(texts), "text": list(texts)}), file)
    return file.getvalue()


def _zstd(data):
    return pyarrow.compress(data, codec="zstd", asbytes=True)


WRITERS = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json_array,
    ".csv": _separated(","),
    ".tsv": _separated("\t"),
    ".parquet": _parquet,
}
PACKERS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": _zstd}
assert WRITERS.keys() == ROWS.keys()

FILES = {
    **{f"rows{ending}": (f"rows{ending}", write) for ending, write in WRITERS.items()},
    **{f"rows{ending}.gz": (f"rows{ending}.gz", lambda texts, w=write: gzip.compress(w(texts))) for ending, write in WRITERS.items()},
    **{f"rows.jsonl{packing}": (f"rows.jsonl{packing}", lambda texts, p=pack: p(_json_lines(texts))) for packing, pack in PACKERS.items()},
    "lines called .json": ("rows.json", _json_lines),
    "in capitals": ("ROWS.JSONL", _json_lines),
    "capitals, compressed": ("Rows.Csv.GZ", lambda texts: gzip.compress(_separated(",")(texts))),
    "with a byte order mark": ("rows.jsonl", lambda texts: b"\xef\xbb\xbf" + _json_lines(texts)),
    "CSV with a byte order mark": ("rows.csv", lambda texts: b"\xef\xbb\xbf" + _separated(",")(texts)),
}  # fmt: skip
"""Files of rows by what they are: their name, and how texts are written to them."""


def _one_file(kind):
    def write(folder, texts):
        name, write = FILES[kind]
        (folder / name).write_bytes(write(texts))
        return {"path": str(folder / name)}

    return write


def _folder(suffix, write=str.encode):
    def into(folder, texts):
        for number, text in enumerate(texts):
            (folder / f"f{number:03}{suffix}").write_bytes(write(text))
        return {"path": str(folder)}

    return into


def _hub(kind):
    def write(folder, texts):
        return {"dataset": {"name": _one_file(kind)(folder, texts)["path"]}}

    return write


def saved(folder, texts):
    """A folder as ``save_to_disk`` of the library itself writes it, of two files."""
    import datasets

    datasets.disable_progress_bars()
    rows = datasets.Dataset.from_dict({"id": [1] * len(texts), "text": list(texts)})
    rows.save_to_disk(folder / "saved", num_shards=2)
    return {"path": str(folder / "saved")}


CORPORA = {
    **{kind: _one_file(kind) for kind in FILES},
    "a folder": _folder(".txt"),
    "a folder in capitals": _folder(".TXT"),
    "a folder, compressed": _folder(".txt.gz", lambda text: gzip.compress(text.encode())),
    "saved by datasets": saved,
    "hub, JSON Lines": _hub("rows.jsonl"),
    "hub, Parquet": _hub("rows.parquet"),
    "hub, compressed": _hub("rows.jsonl.gz"),
}
"""Every kind of corpus of documents: ``write(folder, texts)`` returns the fields of the task."""
