"""Pruning on simulated learning curves whose winner is known, alone and on a guard beside several objectives."""

import math

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial
from scipy import stats

from mythos_lab.search.pruners import (
    FLOPS_PER_STEP,
    LOOP_GAIN,
    REPORTS,
    LoopAwarePruner,
    make_pruner,
    read_pruner,
)
from mythos_lab.search.pruners.curve import Curve
from mythos_lab.search.pruners.guard import Guard, guarded, should_prune
from mythos_lab.search.pruners.rank_correlation import FEWEST, rung_ranks
from tests.lab.search.bank import STEPS, early_birds, late_bloomers, simulate

FLAT = [0.2] * 10
STEP = 10


def trial_of(values, *, cost=1.0, gains=None, state=TrialState.COMPLETE, every=STEP):
    """A trial that reported its values every so many steps."""
    steps = [every * (i + 1) for i in range(len(values))]
    attrs = {FLOPS_PER_STEP: cost}
    if gains is not None:
        attrs[LOOP_GAIN] = {str(step): gain for step, gain in zip(steps, gains, strict=True)}
    return create_trial(
        state=state,
        value=values[-1] if state == TrialState.COMPLETE else None,
        intermediate_values=dict(zip(steps, values, strict=True)),
        user_attrs=attrs,
    )


def study_of(peers, direction="minimize"):
    study = optuna.create_study(direction=direction)
    study.add_trials(peers)
    return study


def stops_at(pruner, study, values, *, cost=1.0, gains=None, every=STEP):
    """The report at which a candidate is stopped, from 1 on; 0 if it never is."""
    for reports in range(1, len(values) + 1):
        now = trial_of(
            values[:reports],
            cost=cost,
            gains=gains and gains[:reports],
            state=TrialState.RUNNING,
            every=every,
        )
        now.number = len(study.trials)
        if pruner.prune(study, now):
            return reports
    return 0


def peers(count=4, value=1.0, reports=10, **given):
    return [trial_of([value + i / 100] * reports, **given) for i in range(count)]


BAD = [9.0] * 10
WAIT = dict(min_share=0.1, n_startup_trials=3, patience=3)


# When a trial is judged


def test_without_loops_the_worse_half_stops_at_the_first_rung():
    assert stops_at(LoopAwarePruner(**WAIT), study_of(peers()), BAD) == 1
    assert stops_at(LoopAwarePruner(**WAIT), study_of(peers()), [0.5] * 10) == 0


def test_a_gain_of_zero_is_a_gain_that_has_not_begun():
    """Accuracies are equal to the last digit while a model guesses."""
    assert stops_at(LoopAwarePruner(**WAIT), study_of(peers()), BAD, gains=[0.0] * 10) == 5


def test_loops_that_were_not_measured_yet_are_waited_for():
    running = trial_of(BAD[:2], state=TrialState.RUNNING)
    running.user_attrs = {**running.user_attrs, LOOP_GAIN: {}}
    assert not LoopAwarePruner(**WAIT).prune(study_of(peers()), running)


def test_a_growing_gain_is_waited_for_until_it_flattens():
    gains = [0.0, 0.02, 0.06, 0.14, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2]
    stopped = stops_at(LoopAwarePruner(**WAIT), study_of(peers()), BAD, gains=gains)
    assert stopped == 8  # 5 to 8 is the first doubling in which it hardly grows
    assert stops_at(LoopAwarePruner(**WAIT), study_of(peers()), BAD, gains=FLAT) == 3  # the patience


def test_a_gain_that_grows_to_the_end_is_never_judged():
    gains = [0.02 * i for i in range(1, 11)]
    assert stops_at(LoopAwarePruner(**WAIT), study_of(peers()), BAD, gains=gains) == 0


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_a_gain_that_has_not_begun_is_waited_for_until_a_share_of_the_budget(share):
    noise = [0.004 * (-1) ** i for i in range(10)]
    pruner = LoopAwarePruner(**WAIT, max_wait=share)
    assert stops_at(pruner, study_of(peers()), BAD, gains=noise) == 10 * share


