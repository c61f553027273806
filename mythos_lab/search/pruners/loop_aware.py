"""Pruning that does not kill deep loops before they have begun to pay.

A loop's gain is near zero at first and grows later; until it has, a deep candidate looks like a shallow one that was
trained for fewer steps, and a pruner that compares early values kills it. What is different here:

* A trial is judged only once its measured loop gain has flattened. A gain that has not begun to grow is flat as well,
  and does not count as such before half of the budget.
* A trial is compared only with those whose steps cost about the same.
* Budgets are training FLOPs: rungs are spaced by them, and values are compared at equal ones.
* ``ranks`` says, from completed trials, how well a value at a rung predicts the final one.

Rungs are asynchronous, as in ASHA (1810.05934): nobody waits for others. What cannot be compared is not pruned: early
trials, and trials alone in their cohort.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from optuna.pruners import BasePruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from mythos_lab.search.pruners.curve import FLOPS_PER_STEP, Curve, costs_alike
from mythos_lab.search.pruners.rank_correlation import RungRank, rung_ranks

_LAST = 0.9  # of the usual budget: what is nearly done is worth more finished than stopped


class LoopAwarePruner(BasePruner):
    """Prunes by rungs of training FLOPs, within cohorts of equal cost, once loop gains have flattened.

    The worker writes the user attributes named in ``curve`` into each trial.

    Args:
        eta: Ratio of a rung's FLOPs to those of the rung before it.
        min_share: The first rung, as a share of the FLOPs that completed trials of the cohort took (their median).
        min_flops: The first rung in training FLOPs, instead of ``min_share``.
        percentile: Percentage of a cohort that goes on at a rung, the best of those that reached it.
        cohort_factor: The largest ratio of FLOPs per step at which two trials are compared. Of equal FLOPs the dearer
            one gets fewer steps, so that a wide cohort kills deep loops after all: with 2, where the simulated late
            bloomers share one, a fifth of the winners is lost.
        n_startup_trials: Trials of the cohort, besides this one, that must have reached its FLOPs.
        patience: Measured gains that are looked at, at least: those of the last doubling of FLOPs, or so many.
        tolerance: A gain is flat when it grows by less than this share of its largest value in a doubling of FLOPs.
        min_gain: Gain from which on a loop counts as working, in the unit of ``loops/gain``.
        max_wait: Share of the cohort's usual FLOPs after which a trial is judged although its gain has not begun.

    Raises:
        ValueError: An option is out of its range.
    """

    def __init__(
        self,
        *,
        eta: float = 2.0,
        min_share: float = 0.125,
        min_flops: float | None = None,
        percentile: float = 50.0,
        cohort_factor: float = 1.5,
        n_startup_trials: int = 3,
        patience: int = 4,
        tolerance: float = 0.1,
        min_gain: float = 0.01,
        max_wait: float = 0.5,
    ) -> None:
        for name, value, low, high in (
            ("eta", eta, 1.0, math.inf),
            ("min_share", min_share, 0.0, 1.0),
            ("min_flops", 1.0 if min_flops is None else min_flops, 0.0, math.inf),
            ("percentile", percentile, 0.0, 100.0),
        ):
            if not low < value < high:
                raise ValueError(f"{name} is {value}, and has to be between {low:g} and {high:g}")
        for name, value, least in (
            ("cohort_factor", cohort_factor, 1.0),
            ("n_startup_trials", n_startup_trials, 1),
            ("patience", patience, 2),
            ("tolerance", tolerance, 0.0),
            ("min_gain", min_gain, 0.0),
            ("max_wait", max_wait, 0.0),
        ):
            if value < least:
                raise ValueError(f"{name} is {value}, and has to be at least {least:g}")
        self._eta, self._min_share, self._min_flops = eta, min_share, min_flops
        self._percentile, self._cohort_factor, self._n_startup_trials = percentile, cohort_factor, n_startup_trials
        self._patience, self._tolerance, self._min_gain, self._max_wait = patience, tolerance, min_gain, max_wait

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether the trial should stop at its last report.

        Raises:
            ValueError: The trial has no ``flops_per_step``.
        """
        if FLOPS_PER_STEP not in trial.user_attrs:
            raise ValueError(f"trial {trial.number}: loop_aware needs the user attribute {FLOPS_PER_STEP!r}")
        curve = Curve.of(trial)
        if curve is None:
            return False
        if math.isnan(curve.values[-1]):
            return True
        cohort = self._cohort(study, trial, curve)
        budgets = [other.flops[-1] for other, completed in cohort if completed]
        usual = float(np.median(budgets)) if budgets else None
        if not self._is_due(curve, usual):
            return False
        now = float(curve.flops[-1])
        peers = [value for other, _ in cohort if (value := other.at(now)) is not None and not math.isnan(value)]
        if len(peers) < self._n_startup_trials:
            return False
        sign = 1.0 if study.direction == StudyDirection.MINIMIZE else -1.0
        values = sign * np.array([*peers, curve.values[-1]])
        return bool(values[-1] > np.percentile(values, self._percentile))

    def ranks(self, trials: Iterable[FrozenTrial]) -> list[RungRank]:
        """How well values at its rungs predict final ones, over all completed trials and within cohorts.

        A first rung that was given in FLOPs is another share of training in each cohort; rungs from an eighth on are
        looked at then.
        """
        shares = [0.125 if self._min_flops else self._min_share]
        while shares[-1] * self._eta < _LAST:
            shares.append(shares[-1] * self._eta)
        return rung_ranks(trials, shares=shares, cohort_factor=self._cohort_factor)

    def _cohort(self, study: Study, trial: FrozenTrial, curve: Curve) -> list[tuple[Curve, bool]]:
        """The curves of the others whose steps cost the same, and whether they are complete.

        Pruned and running ones are among them: those that were stopped reached this rung or did not, and leaving them
        out would hold a trial against survivors only.
        """
        states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
        return [
            (other, t.state == TrialState.COMPLETE)
            for t in study.get_trials(deepcopy=False, states=states)
            if t.number != trial.number
            and costs_alike(t.user_attrs.get(FLOPS_PER_STEP, math.inf), curve.flops_per_step, self._cohort_factor)
            and (other := Curve.of(t)) is not None
        ]

    def _is_due(self, curve: Curve, usual: float | None) -> bool:
        """Whether the last report is the first one of its rung at which the trial may be judged."""
        first = self._min_flops or (self._min_share * usual if usual is not None else None)
        now = curve.flops[-1]
        if first is None or now < first or (usual is not None and now > _LAST * usual):
            return False
        rungs = np.floor(np.log(curve.flops / first * (1 + 1e-9)) / math.log(self._eta))
        same_rung = curve.flops[rungs == rungs[-1]]
        due = [flops for flops in same_rung if self._is_settled(curve, float(flops), usual)]
        return bool(due) and due[0] == now

    def _is_settled(self, curve: Curve, flops: float, usual: float | None) -> bool:
        """Whether the gain had flattened at these FLOPs."""
        past = curve.gain_flops <= flops * (1 + 1e-9)
        gains, at = curve.gains[past], curve.gain_flops[past]
        if not curve.is_looped:
            return True
        if len(gains) < self._patience:
            return False
        window = max(self._patience, int((at > at[-1] / 2).sum()))
        recent, doublings = gains[-window:], np.log2(at[-window:])
        if np.median(recent) < self._min_gain:
            return usual is not None and flops >= self._max_wait * usual
        centred = doublings - doublings.mean()
        slope = float(centred @ recent / (centred @ centred))
        return slope <= self._tolerance * float(gains.max())
