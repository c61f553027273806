"""Trials that others put into a study by Optuna's own means: each is run, refused or named, and none ends the study."""

from types import SimpleNamespace

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from mythos_lab.comparison.card import card
from mythos_lab.comparison.holdout import chosen
from mythos_lab.comparison.study_report import study_report
from mythos_lab.recipe.files import names
from mythos_lab.report.terminal import show
from mythos_lab.search import trial as trials
from mythos_lab.search.foreign import Shielded, Strays, outside
from mythos_lab.search.heartbeat import Watch
from mythos_lab.search.opening import enqueue_grid, open_study
from mythos_lab.search.pruners import FLOPS_PER_STEP, LOOP_GAIN, PRUNERS
from mythos_lab.search.samplers import SAMPLERS
from mythos_lab.search.spaces.parameters import misfit
from mythos_lab.search.spaces.space import load_space
from mythos_lab.search.standing import best_first
from mythos_lab.search.trial_states import is_asked_elsewhere, is_settled, is_told
from mythos_lab.search.worker import run_one
from tests.lab.search.tiny import complete, go_on, write

LR, LOOPS, DEPTH = "training.optimizer.lr", "model.core.loops", "model.core.depth"
CONDITIONAL = {
    LOOPS: {"fixed": {"num_loops": {"int": [1, 4]}}, "uniform": {"high": {"int": [2, 5]}}},
    LR: {"float": [1e-3, 1e-2], "log": True},
    DEPTH: {"choice": [1, 2]},
    "training.gradient_clip": {"float": [0.5, 1.5], "step": 0.25},
}  # fmt: skip
PLAIN = {LR: {"float": [1e-3, 1e-2], "log": True}, "training.gradient_clip": {"float": [0.5, 1.5]}}

OUTSIDE = [
    ({LOOPS: "poisson"}, f"{LOOPS}: 'poisson' is no choice; one of: fixed, uniform"),
    ({DEPTH: 3}, f"{DEPTH}: 3 is no choice"),
    ({DEPTH: True}, f"{DEPTH}: True is no choice"),
    ({DEPTH: "1"}, f"{DEPTH}: '1' is no choice"),
    ({LR: 5.0}, f"{LR}: 5.0 is outside 0.001 to 0.01"),
    ({LR: 10**400}, f"{LR}: 1000"),
    ({LR: "0.001"}, f"{LR}: expected a number, found '0.001'"),
    ({LR: True}, f"{LR}: expected a number, found True"),
    ({LR: None}, f"{LR}: expected a number, found None"),
    ({LR: [0.001]}, f"{LR}: expected a number, found [0.001]"),
    ({LR: float("nan")}, f"{LR}: expected a finite number, found nan"),
    ({f"{LOOPS}.fixed.num_loops": 2.5, LOOPS: "fixed"}, "num_loops: expected a whole number, found 2.5"),
    ({"training.gradient_clip": 0.6}, "training.gradient_clip: 0.6 is none of 0.5 to 1.5 by steps of 0.25"),
    ({"model.core.dept": 1}, f"model.core.dept: the space has no such parameter; did you mean '{DEPTH}'?"),
    ({LOOPS: "fixed", f"{LOOPS}.uniform.high": 3}, f"exists only where {LOOPS} is 'uniform', and it is 'fixed'"),
]  # fmt: skip


def test_what_is_enqueued_outside_the_space_is_refused_alone_and_as_many_trials_are_run_as_were_promised(
    here, untrained
):
    space = write(here, space=CONDITIONAL, trials=4)
    study = open_study(space)
    for values, _ in OUTSIDE:
        study.enqueue_trial(values)
    study.enqueue_trial({LOOPS: "fixed", LR: 0.005})  # the sampler draws the others
    other = {LOOPS: CategoricalDistribution(["fixed", "poisson"])}
    study.add_trial(create_trial(state=TrialState.WAITING, params={LOOPS: "fixed"}, distributions=other))
    study = open_study(space)
    go_on(space, study)
    refused = [t for t in study.get_trials() if t.user_attrs.get("outcome") == "refused"]
    for trial, (values, reason) in zip(refused, OUTSIDE, strict=False):
        assert reason in trial.user_attrs["reason"] and trial.state is TrialState.FAIL, values
    assert len(refused) == len(OUTSIDE) and len(complete(study)) == 4
    wished = next(t for t in complete(study) if t.params[LR] == 0.005)
    assert wished.params[LOOPS] == "fixed" and DEPTH in wished.params


