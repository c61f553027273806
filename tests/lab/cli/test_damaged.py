"""What a verb reads is as it was written and its own, or one line says what is not, and nothing is done."""

import shutil

import pytest
from typer.testing import CliRunner

from mythos_lab.cli import app
from tests.lab.cli.verbs import FULL, LEFT_ALONE, READS, RESULTS, WITHOUT, names

OTHER = f"{FULL}/seed-1"


def cut(path, other):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])


def empty(path, other):
    path.write_bytes(b"")


def anothers(path, other):
    path.write_bytes(other.read_bytes())


def flipped(path, other):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def gone(path, other):
    path.unlink()


DAMAGES = (cut, empty, anothers, flipped, gone)
CASES = [
    (verb, name, damage)
    for verb, read in READS.items()
    if read is not None
    for name in read[1]
    for damage in DAMAGES
    if damage is not gone or (verb, name) not in WITHOUT
]


def contents(folder, *but):
    """Every file but the trackers' database, and what is named."""
    skipped = (".db", ".lock", *but)
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and not p.name.endswith(skipped)}


def called(verb):
    more = ["--resume", "stopped"] if verb == "train" else []
    return CliRunner().invoke(app, [verb, *RESULTS[verb], *more])


def test_every_verb_says_what_it_reads_and_every_file_of_a_run_is_read_or_named_as_one_that_is_not(lab):
    assert set(READS) == names()
    read = {name for where in READS.values() if where is not None for name in where[1]}
    assert {path.name for path in (lab / FULL / "seed-0").iterdir()} <= read | set(LEFT_ALONE)


@pytest.mark.parametrize("verb, name, damage", CASES, ids=[f"{v}-{n}-{d.__name__}" for v, n, d in CASES])
def test_a_damaged_file_is_one_line_and_nothing_is_done(lab, verb, name, damage):
    path = lab / READS[verb][0] / name
    before, noted = path.read_bytes(), [".log"] if verb == "study" else []  # a study notes that it was called
    try:
        damage(path, lab / (FULL if verb != "study" else FULL.replace("0000", "0001")) / "seed-1" / name)
        there = contents(lab, *noted)
        result = called(verb)
        assert result.exit_code == 2, (result.output, repr(result.exception))
        assert len(result.stderr.strip().splitlines()) == 1 and str(READS[verb][0]) in result.stderr, result.stderr
        assert contents(lab, *noted) == there
    finally:
        path.write_bytes(before)


def test_a_folder_from_before_there_were_checksums_is_read_with_one_line_that_says_so(lab, tmp_path, caplog):
    from mythos_lab.training.result import load_run, read_result

    old = shutil.copytree(lab / OTHER, tmp_path / "old")
    for path in old.iterdir():
        marks = {".json": (b',\n "sealed"', b"\n}\n"), ".yaml": (b"\n# sealed", b"\n"), ".ckpt": (b"\n# sealed", b"")}
        if path.suffix in marks:
            mark, end = marks[path.suffix]
            path.write_bytes(path.read_bytes().rpartition(mark)[0] + end)
    load_run(old)
    assert read_result(old)["status"] == "finished"
    (line,) = [record.getMessage() for record in caplog.records if "checksums" in record.getMessage()]
    assert line == f"{old}: from before files carried checksums; read as it is, not verified"
