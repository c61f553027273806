"""Finished trials as the laboratory's workers leave them, and how to put thousands of them into a storage at once."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from optuna.storages import RDBStorage
from optuna.storages._rdb import models  # inserting ten thousand trials one by one takes minutes
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from mythos_lab.search.attributes import FLOPS_PER_STEP, FOLDER, OUTCOME, RUNS, TAKEN, VALUES, WORKER
from mythos_lab.search.journal import Journal
from mythos_lab.tracking.process import identity

GENERATION = "NSGAIISampler:generation"


def finished(
    num: int,
    distributions: Mapping[str, BaseDistribution],
    *,
    metric: str = "val/loss",
    num_reports: int = 0,
    population: int | None = None,
) -> list[FrozenTrial]:
    """Finished trials of uniform draws.

    Args:
        num: How many.
        distributions: Of their parameters.
        metric: Their one objective.
        num_reports: Values that each reported on its way.
        population: Trials of a generation, for samplers that have them; ``None`` notes none.
    """
    rng = random.Random(0)
    return [
        create_trial(
            value=rng.random(),
            params={name: _drawn(distribution, rng) for name, distribution in distributions.items()},
            distributions=dict(distributions),
            user_attrs={
                OUTCOME: "complete",
                FOLDER: f"trials/{number:04d}",
                WORKER: identity(),
                TAKEN: number,
                VALUES: {metric: [rng.random()]},
                RUNS: [f"{rng.getrandbits(128):032x}"],
                FLOPS_PER_STEP: rng.random(),
            },
            system_attrs={} if population is None else {GENERATION: number // population},
            intermediate_values={100 * step: rng.random() for step in range(1, num_reports + 1)},
        )
        for number in range(num)
    ]


def _drawn(distribution: BaseDistribution, rng: random.Random) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return rng.choice(distribution.choices)
    if isinstance(distribution, IntDistribution):
        return rng.randint(distribution.low, distribution.high)
    assert isinstance(distribution, FloatDistribution)
    return rng.uniform(distribution.low, distribution.high)


def fill_journal(path: Path, name: str, trials: Sequence[FrozenTrial], *, is_begun: bool) -> None:
    """Write a study's trials into a journal.

    Args:
        path: The journal.
        name: The study's.
        trials: What it has.
        is_begun: Whether the journal has the study, and nothing else.
    """
    recorder = _Recorder()
    storage = optuna.storages.JournalStorage(recorder)
    study = optuna.create_study(study_name=name, storage=storage)
    begun = len(recorder.logs) if is_begun else 0
    for trial in trials:
        _write(storage, study._study_id, trial)
    Journal(path).append_logs(recorder.logs[begun:])


def _write(storage: optuna.storages.JournalStorage, study: int, trial: FrozenTrial) -> None:
    """Write a trial as its worker does: a line when it is made, and one for each thing that is said of it."""
    made = create_trial(state=TrialState.RUNNING, user_attrs={WORKER: trial.user_attrs[WORKER]})
    number = storage.create_new_trial(study, made)
    for key, value in trial.system_attrs.items():
        storage.set_trial_system_attr(number, key, value)
    for key, distribution in trial.distributions.items():
        storage.set_trial_param(number, key, distribution.to_internal_repr(trial.params[key]), distribution)
    for step, report in trial.intermediate_values.items():
        storage.set_trial_intermediate_value(number, step, report)
    for key, value in trial.user_attrs.items():
        storage.set_trial_user_attr(number, key, value)
    storage.set_trial_state_values(number, trial.state, trial.values)


class _Recorder(BaseJournalBackend):
    """Collects a journal's entries, to be written at once."""

    def __init__(self) -> None:
        self.logs: list[dict[str, Any]] = []

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        return iter(self.logs[log_number_from:])

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self.logs += logs


def fill_database(url: str, name: str, trials: Sequence[FrozenTrial]) -> None:
    """Write a study's trials into a database, which may have the study."""
    storage = RDBStorage(url)
    study = optuna.create_study(study_name=name, storage=storage, load_if_exists=True)
    now, insert = trials[0].datetime_complete, sqlalchemy.insert
    rows = [
        {"number": n, "study_id": study._study_id, "state": "COMPLETE", "datetime_start": now, "datetime_complete": now}
        for n in range(len(trials))
    ]
    with storage.engine.begin() as connection:
        connection.execute(insert(models.TrialModel.__table__), rows)
        ids = connection.scalars(
            sqlalchemy.select(models.TrialModel.trial_id)
            .where(models.TrialModel.study_id == study._study_id)
            .order_by(models.TrialModel.number)
        ).all()
        pairs = list(zip(ids, trials, strict=True))
        connection.execute(
            insert(models.TrialValueModel.__table__),
            [{"trial_id": i, "objective": 0, "value": t.value, "value_type": "FINITE"} for i, t in pairs],
        )
        connection.execute(
            insert(models.TrialParamModel.__table__),
            [
                {
                    "trial_id": i,
                    "param_name": key,
                    "param_value": d.to_internal_repr(t.params[key]),
                    "distribution_json": distribution_to_json(d),
                }
                for i, t in pairs
                for key, d in t.distributions.items()
            ],
        )
        for table, attrs in (
            (models.TrialUserAttributeModel.__table__, "user_attrs"),
            (models.TrialSystemAttributeModel.__table__, "system_attrs"),
        ):
            connection.execute(
                insert(table),
                [
                    {"trial_id": i, "key": key, "value_json": json.dumps(value)}
                    for i, t in pairs
                    for key, value in getattr(t, attrs).items()
                ],
            )
        if reports := [
            {"trial_id": i, "step": step, "intermediate_value": value, "intermediate_value_type": "FINITE"}
            for i, t in pairs
            for step, value in t.intermediate_values.items()
        ]:
            connection.execute(insert(models.TrialIntermediateValueModel.__table__), reports)
        connection.execute(sqlalchemy.text("ANALYZE"))  # as a database does by itself within minutes
    storage.engine.dispose()
