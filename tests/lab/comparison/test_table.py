"""What users and exceptions wrote is printed as it is."""

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from mythos_lab.comparison.table import print_arms, print_study
from mythos_lab.search.trial_queue import OUTCOME, REASON
from tests.lab.search.tiny import write

ODD = ["[/data]", "[bold]x[/bold]", "[link=x]", "\\[", "[red]"]


@pytest.mark.parametrize("text", ODD)
def test_brackets_in_reasons_and_values_are_no_markup(tmp_path, capsys, monkeypatch, text):
    monkeypatch.setenv("COLUMNS", "300")
    space = write(tmp_path, arms={"a": {}, "b": {"task.seed": 3}})
    study = optuna.create_study(direction="maximize")
    ended = {OUTCOME: "failed", REASON: f"no such folder {text}", "runs": 1}
    study.add_trial(create_trial(state=TrialState.FAIL, user_attrs=ended))
    print_study(space, study, {}, 1.0)
    assert f"no such folder {text}" in capsys.readouterr().out
    space.file.arms["b"]["task.path"] = text
    print_arms(space)
    assert text in capsys.readouterr().out
