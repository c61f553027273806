"""Samplers by name: checked before anything runs, chosen with a reason, refused where they would draw at random."""

import inspect
import json
import warnings

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from mythos_lab.search.named import DEPRECATED
from mythos_lab.search.pruners import PRUNERS, make_pruner, read_pruner
from mythos_lab.search.samplers import (
    SAMPLERS,
    StudyFacts,
    choose,
    make_sampler,
    read_sampler,
    resolve_sampler,
    sampler_settings,
)
from mythos_lab.search.samplers.prior import Prior

FACTS = StudyFacts(num_trials=40, num_params=2)
SAMPLES = {bool: True, int: 2, float: 0.5}


def made(written, facts=FACTS, **given):
    named, _ = resolve_sampler(written, facts)
    return make_sampler(named, facts, **{"seed": 0, **given})


def study_of(written, facts=FACTS, **given):
    return optuna.create_study(sampler=made(written, facts, **given))


def plane(study, num_trials, *, state=None):
    """Minimise the distance to a corner; where ``state`` is given, that corner's half of the plane ends with it."""
    asked = []
    for _ in range(num_trials):
        trial = study.ask()
        x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
        violation = x + y - 1
        asked.append((x, y, violation > 0))
        if state is TrialState.PRUNED:
            trial.set_constraint("half", violation)
        if state is not None and violation > 0:
            study.tell(trial, state=state)
        else:
            study.tell(trial, (x - 1) ** 2 + (y - 1) ** 2)
    return asked


# What can be written


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("tpee", "unknown sampler 'tpee'; did you mean 'tpe'"),
        ({"kind": "tpe", "n_startup_trails": 5}, "tpe: unknown option 'n_startup_trails'; did you mean 'n_startup_trials'"),
        ({"kind": "tpe", "n_startup_trials": "5"}, "tpe: n_startup_trials: expected int, found '5'"),
        ({"kind": "tpe", "n_startup_trials": True}, "expected int, found True"),
        ({"kind": "tpe", "constant_liar": 1}, "expected bool, found 1"),
        ({"kind": "tpe", "gamma": 5}, "'gamma' is not offered: Optuna deprecates it"),
        ({"kind": "tpe", "seed": 5}, "'seed' is not offered: the study's seed is used"),
        ({"kind": "nsgaii", "crossover": "sbx"}, "takes an object that YAML cannot say"),
        ({"kind": "tpe", "multivariate": False}, "tpe: ``group`` option can only be enabled"),
        ({"kind": "qmc", "qmc_type": "sobel"}, "qmc: The `qmc_type='sobel'` is invalid"),
        ("brute_force", "not offered: grid enumerates finite spaces"),
        ({"n_startup_trials": 5}, "expected a sampler's kind"),
        (3, "expected a sampler's kind"),
    ],
)  # fmt: skip
def test_a_mistake_is_said_with_the_nearest_choice(written, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace("[", r"\[")):
        read_sampler(written)


def test_options_as_written_reach_the_sampler():
    sampler = made({"kind": "tpe", "n_startup_trials": 7, "n_ei_candidates": 99, "group": False})
    assert (sampler._n_startup_trials, sampler._n_ei_candidates, sampler._group) == (7, 99, False)
    assert made({"kind": "nsgaii", "crossover_prob": 1})._child_generation_strategy._crossover_prob == 1


@pytest.mark.parametrize("catalogue", [SAMPLERS, PRUNERS], ids=["samplers", "pruners"])
def test_no_option_that_is_offered_is_deprecated_and_those_that_are_called_so_are(catalogue):
    for kind, entry in catalogue.entries.items():
        required = {n: SAMPLES[o.types[0]] for n, o in entry.options().items() if o.required and o.types[0] in SAMPLES}
        if kind == "patient":
            required["wrapped_pruner"] = None
        for name, option in entry.options().items():
            value = next((SAMPLES[t] for t in option.types if t in SAMPLES), None)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", FutureWarning)
                warnings.simplefilter("error", DeprecationWarning)
                try:
                    entry.make(**{**required, name: value})
                except (TypeError, ValueError):
                    pass  # the constructor's own limits: what it warns of comes first
        for name in (n for n, why in entry.withheld.items() if why == DEPRECATED):
            assert name in inspect.signature(entry.make).parameters
            with pytest.warns(FutureWarning, match="deprecated|Deprecated"):
                entry.make(**{name: {"x": 0.5} if name == "x0" else "ipop" if name == "restart_strategy" else 1})


