"""Folders that ``save_to_disk`` wrote: rows and nothing else of them is read, whole or refused."""

import json
import sys

import pyarrow
import pytest

from mythos_lab.tasks import Text
from tests.tasks.text.conftest import sentence
from tests.tasks.text.corpora import saved

TEXTS = [sentence(i) for i in range(40)]


@pytest.fixture
def place(tmp_path):
    saved(tmp_path, [*TEXTS, None])
    return tmp_path / "saved"


def make(path, **fields):
    return Text(path=str(path), length=16, **fields)


def rewrite(path, **said):
    path.write_text(json.dumps(json.loads(path.read_text()) | said))


def arrow(path, column):
    table = pyarrow.table({"text": column})
    with pyarrow.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table)


def test_rows_are_documents_in_the_order_that_they_were_saved_in(place):
    task = make(place, packing="packed")
    assert task.skips.counts == {"null": 1} and "1 null (row 41)" in task.describe()
    names = [int(part.name.split()[1]) for parts in task.corpus.parts.values() for part in parts]
    assert sorted(names) == list(range(1, 41))
    before = task.fingerprint()
    arrow(place / "data-00001-of-00002.arrow", TEXTS[20:39])
    assert make(place, packing="packed").fingerprint() != before


def test_neither_datasets_nor_a_program_beside_the_rows_is_needed_or_run(place, monkeypatch):
    (place / "saved.py").write_text("raise SystemExit('a script was run')")
    (place / "state.pkl").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert make(place).skips.counts == {"null": 1}
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        ValueError, match=r"^path: a data set that was saved needs pyarrow; install mythos-lab\[text\]$"
    ):
        make(place, seed=1).corpus  # noqa: B018


def test_what_is_not_whole_is_one_line(place):
    first, state = place / "data-00000-of-00002.arrow", place / "state.json"
    kept = first.read_bytes(), state.read_text()
    places = pyarrow.array([0, 2**20, 1], pyarrow.int32()).buffers()[1]
    outside = pyarrow.Array.from_buffers(pyarrow.string(), 2, [None, places, pyarrow.py_buffer(b"a")])

    def refused(said, change):
        change()
        with pytest.raises(ValueError, match=f"^(path|text_field): .*{said}") as caught:
            make(place)
        assert "\n" not in str(caught.value)
        first.write_bytes(kept[0])
        state.write_text(kept[1])

    refused("after row 0: it is cut", lambda: first.write_bytes(kept[0][:-9]))
    refused("after row 0: it is cut", lambda: first.write_bytes(b"This is a letter."))
    refused("after row 0: ", lambda: first.write_bytes(kept[0][:4] + b"\xff" * 64 + kept[0][68:]))
    refused("after row 0: .*offset", lambda: arrow(first, outside))
    refused("holds int64, not text", lambda: arrow(first, [1, 2]))
    refused("not a file of its folder", first.unlink)
    for name in ("../saved/data-00001-of-00002.arrow", str(place / "data-00001-of-00002.arrow"), "..", ""):
        refused("", lambda name=name: rewrite(state, _data_files=[{"filename": name}]))
    refused("does not name the files", lambda: rewrite(state, _data_files=["a"]))
    refused("save it again", lambda: rewrite(state, _indices_data_files=[{"filename": "a"}]))
    refused("cannot be read: list, not an object", lambda: state.write_text("[]"))
    refused("cannot be read: more than", lambda: state.write_text(" " * 2**20 + "{}"))
    refused("no usable text in .*: it has no row", lambda: rewrite(state, _data_files=[]))


def test_what_it_holds_is_not_said_again(place):
    for fields in ({"format": "jsonl"}, {"suffixes": [".arrow"]}):
        with pytest.raises(ValueError, match=f"^{next(iter(fields))}: .* is a data set that was saved"):
            make(place, **fields)
    with pytest.raises(ValueError, match="^name: .* was written by save_to_disk; task.path reads it"):
        Text(dataset={"name": str(place)}, length=16)
