"""What is recorded of the code, whatever lies in the repository."""

import os
import subprocess

import pytest
import torch

from mythos_lab.tracking import environment as tracking
from mythos_lab.tracking.environment import environment


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in (["init", "-q"], ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-q", "--allow-empty", "-m", "x"]):  # fmt: skip
        subprocess.run(["git", *command], check=True)
    return tmp_path


def link_to_nowhere(folder):
    (folder / ".#mine.py").symlink_to("someone@host.1234:1700000000")


ODD = {
    "an editor's lock file": link_to_nowhere,
    "a link to nowhere": lambda folder: (folder / "mine.py").symlink_to("gone.py"),
    "a folder": lambda folder: (folder / "mine.py").mkdir(),
    "a pipe": lambda folder: os.mkfifo(folder / "mine.py"),
}
CODE = {
    "a name that is not ASCII": "größe.py",
    "a name that is not UTF-8": os.fsdecode(b"gr\xf6sse.py"),
    "a line break in a name": "a\nb.py",
    "quotes and blanks": 'a "b" c.py',
}


@pytest.mark.parametrize("put", ODD.values(), ids=ODD)
def test_what_is_no_code_is_passed_over(put, repository):
    put(repository)
    assert environment(torch.device("cpu"))["git_changes"] is None


@pytest.mark.parametrize("name", CODE.values(), ids=CODE)
def test_new_code_counts_whatever_it_is_called_and_however_it_is_encoded(name, repository):
    found = set()
    for content in (b"x = 1\n", "# größer\n".encode("latin-1"), "# größer\n".encode()):
        (repository / name).write_bytes(content)
        found.add(environment(torch.device("cpu"))["git_changes"])
    assert len(found) == 3 and None not in found


def test_a_change_that_is_not_utf8_is_one(repository):
    (repository / "mine.txt").write_bytes(b"a\n")
    subprocess.run(["git", "add", "mine.txt"], check=True)
    (repository / "mine.txt").write_bytes("größer\n".encode("latin-1"))
    assert environment(torch.device("cpu"))["git_changes"] is not None


@pytest.mark.parametrize("put", ODD.values(), ids=ODD)
def test_the_laboratorys_own_source_is_digested_whatever_lies_in_it(put, tmp_path, monkeypatch):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    for name in ("mythos_blocks", "mythos_kernels"):
        monkeypatch.setattr(getattr(tracking, name), "__file__", str(package / "__init__.py"))
    monkeypatch.setattr(tracking, "_LABORATORY", package)
    before = tracking._source.__wrapped__()
    put(package)
    assert tracking._source.__wrapped__() == before
    (package / "größe.py").write_text("x = 1")
    assert tracking._source.__wrapped__() != before
