"""A study is what its trials' numbers mean: wording changes nothing, widening loses nothing, all else is named."""

import json

import optuna
import pytest
import yaml
from optuna.trial import TrialState

from mythos_lab.recipe import RecipeError
from mythos_lab.search.opening import DEFINITION, NUM_TRIALS, find_study, open_study
from mythos_lab.search.spaces.space import load_space
from mythos_lab.search.storage import open_storage
from mythos_lab.search.trial_queue import settle, take
from tests.lab.search.tiny import FILE, OVERRIDES

LOOPS = {"uniform": {"low": 1, "high": {"int": [2, 3]}}, "fixed": {}}
SPACE = {
    "model.core.loops": LOOPS,
    "training.optimizer.lr": {"float": [1e-3, 1e-2], "log": True},
    "training.batch_size": {"choice": [8, 16]},
}
BASE = {"space": SPACE, "constraints": ["cost/params < 1e9"], "trials": 50}


@pytest.fixture
def write(here):
    (here / "mine.yaml").write_text(_recipe("one"))

    def write(**fields):
        file = {**FILE, "recipe": "mine.yaml", **BASE, **fields}
        (here / "tiny.yaml").write_text(yaml.safe_dump(file, sort_keys=False))
        return load_space("tiny.yaml")

    return write


def _recipe(description):
    from mythos_lab.recipe.files import data_dir

    written = yaml.safe_load((data_dir("recipes") / "gated_loop.yaml").read_text())
    return yaml.safe_dump({**written, "description": description}, sort_keys=False)


def draw(study, space, number):
    for _ in range(number):
        space.candidate(trial := take(study, 50))
        settle(study, trial, TrialState.COMPLETE, "complete", values=[0.5])


def spaced(**changes):
    return {"space": {**SPACE, **changes}}


WORDINGS = {
    "the study's description": {"description": "another question"},
    "the recipe's path": {"recipe": "./mine.yaml"},
    "an empty mapping": spaced(**{"model.core.loops": {**LOOPS, "fixed": None}}),
    "numbers": spaced(**{"training.optimizer.lr": {"float": [0.001, 0.010], "log": True}}),
    "the order of overrides": {"overrides": OVERRIDES[::-1]},
    "an override of what the recipe has": {"overrides": [*OVERRIDES, "seed=0", "name=renamed", "description=two"]},
    "blanks": {"constraints": ["cost/params<1e9"]},
    "how it is searched": {"sampler": "random", "pruner": "none", "workers": 3, "seed": 5, "trials": 60},
}
WIDER = {
    "a range": spaced(**{"training.optimizer.lr": {"float": [1e-4, 1e-1], "log": True}}),
    "a range of a kind": spaced(**{"model.core.loops": {**LOOPS, "uniform": {"low": 1, "high": {"int": [2, 9]}}}}),
    "one more choice": spaced(**{"training.batch_size": {"choice": [4, 8, 16]}}),
    "one more kind": spaced(**{"model.core.loops": {**LOOPS, "poisson_lognormal": {}}}),
}
OTHERS = {
    "narrower": (spaced(**{"training.optimizer.lr": {"float": [2e-3, 1e-2], "log": True}}), "0.001 to 0.01, now 0.002"),
    "one choice less": (spaced(**{"training.batch_size": {"choice": [8]}}), r"batch_size: \[8, 16\], now \[8\]"),
    "a kind less": (spaced(**{"model.core.loops": {"fixed": {}}}), "model.core.loops.uniform: .* now not there"),
    "a kind's field": (
        spaced(**{"model.core.loops": {**LOOPS, "fixed": {"num_loops": 7}}}),
        "loops.fixed.num_loops: not there, now 7",
    ),
    "the recipe": ({"overrides": [*OVERRIDES, "model.width=32"]}, "recipe.model.width: 16, now 32"),
    "seeds": ({"seeds": 2}, "seeds: 1, now 2"),
    "objectives": ({"objectives": {"val/loss": "minimize"}}, "objectives: .*val/accuracy.*val/loss"),
    "a constraint": ({"constraints": ["cost/params < 2e9"]}, "constraints"),
    "one more field": (
        spaced(**{"model.core.depth": {"int": [1, 2]}}),
        "space.model.core.depth: not there, now 1 to 2",
    ),
}


