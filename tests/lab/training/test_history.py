"""A run's history: every entry once, whatever kills it between two lines, and read as it was written."""

import json
import math

import pytest

from mythos_lab.recipe.errors import Misplaced
from mythos_lab.training.history import History, digest_of, read_history

ENTRIES = [(0, 10.5, {"train/loss": 2.0}), (2, 11.0, {"train/loss": math.nan}), (2, 11.25, {"val/loss": 1.5})]


def test_it_is_json_a_line_and_comes_back(tmp_path):
    path = tmp_path / "history.jsonl"
    History(path).add(ENTRIES)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [0, 2, 2]
    read = read_history(path, digest_of(path))
    assert read[0] == {"step": 0, "time": 10.5, "train/loss": 2.0} and math.isnan(read[1]["train/loss"])


@pytest.mark.parametrize("lost", range(0, 120, 7))
def test_a_run_that_goes_on_writes_each_entry_once_wherever_the_file_was_cut(tmp_path, lost):
    path, whole = tmp_path / "cut.jsonl", tmp_path / "whole.jsonl"
    History(whole).add([*ENTRIES, (4, 12.0, {"train/loss": 1.0})])
    History(path).add(ENTRIES)
    content = path.read_bytes()
    path.write_bytes(content[: max(0, len(content) - lost)])
    again = History(path)
    again.add(ENTRIES)  # a checkpoint has them as not yet sent
    again.add([(4, 12.0, {"train/loss": 1.0})])
    assert path.read_bytes() == whole.read_bytes()


def test_a_clock_that_was_set_back_loses_nothing(tmp_path):
    path = tmp_path / "history.jsonl"
    History(path).add([(0, 100.0, {"a": 1.0}), (1, 50.0, {"a": 2.0})])
    History(path).add([(2, 60.0, {"a": 3.0})])
    assert [entry["a"] for entry in read_history(path)] == [1, 2, 3]


@pytest.mark.parametrize(
    "line", [b"[1]", b'{"step": 1}', b'{"step": 1, "time": "x"}', b"nan", b'{"step": 1, "time": 2, "a": []}']
)
def test_what_is_no_history_is_refused(tmp_path, line):
    path = tmp_path / "history.jsonl"
    path.write_bytes(line + b"\n")
    with pytest.raises(Misplaced, match="is no entry"):
        read_history(path)
    with pytest.raises(Misplaced, match="its checksum is another"):
        read_history(path, "0" * 64)
