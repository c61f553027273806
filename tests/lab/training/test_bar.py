"""The progress of a training, on a narrow screen and in a file."""

import io
from types import SimpleNamespace

import pytest
import rich
from rich.console import Console

from mythos_lab.training.bar import Bar


def shown(monkeypatch, width, is_terminal):
    """What two steps of two show, the second of which is validated."""
    file = io.StringIO()
    console = Console(
        width=width, force_terminal=is_terminal, force_interactive=is_terminal, file=file, color_system=None
    )
    monkeypatch.setattr(rich, "_console", console)
    training = SimpleNamespace(
        num_steps=0, recipe=SimpleNamespace(training=SimpleNamespace(max_steps=2)), metrics={"train/loss": 0.7},
        scores=SimpleNamespace(accuracy=0.5), is_due=lambda: training.num_steps == 2,
    )  # fmt: skip
    with Bar(training) as bar:
        for training.num_steps in (1, 2):
            bar.advance()
    return file.getvalue()


@pytest.mark.parametrize("width", [40, 80])
def test_steps_and_times_are_whole_on_a_screen_of_any_width(monkeypatch, width):
    last = shown(monkeypatch, width, is_terminal=True).rstrip().rpartition("\r")[2]
    assert "2/2 0:00:00 0:00:00" in last and ("loss 0.700" in last) == (width == 80)


def test_in_a_file_there_is_a_line_at_each_validation(monkeypatch, capsys):
    assert shown(monkeypatch, 80, is_terminal=False) == ""
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split("  ") == ["step 2 of 2", "0:00:00", "loss 0.700", "val/accuracy 0.500"]