def test_a_value_of_a_kind_that_the_sampler_does_not_draw_is_refused(here, untrained):
    space = write(here, space=CONDITIONAL, trials=3)
    study = open_study(space)
    for _ in range(4):
        study.enqueue_trial({f"{LOOPS}.fixed.num_loops": 3})
    go_on(space, study)
    for trial in study.get_trials():
        if trial.user_attrs["outcome"] == "refused":
            assert "does not exist with the kinds that were drawn" in trial.user_attrs["reason"]
            assert trial.params[LOOPS] == "uniform"
        elif "fixed_params" in trial.system_attrs:
            assert trial.params[f"{LOOPS}.fixed.num_loops"] == 3


def test_a_grid_runs_each_of_its_points_whatever_is_enqueued(here, untrained):
    space = write(here, space={DEPTH: {"choice": [1, 2]}, "seed": {"int": [0, 1]}}, sampler="grid")
    study = open_study(space)
    study.enqueue_trial({DEPTH: 2, "seed": 1})
    study.enqueue_trial({DEPTH: 7})
    enqueue_grid(study, space, 4)
    go_on(space, study)
    assert sorted((t.params[DEPTH], t.params["seed"]) for t in complete(study)) == [(1, 0), (1, 1), (2, 0), (2, 1)]
    refused = [t.user_attrs["reason"] for t in study.get_trials() if t.user_attrs["outcome"] == "refused"]
    assert len(refused) == 2 and "a grid comes to each of its points by itself" in refused[0]


@pytest.mark.parametrize("kind", [kind for kind in SAMPLERS.entries if kind not in ("auto", "grid")])
def test_every_sampler_goes_on_from_what_was_told(here, untrained, kind):
    """In the space and outside of it, in the space's distributions and in others, whole and in part, of every end."""
    space = write(here, space=PLAIN, trials=6, sampler=kind)
    study = open_study(space)
    while len(complete(study)) < 2:
        run_one(space, study, 6, lambda: False)
    own = study.get_trials()[0]
    wide = {LR: FloatDistribution(0, 9), "training.gradient_clip": FloatDistribution(0, 9)}
    add = lambda **fields: study.add_trial(create_trial(**fields))  # noqa: E731
    add(value=0.9, params=own.params, distributions=own.distributions)
    add(value=0.9, params={LR: 5.0, "training.gradient_clip": 7.0}, distributions=wide)
    add(value=0.9, params={LR: 0.002, "training.gradient_clip": 1.0}, distributions=wide)
    add(value=0.9, params={LR: 5.0}, distributions={LR: wide[LR]})
    add(value=0.9, params={"x": "y"}, distributions={"x": CategoricalDistribution(["y"])})
    add(value=0.9)
    for state in (TrialState.PRUNED, TrialState.FAIL):
        add(state=state, params=own.params, distributions=own.distributions)
    study.add_trials(study.get_trials()[:2])  # what a copy of another study brings
    go_on(space, study)
    assert len(complete(study)) == 6 + 2 and sum(map(is_settled, study.get_trials())) == 6
    assert sum(map(is_told, study.get_trials())) == 10
    for trial in study.get_trials():
        if is_settled(trial):
            assert misfit(space.parameters, trial.params, whole=True) is None


def test_what_was_told_is_named_never_chosen_and_said_to_be_better_where_it_is(here, untrained, capsys):
    space = write(here, space=PLAIN, trials=1)
    study = open_study(space)
    go_on(space, study)
    (own,) = study.get_trials()
    study.tell(study.ask(own.distributions), 2.0)
    partial = study.ask()
    partial.suggest_float(LR, 1e-3, 1e-2, log=True)
    study.tell(partial, 3.0)
    study.tell(study.ask(own.distributions), 0.0)
    assert [t.number for t in best_first(space, study)] == [t.number for t in chosen(space, study)] == [0]
    show(study_report(space, study, {}, 1.0))
    said = " ".join(capsys.readouterr().out.split())
    for text in (said, card(space, study, {})):
        assert "trial 1 was told from outside (val/accuracy 2) and is no candidate" in text
        assert "outside the space: training.gradient_clip: is missing" in text
        assert text.count("; it would be the best") == 2
    assert "1 trials in 1 s: 1 complete" in said


