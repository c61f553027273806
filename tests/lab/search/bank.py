"""Banks of learning curves whose winner is known, and studies simulated on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import optuna
from optuna.trial import TrialState

from mythos_lab.search.pruners import FLOPS_PER_STEP, LOOP_GAIN

STEPS = np.arange(50, 1001, 50)
"""Optimiser steps of the reports."""


@dataclass(frozen=True)
class Candidate:
    """A candidate's whole run, as it would go without pruning.

    Attributes:
        flops_per_step: Training FLOPs of a step.
        losses: One a report.
        gains: One a report; None without loops.
    """

    flops_per_step: float
    losses: np.ndarray
    gains: np.ndarray | None


def candidate(rng, num_loops, *, gain, onset, handicap, quality):
    """A run whose loss falls by a power law, some faster than others, and by what its loops gain from ``onset`` on."""
    share = STEPS / STEPS[-1]
    losses = 2.0 + quality + 0.4 * share ** -rng.uniform(0.2, 0.4) + 0.01 * rng.normal(size=len(STEPS))
    gains = None
    if num_loops > 1:
        measured = gain / (1 + (onset / share) ** 6)
        gains = measured + 0.003 * rng.normal(size=len(STEPS))
        losses = losses - measured + handicap * np.log2(num_loops) * np.exp(-share / 0.3)
    return Candidate(1e9 * (1 + num_loops), losses, gains)


def late_bloomers(rng, num_candidates):
    """Half of the candidates loop often. They start worse, most gain late, and the best of them win in the end."""
    bank = []
    for _ in range(num_candidates):
        num_loops = int(rng.choice([1, 2, 8, 16]))
        works = num_loops >= 8 and rng.random() < 0.7
        bank.append(
            candidate(
                rng,
                num_loops,
                gain=0.12 * np.log2(num_loops) if works else 0.0,
                onset=rng.uniform(0.4, 0.6),
                handicap=0.08,
                quality=0.05 * rng.normal(),
            )
        )
    return bank


def early_birds(rng, num_candidates):
    """Loops that gain from the start on: what is ahead early is ahead in the end."""
    return [
        candidate(
            rng,
            num_loops := int(rng.choice([1, 2, 8, 16])),
            gain=0.03 * np.log2(num_loops),
            onset=0.05,
            handicap=0.0,
            quality=0.05 * rng.normal(),
        )
        for _ in range(num_candidates)
    ]


@dataclass(frozen=True)
class Outcome:
    """What pruning did to a study.

    Attributes:
        kept: Whether the best candidate ran to its end.
        regret: Final loss of the best one that did, less that of the best candidate.
        saved: Share of all FLOPs that pruning saved.
        study: The study.
    """

    kept: bool
    regret: float
    saved: float
    study: optuna.Study


def simulate(bank, pruner, num_workers=1) -> Outcome:
    """Run a bank as a study; workers train in turn, from one report to the next."""
    study = optuna.create_study(pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=0))
    spent, finished = 0.0, []

    def train(index, run):
        nonlocal spent
        trial = study.ask()
        trial.set_user_attr(FLOPS_PER_STEP, run.flops_per_step)
        gains: dict[str, float] = {}
        for position, step in enumerate(STEPS):
            spent += run.flops_per_step * (STEPS[1] - STEPS[0])
            if run.gains is not None:
                gains[str(step)] = float(run.gains[position])
                trial.set_user_attr(LOOP_GAIN, gains)
            trial.report(float(run.losses[position]), int(step))
            if trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                return
            yield
        study.tell(trial, float(run.losses[-1]))
        finished.append(index)

    waiting = [train(index, run) for index, run in enumerate(bank)]
    training = [waiting.pop(0) for _ in range(num_workers)]
    while training:
        worker = training.pop(0)
        if next(worker, "done") != "done":
            training.append(worker)
        elif waiting:
            training.append(waiting.pop(0))
    total = sum(run.flops_per_step * int(STEPS[-1]) for run in bank)
    finals = [float(run.losses[-1]) for run in bank]
    best = int(np.argmin(finals))
    return Outcome(best in finished, min(finals[i] for i in finished) - finals[best], 1 - spent / total, study)
