"""A journal without one of its lines, or with another one, is not gone on with."""

import json
import random

import pytest
from optuna.storages.journal import JournalFileBackend

from mythos_lab.recipe.errors import Misplaced
from mythos_lab.search.chain import check_chain
from mythos_lab.search.journal import Journal

LOGS = [{"op_code": 4, "worker_id": "a", "value": i, "chain": "of the user's"} for i in range(12)]


@pytest.fixture
def journal(tmp_path):
    path = tmp_path / "journal.log"
    Journal(path).append_logs(LOGS[:5])
    Journal(path).append_logs(LOGS[5:])
    return path


def test_what_was_written_is_read_by_optuna_too(journal):
    read = list(JournalFileBackend(str(journal)).read_logs(0))
    assert [log["value"] for log in read] == list(range(12))


@pytest.mark.parametrize("line", [0, 3, 5, 10])
@pytest.mark.parametrize("damage", ["gone", "twice", "moved", "changed", "unsealed"])
def test_a_line_that_does_not_follow_is_refused_when_the_journal_is_opened(journal, line, damage):
    lines = journal.read_bytes().splitlines(keepends=True)
    changed = {
        "gone": lambda: lines.pop(line),
        "twice": lambda: lines.insert(line, lines[line]),
        "moved": lambda: lines.insert(line + 1, lines.pop(line)),
        "changed": lambda: lines.__setitem__(line, lines[line].replace(b'"value":', b'"value":1')),
        "unsealed": lambda: lines.__setitem__(line, json.dumps({**LOGS[line], "value": 99}).encode() + b"\n"),
    }
    changed[damage]()
    journal.write_bytes(b"".join(lines))
    with pytest.raises(Misplaced, match=r"journal.log: line \d+ does not follow"):
        Journal(journal)


def test_any_bit_of_any_line_but_its_break_is_found(journal):
    written, draw = journal.read_bytes(), random.Random(0)
    for place in draw.sample([i for i, byte in enumerate(written[:-120]) if byte != 10], 200):
        damaged = bytearray(written)
        damaged[place] ^= 1
        journal.write_bytes(damaged)
        with pytest.raises(Misplaced):
            check_chain(journal)


def test_a_journal_from_before_there_were_checksums_goes_on_and_holds_what_it_had(tmp_path):
    path = tmp_path / "journal.log"
    JournalFileBackend(str(path)).append_logs(LOGS[:5])
    Journal(path).append_logs(LOGS[5:])
    Journal(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], *lines[3:]]))
    with pytest.raises(Misplaced, match="line 5 does not follow"):
        Journal(path)