def test_every_sampler_of_optuna_is_offered_or_withheld_with_a_reason():
    offered = {entry.make.__name__.removeprefix("AllEnds") for entry in SAMPLERS.entries.values()}
    elsewhere = {"BaseSampler", "BaseGASampler", "GridSampler", "BruteForceSampler", "PartialFixedSampler"}
    classes = {n for n in optuna.samplers.__all__ if inspect.isclass(getattr(optuna.samplers, n))}
    assert classes - offered == elsewhere


def test_known_warnings_are_silent_and_those_a_user_asks_for_are_not():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in ("tpe", "gp", "nsgaii", "nsgaiii", "cmaes", "qmc", "random"):
            made(kind)
    with pytest.warns(optuna.exceptions.ExperimentalWarning, match="with_margin"):
        made({"kind": "cmaes", "with_margin": True})


def test_settings_name_every_option_and_are_json():
    named, _ = resolve_sampler({"kind": "tpe", "n_ei_candidates": 9}, FACTS)
    assert json.loads(json.dumps(sampler_settings(named, FACTS))) == {
        "kind": "tpe", "n_startup_trials": 10, "n_ei_candidates": 9, "multivariate": True, "group": True,
        "constant_liar": True,
    }  # fmt: skip


# Which sampler


@pytest.mark.parametrize(
    ("facts", "kind", "reason"),
    [
        (dict(num_trials=50, finite_size=50), "grid", "all 50 candidates fit into 50 trials"),
        (dict(num_trials=50, finite_size=51), "gp", "few enough to model exactly"),
        (dict(num_trials=50, num_conditional=2), "tpe", "2 fields exist only with a certain choice"),
        (dict(num_trials=200), "gp", "200 trials are few enough"),
        (dict(num_trials=201), "tpe", "201 trials are too many for gp"),
        (dict(num_trials=50, prunes=True), "tpe", "trials may be pruned"),
        (dict(num_trials=50, vetoes=True, prunes=True), "tpe", "trials may be vetoed and pruned"),
        (dict(num_trials=1500, num_objectives=2), "nsgaii", "2 objectives in over 1,000 trials"),
        (dict(num_trials=1500, num_objectives=4), "nsgaiii", "4 objectives"),
        (dict(num_trials=1500, num_objectives=2, num_conditional=1), "tpe", "1 field exists only"),
    ],
)
def test_the_choice_has_its_reason(facts, kind, reason):
    facts = StudyFacts(num_params=3, **facts)
    assert choose(facts)[0] == kind and reason in choose(facts)[1]
    named, why = resolve_sampler("auto", facts)
    assert (named.kind, why) == choose(facts)


def test_a_sampler_that_is_named_is_taken():
    assert resolve_sampler("random", StudyFacts(50, 1, finite_size=3))[0].kind == "random"


def test_priors_are_no_reason_for_a_grid():
    facts = StudyFacts(50, 1, finite_size=3)
    assert resolve_sampler("auto", facts, {"x": Prior(1)})[0].kind != "grid"
    with pytest.raises(ValueError, match="grid: takes every candidate, so that priors have no effect"):
        resolve_sampler("grid", facts, {"x": Prior(1)})


# What is refused, and that it would have been wrong


