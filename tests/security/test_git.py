"""git is asked about a folder that somebody has packed, and runs nothing that its settings name."""

import os
import subprocess

import pytest

from mythos_lab.tracking import git

SETTINGS = {
    "a monitor": ["core.fsmonitor", "{program}"],
    "hooks": ["core.hooksPath", "{folder}/hooks"],
    "a driver for all differences": ["diff.external", "{program}"],
    "a driver for some": ["diff.own.command", "{program}"],
    "a conversion to text": ["diff.own.textconv", "{program}"],
    "a filter": ["filter.own.clean", "{program}"],
    "a filter whose name no option of git can say": ["filter.a=b.clean", "{program}"],
    "a filter that goes on running": ["filter.own.process", "{program}"],
    "a pager": ["core.pager", "{program}"],
    "a shell in place of ssh": ["core.sshCommand", "{program}"],
    "settings of another file": ["include.path", "{folder}/more"],
}


def run(*arguments):
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments], check=True, capture_output=True)


@pytest.fixture
def packed(tmp_path, monkeypatch):
    """A repository whose tracked files look changed, and a program that leaves a marker."""
    folder, marker = tmp_path / "packed", tmp_path / "executed"
    folder.mkdir()
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {marker}\ncat\n")
    program.chmod(0o755)
    (folder / "hooks").mkdir()
    for hook in ("post-index-change", "fsmonitor-watchman", "post-checkout"):
        (folder / "hooks" / hook).symlink_to(program)
    (folder / "more").write_text(f'[filter "own"]\n\tclean = {program}\n[core]\n\tfsmonitor = {program}\n')
    monkeypatch.chdir(folder)
    run("init", "-q")
    (folder / "mine.py").write_text("x = 1\n")
    (folder / "kept.txt").write_text("1\n")
    run("add", "mine.py", "kept.txt")
    run("commit", "-qm", "x")
    (folder / ".gitattributes").write_text("*.py diff=own filter=own\n*.txt filter=a=b\n")
    (folder / ".git/info/attributes").write_text("mine.py diff=own filter=own\nkept.txt diff=own\n")
    for name in ("mine.py", "kept.txt"):
        os.utime(folder / name, (1, 1))
    (folder / "kept.txt").write_text("2\n")
    return folder, program, marker


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_nothing_that_a_repository_names_is_run(setting, packed):
    folder, program, marker = packed
    name, value = setting
    run("config", name, value.format(program=program, folder=folder))
    assert git.commit() is not None
    assert b"+2" in git.difference() and git.untracked("*.py") == []
    assert not marker.exists()


def test_the_proof_is_one(packed):
    """What git runs if it is asked plainly."""
    _, program, marker = packed
    run("config", "core.fsmonitor", str(program))
    subprocess.run(["git", "diff", "HEAD"], capture_output=True)
    assert marker.exists()


def test_a_program_of_the_working_directory_is_not_taken_for_git(packed, monkeypatch):
    folder, program, marker = packed
    (folder / "git").symlink_to(program)
    monkeypatch.setenv("PATH", f".:{os.environ['PATH']}")
    assert git.commit() is not None and not marker.exists()
    monkeypatch.setenv("PATH", f":{folder.name}")
    assert git.commit() is None and not marker.exists()


def test_settings_of_the_caller_stand(packed, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.abbrev")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "12")
    _, program, marker = packed
    run("config", "filter.own.clean", str(program))
    assert b"+2" in git.difference() and not marker.exists()