def test_noise_around_nothing_does_not_count_as_begun():
    """One lucky measurement above the least gain does not end the wait."""
    gains = [0.0, 0.0, 0.03, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert stops_at(LoopAwarePruner(**WAIT), study_of(peers()), BAD, gains=gains) == 5


def test_a_gain_works_from_the_least_one_on():
    assert stops_at(LoopAwarePruner(**WAIT, min_gain=0.25), study_of(peers()), BAD, gains=[0.25] * 10) == 3
    assert stops_at(LoopAwarePruner(**WAIT, min_gain=0.25), study_of(peers()), BAD, gains=[0.24] * 10) == 5


def test_a_falling_gain_is_flat():
    gains = [0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1, 0.05]
    assert stops_at(LoopAwarePruner(**WAIT), study_of(peers()), BAD, gains=gains) == 3


def test_a_rung_judges_once():
    """Rungs at 10, 20, 40 and 80: a trial that falls back after each of them passes."""
    pruner = LoopAwarePruner(**WAIT)
    values = [0.5, 0.5, 9.0, 0.5, 9.0, 9.0, 9.0, 0.5, 9.0, 9.0]
    assert stops_at(pruner, study_of(peers()), values) == 0
    assert stops_at(pruner, study_of(peers()), [*values[:3], 9.0, *values[4:]]) == 4


def test_rungs_are_geometric_in_flops():
    pruner = LoopAwarePruner(min_flops=30.0, eta=3.0, n_startup_trials=3)
    assert stops_at(pruner, study_of(peers()), [0.5] * 5 + [9.0] * 5) == 9
    assert stops_at(pruner, study_of(peers()), BAD) == 3


def test_nothing_is_stopped_when_it_is_nearly_done():
    pruner = LoopAwarePruner(min_share=0.95, n_startup_trials=3)
    assert stops_at(pruner, study_of(peers()), BAD) == 0
    assert stops_at(LoopAwarePruner(min_share=0.9, n_startup_trials=3), study_of(peers()), BAD) == 9


# With whom it is compared


def test_only_trials_of_equal_cost_count():
    pruner = LoopAwarePruner(**WAIT)
    assert stops_at(pruner, study_of(peers(cost=1.4)), BAD) > 0
    assert stops_at(pruner, study_of(peers(cost=1.6)), BAD) == 0
    assert stops_at(LoopAwarePruner(**WAIT, cohort_factor=1.7), study_of(peers(cost=1.6)), BAD) > 0


def test_values_are_compared_at_equal_flops():
    """Peers of half the cost per step have, after as many steps, had half of the compute."""
    falling = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
    study = study_of([trial_of(falling, cost=1.0) for _ in range(4)])
    pruner = LoopAwarePruner(min_flops=40.0, n_startup_trials=3, cohort_factor=2.0)
    as_good_by_steps = falling[:5]  # at 40 FLOPs, after two of its reports, it is at .9 and the peers are at .7
    assert stops_at(pruner, study, as_good_by_steps, cost=2.0) == 2
    assert stops_at(pruner, study, [0.85, 0.65, 0.45, 0.25, 0.05], cost=2.0) == 0


def test_too_few_peers_judge_nobody():
    assert stops_at(LoopAwarePruner(**WAIT), study_of(peers(2)), BAD) == 0
    assert stops_at(LoopAwarePruner(**{**WAIT, "n_startup_trials": 2}), study_of(peers(2)), BAD) == 1


def test_no_budget_is_known_before_a_trial_of_the_cohort_has_completed():
    running = peers(4, state=TrialState.RUNNING)
    assert stops_at(LoopAwarePruner(**WAIT), study_of(running), BAD) == 0
    assert stops_at(LoopAwarePruner(min_flops=10.0, n_startup_trials=3), study_of(running), BAD) == 1


def test_pruned_trials_count_at_the_rungs_that_they_reached():
    """Two survivors at .5 and six that were stopped at 20 with 2: at 10 a trial at 1.5 is among the better half."""
    stopped = peers(6, 2.0, reports=2, state=TrialState.PRUNED)
    study = study_of([*peers(2, 0.5), *stopped])
    assert stops_at(LoopAwarePruner(**WAIT), study, [1.5] * 10) == 0
    assert stops_at(LoopAwarePruner(**WAIT), study_of([*peers(2, 0.5), *peers(2, 0.6)]), [1.5] * 10) == 1


def test_failed_trials_are_nobodys_peers():
    assert stops_at(LoopAwarePruner(**WAIT), study_of([*peers(2), *peers(4, state=TrialState.FAIL)]), BAD) == 0


@pytest.mark.parametrize(("percentile", "stopped"), [(75.0, 0), (25.0, 1)])
def test_the_percentile_says_who_goes_on(percentile, stopped):
    study = study_of([trial_of([v] * 10) for v in (1.0, 2.0, 4.0, 5.0)])
    assert stops_at(LoopAwarePruner(**WAIT, percentile=percentile), study, [3.0] * 10) == stopped


def test_who_is_as_good_as_the_percentile_goes_on():
    """Accuracies tie while models guess: nobody would be left."""
    assert stops_at(LoopAwarePruner(**WAIT), study_of([trial_of([1.0] * 10) for _ in range(4)]), [1.0] * 10) == 0


def test_what_is_maximised_is_mirrored():
    study = study_of([trial_of([-v.value] * 10) for v in peers()], "maximize")
    assert stops_at(LoopAwarePruner(**WAIT), study, [-9.0] * 10) == 1
    assert stops_at(LoopAwarePruner(**WAIT), study, [-0.5] * 10) == 0


def test_a_value_that_is_no_number_stops_and_is_nobodys_peer():
    assert stops_at(LoopAwarePruner(**WAIT), study_of([]), [1.0, math.nan, 1.0]) == 2
    lost = [trial_of([math.nan] * 10, state=TrialState.PRUNED) for _ in range(5)]
    assert stops_at(LoopAwarePruner(**WAIT), study_of([*lost, *peers(2)]), BAD) == 0


def test_a_trial_without_its_cost_is_a_mistake_and_as_a_peer_left_out():
    study = optuna.create_study(pruner=LoopAwarePruner())
    trial = study.ask()
    trial.report(1.0, 10)
    with pytest.raises(ValueError, match="trial 0: loop_aware needs the user attribute 'flops_per_step'"):
        trial.should_prune()
    bare = [create_trial(value=1.0, intermediate_values={10: 1.0}) for _ in range(5)]
    assert stops_at(LoopAwarePruner(**WAIT), study_of(bare), BAD) == 0


def test_who_has_reported_nothing_goes_on():
    running = trial_of([], state=TrialState.RUNNING)
    assert LoopAwarePruner(**WAIT).prune(study_of(peers()), running) is False


@pytest.mark.parametrize(
    ("option", "refused", "taken"),
    [
        ("eta", [1.0, math.inf], [1.01]), ("min_share", [0.0, 1.0], [0.01, 0.99]), ("min_flops", [0.0, math.inf], [0.5]),
        ("percentile", [0.0, 100.0], [0.5, 99.5]), ("cohort_factor", [0.99], [1.0]), ("n_startup_trials", [0], [1]),
        ("patience", [1], [2]), ("tolerance", [-0.01], [0.0]), ("min_gain", [-0.01], [0.0]), ("max_wait", [-0.01], [0.0]),
    ],
)  # fmt: skip
def test_options_are_taken_up_to_their_bounds(option, refused, taken):
    for value in taken:
        LoopAwarePruner(**{option: value})
    for value in refused:
        with pytest.raises(ValueError, match=f"^{option} is {value}, and has to be "):
            LoopAwarePruner(**{option: value})


def test_curves_are_linear_in_the_logarithm_of_flops():
    curve = Curve.of(trial_of([4.0, 3.0, 2.0, 1.0], cost=2.0))
    assert curve.at(20.0) == 4.0 and curve.at(40.0) == 3.0
    assert curve.at(20 * math.sqrt(2)) == pytest.approx(3.5)
    assert curve.at(19.0) is None and curve.at(81.0) is None


# Simulated studies


PRUNERS = {
    "median": "median",
    "hyperband": {"kind": "hyperband", "min_resource": 50, "max_resource": 1000},
    "loop_aware": "loop_aware",
}


def outcomes(bank, name, num_studies=30, num_candidates=40, num_workers=1):
    runs = []
    for seed in range(num_studies):
        candidates = bank(np.random.default_rng(seed), num_candidates)
        runs.append(simulate(candidates, make_pruner(read_pruner(PRUNERS[name])), num_workers))
    return {
        "kept": np.mean([run.kept for run in runs]),
        "regret": np.mean([run.regret for run in runs]),
        "saved": np.mean([run.saved for run in runs]),
    }


@pytest.fixture(scope="module")
def late():
    return {name: outcomes(late_bloomers, name) for name in PRUNERS}


@pytest.fixture(scope="module")
def early():
    return {name: outcomes(early_birds, name) for name in PRUNERS}


def test_late_bloomers_that_win_are_killed_by_others_and_kept_by_loop_aware(late):
    assert late["median"]["kept"] < 0.5 and late["hyperband"]["kept"] < 0.5
    assert late["loop_aware"]["kept"] >= 0.95


def test_workers_that_train_at_once_keep_the_winner_too():
    together = outcomes(late_bloomers, "loop_aware", num_studies=15, num_workers=4)
    assert together["kept"] >= 0.95 and together["saved"] > 0.08


def test_loop_aware_still_saves_flops_on_losers(late):
    assert late["loop_aware"]["saved"] > 0.1


def test_without_late_bloomers_loop_aware_loses_no_quality_and_saves_half_as_much_as_the_median(early):
    assert early["loop_aware"]["regret"] <= early["median"]["regret"] + 0.002
    assert early["loop_aware"]["saved"] > 0.5 * early["median"]["saved"]


# Rank correlations


def test_tau_is_scipys_between_the_rung_and_the_end():
    rng = np.random.default_rng(0)
    ends = rng.normal(size=20)
    early = ends + 0.5 * rng.normal(size=20)
    (rank,) = rung_ranks([trial_of([a, a, b, b]) for a, b in zip(early, ends, strict=True)], shares=[0.5])
    assert rank.tau == pytest.approx(stats.kendalltau(early, ends).statistic)
    assert rank.low < rank.tau < rank.high and rank.outcome == "predicts" and rank.num_trials == 20


def test_too_few_trials_are_called_so():
    trials = [trial_of([float(i), float(i)]) for i in range(FEWEST - 1)]
    (rank,) = rung_ranks(trials, shares=[0.5])
    assert (rank.outcome, rank.tau) == ("too few", None)
    assert str(rank) == "all trials, at 50% of training: too few completed trials to tell (7 of 8)"
    assert rung_ranks([], shares=[0.5])[0].num_trials == 0
    assert rung_ranks([*trials, trial_of([9.0, 9.0])], shares=[0.5])[0].outcome == "predicts"


def test_trials_that_did_not_complete_have_no_final_value():
    trials = [trial_of([float(i), float(i)], state=TrialState.PRUNED) for i in range(20)]
    assert rung_ranks(trials, shares=[0.5])[0].num_trials == 0


def test_late_bloomers_show_as_cohorts_that_predict_while_all_trials_do_not():
    done = simulate(late_bloomers(np.random.default_rng(0), 80), optuna.pruners.NopPruner()).study.trials
    everyone, *cohorts = LoopAwarePruner(min_share=0.25, eta=4).ranks(done)
    assert everyone.cohort is None and everyone.outcome == "unclear" and everyone.tau < 0.1
    assert [rank.cohort for rank in cohorts] == [(2e9, 3e9), (9e9, 9e9), (17e9, 17e9)]
    assert all(rank.tau > 0.25 for rank in cohorts) and cohorts[0].outcome == "predicts"


@pytest.mark.parametrize(
    ("options", "shares"),
    [
        ({}, [0.125, 0.25, 0.5]), ({"min_share": 0.05, "eta": 4.0}, [0.05, 0.2, 0.8]), ({"min_share": 0.6}, [0.6]),
        ({"min_flops": 1e9, "min_share": 0.3}, [0.125, 0.25, 0.5]), ({"min_share": 0.45}, [0.45]),
    ],
)  # fmt: skip
def test_ranks_are_looked_at_where_it_judges(options, shares):
    done = [trial_of([1.0, 0.5], cost=cost) for cost in (1.0, 1.3, 1.45)]
    ranks = LoopAwarePruner(**options, cohort_factor=1.4).ranks(done)
    assert [rank.share for rank in ranks if rank.cohort is None] == pytest.approx(shares)
    assert {rank.cohort for rank in ranks} - {None} == {(1.0, 1.3), (1.45, 1.45)}


@pytest.mark.parametrize("tau", [0.0, 0.5])
def test_intervals_hold_the_truth(tau):
    """Normal pairs of correlation r have tau = 2/pi asin(r)."""
    rng = np.random.default_rng(1)
    r, held = math.sin(math.pi * tau / 2), 0
    for _ in range(25):
        ends = rng.normal(size=12)
        early = r * ends + math.sqrt(1 - r * r) * rng.normal(size=12)
        (rank,) = rung_ranks([trial_of([a, b]) for a, b in zip(early, ends, strict=True)], shares=[0.5])
        held += rank.low <= tau <= rank.high
    assert held >= 21


# Guards


GUARDED = {
    **PRUNERS,
    "percentile": {"kind": "percentile", "percentile": 30.0},
    "successive_halving": {"kind": "successive_halving", "min_resource": 50},
    "patient": {"kind": "patient", "wrapped_pruner": "median", "patience": 2},
}


GUARDED_METRIC = {"minimize": "val/loss", "maximize": "val/accuracy"}


def stopped_with_one_objective(bank, pruner, direction):
    sign = 1 if direction == "minimize" else -1
    study = optuna.create_study(study_name="same", pruner=pruner, direction=direction)
    for run in bank:
        trial = study.ask()
        _describe(trial, run)
        for step, loss in zip(STEPS, run.losses, strict=True):
            trial.report(sign * float(loss), int(step))
            if trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                break
        else:
            study.tell(trial, sign * float(run.losses[-1]))
    return [(t.state, t.last_step) for t in study.trials]


def stopped_with_a_guard(bank, pruner, direction, studies):
    """The same with a second objective; trials go to the studies in turn, as to workers."""
    sign = 1 if direction == "minimize" else -1
    for index, run in enumerate(bank):
        study = studies[index % len(studies)]
        trial = study.ask()
        _describe(trial, run)
        reports = {}
        for step, loss in zip(STEPS, run.losses, strict=True):
            reports[str(step)] = sign * float(loss)
            trial.set_user_attr(REPORTS, reports)
            if should_prune(study, trial, pruner, Guard(metric=GUARDED_METRIC[direction], direction=direction)):
                study.tell(trial, state=TrialState.PRUNED)
                break
        else:
            study.tell(trial, [1.0, 2.0])
    return [(t.state, max(map(int, t.user_attrs[REPORTS]))) for t in studies[0].trials]


def _describe(trial, run):
    trial.set_user_attr(FLOPS_PER_STEP, run.flops_per_step)
    if run.gains is not None:
        trial.set_user_attr(LOOP_GAIN, {str(s): float(g) for s, g in zip(STEPS, run.gains, strict=True)})


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize("name", GUARDED)
def test_on_a_guard_a_pruner_stops_what_it_stops_in_a_study_of_one_objective(name, direction):
    bank = early_birds(np.random.default_rng(0), 30)
    alone = stopped_with_one_objective(bank, make_pruner(read_pruner(GUARDED[name])), direction)
    study = optuna.create_study(study_name="same", directions=["minimize", "maximize"])
    both = stopped_with_a_guard(bank, make_pruner(read_pruner(GUARDED[name])), direction, [study])
    assert both == alone
    assert any(state is TrialState.PRUNED for state, _ in both) or name == "patient"


@pytest.mark.parametrize("name", ["successive_halving", "median", "loop_aware"])
def test_workers_share_what_a_guard_knows(name, tmp_path):
    bank = early_birds(np.random.default_rng(1), 16)
    storages = [JournalStorage(JournalFileBackend(str(tmp_path / "journal.log"))) for _ in range(2)]
    studies = [
        optuna.create_study(study_name="same", storage=s, directions=["minimize"] * 2, load_if_exists=True)
        for s in storages
    ]
    alone = stopped_with_one_objective(bank, make_pruner(read_pruner(GUARDED[name])), "minimize")
    assert stopped_with_a_guard(bank, make_pruner(read_pruner(GUARDED[name])), "minimize", studies) == alone


def test_a_guard_leaves_the_study_as_it_was():
    study = optuna.create_study(directions=["minimize", "maximize"])
    bank = early_birds(np.random.default_rng(0), 12)
    stopped_with_a_guard(bank, make_pruner(read_pruner("median")), "minimize", [study])
    assert all(not t.intermediate_values for t in study.trials)
    assert all(t.values == [1.0, 2.0] for t in study.trials if t.state is TrialState.COMPLETE)
    assert len(study.best_trials) == sum(t.state is TrialState.COMPLETE for t in study.trials)
    assert {t.value for t in guarded(study.trials)} - {None} == {
        float(run.losses[-1]) for run, t in zip(bank, study.trials, strict=True) if t.state is TrialState.COMPLETE
    }


def test_a_guard_looks_at_a_finished_trial_once(monkeypatch):
    """So that its price does not grow with the study: finished trials are most of it."""
    from mythos_lab.search.pruners import guard

    looked = []
    face = guard._face
    monkeypatch.setattr(guard, "_face", lambda trial: looked.append(trial.number) or face(trial))
    study = optuna.create_study(directions=["minimize", "maximize"])
    bank = early_birds(np.random.default_rng(0), 12)
    stopped_with_a_guard(bank, optuna.pruners.NopPruner(), "minimize", [study])
    looked.clear()
    pruner, trial = make_pruner(read_pruner("median")), study.ask()
    trial.set_user_attr(REPORTS, {"50": 1.0})
    for _ in range(10):
        should_prune(study, trial, pruner, Guard())
    assert all(looked.count(number) == 1 for number in range(12))


def test_a_guard_is_biased():
    """A trial that is the best in the other objective is stopped all the same."""
    study = optuna.create_study(directions=["minimize", "minimize"])
    pruner = optuna.pruners.MedianPruner(n_startup_trials=1)
    guard = Guard()
    for loss, flops in ((1.0, 100.0), (1.1, 90.0), (5.0, 1.0)):
        trial = study.ask()
        trial.set_user_attr(REPORTS, {"10": loss})
        if stop := should_prune(study, trial, pruner, guard):
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, [loss, flops])
    assert stop


@pytest.mark.parametrize("metric, direction", [("val/accuracy", "MAXIMIZE"), ("val/loss", "MINIMIZE")])
def test_a_guard_has_its_metric_s_own_direction(metric, direction):
    assert Guard(metric=metric).optuna_direction.name == direction
    with pytest.raises(ValueError, match="says otherwise"):
        Guard(metric=metric, direction="minimize" if direction == "MAXIMIZE" else "maximize")
    with pytest.raises(ValueError, match="neither way is better for halting/mean_loops by itself"):
        Guard(metric="halting/mean_loops")
    assert Guard(metric="halting/mean_loops", direction="minimize").optuna_direction.name == "MINIMIZE"