@pytest.mark.parametrize(
    ("written", "facts", "message"),
    [
        ("gp", dict(num_conditional=1), "gp: 1 field exists only with a certain choice and would be drawn at random"),
        ("gp", dict(num_trials=501), "gp: one proposal takes 2.8 s"),
        ("nsgaii", dict(num_conditional=1), "nsgaii: 1 field "),
        ("nsgaiii", dict(num_conditional=1), "nsgaiii: 1 field "),
        ("qmc", dict(num_conditional=1), "qmc: 1 field "),
        ("cmaes", dict(num_conditional=1), "cmaes: 1 field "),
        ("cmaes", dict(num_categorical=2), "cmaes: 2 fields are choices and would be drawn at random"),
        ("cmaes", dict(num_objectives=2), "cmaes: has one objective, and the study has 2"),
        ("cmaes", dict(vetoes=True), "cmaes: does not use constraints"),
        ("grid", dict(), "grid: a continuous field has no finite number of values"),
        ("grid", dict(finite_size=41), "grid: has 41 candidates, and 40 trials are planned"),
        ({"kind": "nsgaii", "population_size": 40}, dict(), "population_size=40 of 40 trials are random"),
        ({"kind": "tpe", "n_startup_trials": 40}, dict(), "n_startup_trials=40 of 40 trials are random"),
        ("nsgaii", dict(num_trials=4), "population_size=4 of 4 trials are random"),
    ],
)
def test_what_a_sampler_cannot_do_is_refused(written, facts, message):
    with pytest.raises(ValueError, match=message):
        resolve_sampler(written, StudyFacts(**{"num_trials": 40, "num_params": 3, **facts}))


@pytest.mark.parametrize("written", ["gp", "nsgaii", "cmaes"])
def test_conditional_fields_are_indeed_not_modelled(written):
    assert "gated" not in _modelled(written)


def test_tpe_models_conditional_fields():
    assert "gated" in _modelled("tpe")


def _modelled(written):
    study = study_of(written)
    for number in range(12):
        trial = study.ask()
        x = trial.suggest_float("x", 0, 1)
        study.tell(trial, x + trial.suggest_float("gated", 0, 1) if number % 2 else x)
    return study.sampler.infer_relative_search_space(study, study.trials[-1])


def test_cmaes_indeed_ignores_choices_and_constraints():
    study = study_of("cmaes")
    for _ in range(3):
        trial = study.ask()
        trial.suggest_categorical("kind", ["a", "b"])
        trial.set_constraint("limit", 1.0)
        with pytest.warns(UserWarning, match="CmaEsSampler will not use them"):
            study.tell(trial, trial.suggest_float("x", 0, 1))
    assert set(study.sampler.infer_relative_search_space(study, study.trials[-1])) == {"x"}


def test_qmc_spreads_choices_evenly():
    """Optuna 5 gives a choice a coordinate of its own, so that QMC need not refuse it."""
    study = study_of("qmc", StudyFacts(33, 2, 1))
    for _ in range(33):
        trial = study.ask()
        trial.suggest_categorical("kind", ["a", "b", "c", "d"])
        study.tell(trial, trial.suggest_float("x", 0, 1))
    kinds = [t.params["kind"] for t in study.trials[1:]]  # the first trial is not of the sequence
    assert {kind: kinds.count(kind) for kind in "abcd"} == dict.fromkeys("abcd", 8)


# Vetoed and failed trials


def test_tpe_learns_from_vetoed_trials_only_if_they_are_pruned():
    shares = {}
    for state in (TrialState.PRUNED, TrialState.FAIL):
        asked = [plane(study_of("tpe", seed=seed), 40, state=state)[-20:] for seed in range(5)]
        shares[state] = np.mean([ended for trials in asked for _, _, ended in trials])
    assert shares[TrialState.PRUNED] < 0.5 < 0.8 < shares[TrialState.FAIL]


@pytest.mark.parametrize("state", [TrialState.PRUNED, TrialState.FAIL])
def test_gp_leaves_vetoed_and_failed_candidates_where_optunas_own_repeats_them(state):
    own = plane(optuna.create_study(sampler=optuna.samplers.GPSampler(seed=0)), 40, state=TrialState.FAIL)[-10:]
    asked = plane(study_of("gp"), 40, state=state)[-10:]
    assert all(ended for *_, ended in own) and sum(ended for *_, ended in asked) <= 5
    distinct = [len({(round(x, 2), round(y, 2)) for x, y, _ in trials}) for trials in (own, asked)]
    assert distinct[0] <= 3 and distinct[1] >= 8


def test_gp_without_an_end_but_completion_is_optunas_own():
    ours = plane(study_of({"kind": "gp", "n_startup_trials": 10}, seed=3), 14)
    seed = made("gp", seed=3)._rng.rng.get_state()[1][0]
    theirs = plane(optuna.create_study(sampler=optuna.samplers.GPSampler(seed=int(seed))), 14)
    assert ours == theirs