def test_the_front_of_a_study_is_of_its_own_trials(here, monkeypatch):
    objectives = {"val/accuracy": "maximize", "cost/params": "minimize"}
    space = write(here, space=PLAIN, trials=2, objectives=objectives)
    study = open_study(space)
    values = iter([(0.5, 10.0), (0.7, 20.0)])
    monkeypatch.setattr(
        trials, "_train",
        lambda *a: {"status": "finished", "reason": "", "metrics": [dict(zip(objectives, next(values), strict=True))]},
    )  # fmt: skip
    go_on(space, study)
    study.add_trial(create_trial(values=[1.0, 1.0], params={}, distributions={}))
    assert [t.number for t in study.best_trials] == [2]
    assert [t.number for t in chosen(space, study)] == [0, 1]
    assert study.metric_names == list(objectives)


def test_a_trial_that_somebody_asked_for_is_left_to_them(here, untrained):
    space = write(here, space=PLAIN, trials=2, heartbeat=0.01)
    study = open_study(space)
    run_one(space, study, 2, lambda: False)
    asked = study.ask(study.get_trials()[0].distributions)
    watch = Watch(space.file.heartbeat)
    for _ in range(3):
        watch._seen = {n: (sign, since - 1e6) for n, (sign, since) in watch._seen.items()}
        assert watch.reap(study) == 0
    go_on(space, study)
    assert len(complete(study)) == 2 and is_asked_elsewhere(study.get_trials()[asked.number])
    study.tell(asked, 0.1)
    study.tell(study.ask(study.get_trials()[0].distributions), state=TrialState.FAIL)
    assert watch.reap(study) == 0 and len(study.get_trials()) == 4, "what they failed is not queued again"


def test_a_study_goes_on_where_others_took_a_parameters_name_for_another_distribution(here, untrained):
    space = write(here, space={LOOPS: {"fixed": {}, "uniform": {"high": {"int": [2, 5]}}}}, trials=4)
    study = open_study(space)
    name = f"{LOOPS}.uniform.high"
    study.add_trial(
        create_trial(value=0.9, params={name: "two"}, distributions={name: CategoricalDistribution(["two"])})
    )
    study.enqueue_trial({LOOPS: "uniform", name: 3})
    again = open_study(space)
    go_on(space, again)
    assert again.study_name == "tiny~2" and len(complete(again)) == 4
    assert complete(again)[0].params == {LOOPS: "uniform", name: 3}
    (line,) = study_report(space, again, {}, 1.0).facts["left_out"][-1:]
    assert "outside the space" in line and "'two'" in line
    assert open_study(space).study_name == "tiny~2"


@pytest.mark.parametrize("name", names("search_spaces"))
def test_what_a_shipped_space_draws_fits_it(name):
    space = load_space(name)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        trial = study.ask()
        space.candidate(trial)
        assert misfit(space.parameters, trial.params, whole=True) is None
        for parameter, distribution in trial.distributions.items():
            assert space.parameters[parameter].distribution == distribution


PRUNERS_BY_OTHERS = {
    "median": {},
    "percentile": {"percentile": 25.0},
    "successive_halving": {},
    "hyperband": {"min_resource": 1, "max_resource": 4},
    "patient": {"wrapped_pruner": "median", "patience": 0},
    "loop_aware": {"n_startup_trials": 1, "min_flops": 1.0},
}