@pytest.mark.parametrize("fields", [*WORDINGS.values(), *WIDER.values()], ids=[*WORDINGS, *WIDER])
@pytest.mark.parametrize("url", [None, "sqlite:///study.db"], ids=["journal", "database"])
def test_a_study_that_is_worded_otherwise_or_widened_goes_on_with_its_trials(url, fields, write, here):
    if url is not None and fields not in (WIDER["one more choice"], WORDINGS["the recipe's path"]):
        pytest.skip("one of each kind on a database")
    space = write(storage=url)
    draw(study := open_study(space), space, 6)
    before = [(t.number, t.params, t.value, t.user_attrs["outcome"]) for t in study.get_trials()]
    again = write(storage=url, **fields)
    (here / "mine.yaml").write_text(_recipe("two"))
    find_study(again)
    draw(study := open_study(again), again, 6)
    trials = open_study(again).get_trials()
    assert [(t.number, t.params, t.value, t.user_attrs["outcome"]) for t in trials][:6] == before
    assert len(trials) == 12 and all(t.state is TrialState.COMPLETE for t in trials)
    if fields in WIDER.values():
        with pytest.raises(RecipeError, match="was begun with another space"):
            open_study(write(storage=url))


@pytest.mark.parametrize("fields, said", OTHERS.values(), ids=OTHERS)
def test_what_makes_another_study_of_it_is_named(fields, said, write):
    space = write()
    draw(open_study(space), space, 2)
    for opened in (open_study, find_study):
        with pytest.raises(RecipeError, match=said) as raised:
            opened(write(**fields))
        assert len(raised.value.lines) == 1 and "give it another name" in str(raised.value)


def without(study, *path):
    """What an earlier release, whose recipes had no such field, wrote down of a study."""
    meaning = json.loads(study.user_attrs[DEFINITION])
    *parents, last = path
    inner = meaning["recipe"]
    for name in parents:
        inner = inner[name]
    del inner[last]
    study.set_user_attr(DEFINITION, json.dumps(meaning))


def test_a_field_that_recipes_have_got_since_is_at_its_default_in_a_study_begun_before(write):
    space = write()
    draw(study := open_study(space), space, 2)
    for path in (("stability",), ("training", "accelerator"), ("model", "core", "halting")):
        without(study, *path)
        find_study(write())
        draw(study := open_study(write()), space, 1)
    assert len(study.get_trials()) == 5
    without(study, "evaluation", "depth_factor")  # 1 in the file, and not by default
    for opened in (open_study, find_study):
        with pytest.raises(RecipeError, match=r"recipe.evaluation.depth_factor: \d+, now 1; give it another name"):
            opened(write())


@pytest.mark.parametrize("ours, made", [(True, "that an earlier release began"), (False, "of other origin")])
def test_a_study_that_does_not_say_what_it_means_is_not_gone_on_with(write, ours, made):
    space = write()
    draw(study := open_study(space), space, 1)
    if ours:
        study.set_user_attr(NUM_TRIALS, 50)
    study.set_user_attr(DEFINITION, None)  # attributes are never taken back
    for opened in (open_study, find_study):
        with pytest.raises(RecipeError, match=f"has a study 'tiny' {made}.*; give this one another name"):
            opened(write())


def test_choices_are_not_added_while_trials_run_and_a_widening_that_died_is_begun_again(write):
    space = write()
    draw(study := open_study(space), space, 2)
    space.candidate(running := take(study, 50))
    with pytest.raises(RecipeError, match="gets other choices, and trials of it run"):
        open_study(write(**WIDER["one more choice"]))
    settle(study, running, TrialState.COMPLETE, "complete", values=[0.5])
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(optuna.Study, "set_user_attr", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        open_study(write(**WIDER["one more choice"]))
    assert len(open_study(write()).get_trials()) == 3
    assert len(open_study(write(**WIDER["one more choice"])).get_trials()) == 3


def test_two_storages_do_not_share_a_folder_and_the_first_is_not_blocked(write):
    space = write()
    draw(open_study(space), space, 2)
    with pytest.raises(RecipeError, match="holds the trials of a study 'tiny' that is not in sqlite:///other.db"):
        open_study(write(storage="sqlite:///other.db"))
    assert optuna.get_all_study_names(open_storage("sqlite:///other.db", space.folder)) == []
    assert len(open_study(write()).get_trials()) == 2