def test_vetoed_trials_are_never_parents():
    study = study_of({"kind": "nsgaii", "population_size": 5})
    plane(study, 40, state=TrialState.PRUNED)
    generations = range(1, 1 + max(t.system_attrs.get("NSGAIISampler:generation", 0) for t in study.trials))
    parents = [t for g in generations for t in study.sampler.get_parent_population(study, g)]
    assert parents and all(t.state is TrialState.COMPLETE for t in parents)


# Seeds


@pytest.mark.parametrize("written", ["tpe", "random"])
def test_workers_and_later_sessions_draw_other_trials_and_the_same_seed_the_same(written):
    first = plane(study_of(written), 5)
    assert first == plane(study_of(written), 5)
    for other in (dict(seed=1), dict(worker=1), dict(num_before=5)):
        assert not set(first) & set(plane(study_of(written, **other), 5))


def test_workers_share_one_sequence_of_points():
    alone = study_of({"kind": "qmc", "scramble": True})
    plane(alone, 9)
    storage = optuna.storages.InMemoryStorage()
    workers = [
        optuna.create_study(
            storage=storage, study_name="shared", load_if_exists=True,
            sampler=made({"kind": "qmc", "scramble": True}, worker=index),
        )
        for index in range(2)
    ]  # fmt: skip
    for index in range(9):
        plane(workers[index % 2], 1)
    points = [sorted(tuple(t.params.values()) for t in s.trials[1:]) for s in (alone, workers[0])]
    assert points[0] == points[1]


# The grid's queue


def test_a_grid_runs_what_is_queued_and_proposes_nothing():
    study = study_of("grid", StudyFacts(40, 1, finite_size=2))
    for x in (0.25, 0.75):
        study.enqueue_trial({"x": x})
    for x in (0.25, 0.75):
        trial = study.ask()
        assert trial.suggest_float("x", 0, 1) == x
        study.tell(trial, x)
    with pytest.raises(RuntimeError, match="trial 2: no value of x is queued"):
        study.ask().suggest_float("x", 0, 1)


def test_a_grid_needs_no_value_for_what_has_one_only():
    study = study_of("grid", StudyFacts(40, 1, finite_size=2))
    assert study.ask({"x": FloatDistribution(1, 1)}).params == {"x": 1.0}


# Pruners by name


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("medium", "unknown pruner 'medium'; did you mean 'median'"),
        ("percentile", r"percentile: percentile is required \(float\), and missing"),
        ({"kind": "percentile", "percentile": 120}, "percentile: Percentile must be between 0 and 100"),
        ({"kind": "patient", "wrapped_pruner": {"kind": "medium"}, "patience": 2}, "patient: wrapped_pruner: unknown pruner"),
        ({"kind": "patient", "wrapped_pruner": {"kind": "median", "warmup": 1}, "patience": 2}, "median: unknown option"),
        ("threshold", "threshold: Either lower or upper must be specified"),
        ({"kind": "hyperband", "max_resource": 9.5}, "hyperband: max_resource: expected str or int, found 9.5"),
        ("wilcoxon", "not offered: its steps are independent instances"),
        ("nop", "not offered: write none"),
        ({"kind": "loop_aware", "eta": 1.0}, "loop_aware: eta is 1.0, and has to be between 1 and inf"),
        ({"kind": "loop_aware", "cohort_factor": 0.5}, "loop_aware: cohort_factor is 0.5, and has to be at least 1"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_pruner_is_said(written, message):
    with pytest.raises(ValueError, match=message):
        read_pruner(written)


def test_pruners_nest():
    named = read_pruner({"kind": "patient", "wrapped_pruner": {"kind": "percentile", "percentile": 25}, "patience": 2})
    pruner = make_pruner(named)
    assert isinstance(pruner._wrapped_pruner, optuna.pruners.PercentilePruner)
    assert pruner._wrapped_pruner._percentile == 25 and pruner._patience == 2
    assert json.loads(json.dumps(named.asdict())) == {
        "kind": "patient", "wrapped_pruner": {"kind": "percentile", "percentile": 25}, "patience": 2,
    }  # fmt: skip


@pytest.mark.parametrize("written", ["none", "median", "successive_halving", "hyperband", "loop_aware"])
def test_a_pruner_needs_no_options(written):
    assert isinstance(make_pruner(read_pruner(written)), optuna.pruners.BasePruner)