@pytest.mark.parametrize("kind", [kind for kind in PRUNERS.entries if kind not in ("none", "threshold")])
def test_no_pruner_holds_a_trial_against_what_others_reported(here, monkeypatch, kind):
    def run(recipe, *, on_validation, **options):
        scores = SimpleNamespace(metrics=lambda: {"val/accuracy": 0.5, "loops/gain": 0.0})
        ended = SimpleNamespace(status="finished", reason="", metrics=scores.metrics(), run_id="0")
        try:
            for step in (2, 4):
                on_validation(step, scores)
        except trials.Pruned as pruned:
            ended.status, ended.reason = "pruned", str(pruned)
        return ended

    monkeypatch.setattr(trials, "run", run)
    space = write(here, space=PLAIN, trials=1, pruner={"kind": kind, **PRUNERS_BY_OTHERS[kind]})
    study = open_study(space)
    rungs = {f"completed_rung_{i}": 2.0 for i in range(4)}
    curve = {"intermediate_values": dict.fromkeys(range(1, 5), 2.0), "system_attrs": rungs}
    costs = {FLOPS_PER_STEP: 1.0, LOOP_GAIN: {}}
    for state in [TrialState.COMPLETE] * 6 + [TrialState.PRUNED]:
        study.add_trial(create_trial(state=state, value=2.0, user_attrs=costs, **curve))
    asked = study.ask()
    asked.suggest_float(LR, 1e-3, 1e-2, log=True)
    for step in range(1, 5):
        asked.report(2.0, step)
    for name, value in {**costs, **rungs}.items():
        study._storage.set_trial_system_attr(asked._trial_id, name, value)
        asked.set_user_attr(name, value)
    go_on(space, study)
    (own,) = [t for t in study.get_trials() if is_settled(t)]
    assert own.user_attrs["outcome"] == "complete" and own.intermediate_values.keys() == {2, 4}


def test_a_sampler_is_shown_the_bracket_of_hyperband_that_its_trial_is_in(here):
    seen = []

    class Seeing(optuna.samplers.RandomSampler):
        def infer_relative_search_space(self, study, trial):
            seen.append({t.number for t in study.get_trials() if t.state is TrialState.COMPLETE})
            return {}

    pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=9, reduction_factor=3)
    study = optuna.create_study(pruner=pruner, sampler=Shielded(Seeing(), write(here, space=PLAIN, trials=1)))
    for _ in range(12):
        study.add_trial(create_trial(value=0.5, user_attrs={"outcome": "complete"}))
    first = study.ask()
    first.suggest_float("x", 0, 1)
    first.report(0.5, 1)
    first.should_prune()  # now there are brackets
    own = set(range(12))
    for value in (None, 0.9):  # nothing told, and something
        if value is not None:
            study.add_trial(create_trial(value=value))
        for _ in range(6):
            asked = study.ask()
            asked.suggest_float("x", 0, 1)
            mine = pruner._get_bracket_id(study, study._storage.get_trial(asked._trial_id))
            assert seen[-1] == {n for n in own if pruner._get_bracket_id(study, study.get_trials()[n]) == mine} != own


def test_many_trials_are_held_to_the_space_as_each_is(tmp_path):
    space = write(tmp_path, space={name: CONDITIONAL[name] for name in (LOOPS, LR)})
    own = {name: parameter.distribution for name, parameter in space.parameters.items()}
    num, high, rate = f"{LOOPS}.fixed.num_loops", f"{LOOPS}.uniform.high", FloatDistribution(0.1, 1.0)
    fixed, uniform = {LOOPS: "fixed", num: 2, LR: 2e-3}, {LOOPS: "uniform", high: 3, LR: 2e-3}
    cases = [
        (fixed, {}, True), (uniform, {}, True), (fixed, {}, True), (fixed | {high: 3}, {}, False),
        ({LOOPS: "fixed", LR: 2e-3}, {}, False), (uniform, {}, True), (uniform | {LR: 0.5}, {LR: rate}, False),
        ({LR: 2e-3}, {}, False), (uniform | {"other": 0.5}, {"other": rate}, False), (fixed | {num: 4}, {}, True),
    ]  # fmt: skip
    odd = Strays(space)
    for params, others, is_candidate in cases:
        distributions = {name: (own | others)[name] for name in params}
        trial = create_trial(value=0.0, params=params, distributions=distributions)
        assert odd(trial) == outside(space, trial) and (odd(trial) is None) == is_candidate
    declared = {name: own[name] for name in fixed}
    queued = create_trial(value=0.0, params=fixed, distributions=declared, system_attrs={"fixed_params": uniform})
    assert odd(queued) == outside(space, queued) is not None
