"""Optuna's database storage, whose trials are read by rows: a study of tens of thousands is there in seconds.

Optuna reads a trial as objects of SQLAlchemy, one a parameter, attribute and report, and parses each distribution anew.
Of 30,000 trials that takes half a minute and more than a gigabyte in every worker that enters the study.
"""

from __future__ import annotations

import datetime
import gc
import json
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import sqlalchemy
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.distributions import FloatDistribution as _Float
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage, _StudyInfo
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.trial import FrozenTrial, TrialState

from mythos_lab.search.room import BELOW, Full, parted

_MOST_NAMED = 500  # trials that a query names one by one
_AT_ONCE = 10_000  # rows that are brought to Python together

_MANY = 1_000  # trials, of which those that are kept are not looked through for garbage again

_Trials = models.TrialModel
_COLUMNS = (
    _Trials.trial_id, _Trials.number, _Trials.state, _Trials._datetime_start_utc, _Trials._datetime_complete_utc,
)  # fmt: skip
_FINITE = models.TrialValueModel.TrialValueType.FINITE.name
_Reports = models.TrialIntermediateValueModel
_Values = models.TrialValueModel


class Database(RDBStorage):
    """Optuna's storage; what it answers is what Optuna's own answers (``tests/lab/search/test_database.py``)."""

    def get_trial(self, trial_id: int) -> FrozenTrial:
        with _create_scoped_session(self.scoped_session) as session:
            found = session.execute(sqlalchemy.select(*_COLUMNS, _Trials.study_id).where(_Trials.trial_id == trial_id))
            if (row := found.one_or_none()) is None:
                raise KeyError(models.NOT_FOUND_MSG)
            return _built(session, row.study_id, [row[:-1]])[0]

    def place_of(self, trial_id: int) -> tuple[int, int]:
        """The study of a trial, and its number there.

        Raises:
            KeyError: There is none.
        """
        with _create_scoped_session(self.scoped_session) as session:
            trial = models.TrialModel.find_or_raise_by_id(trial_id, session)
            return int(trial.study_id), int(trial.number)

    def _create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> FrozenTrial:
        made = super()._create_new_trial(study_id, template_trial)
        made.system_attrs.pop(BELOW, None)
        return made

    def _get_prepared_new_trial(self, study_id: int, template_trial: FrozenTrial | None, session: Any) -> Any:
        # The study is locked here, so that numbers are given one after another.
        plain, below = parted(template_trial)
        trial = super()._get_prepared_new_trial(study_id, plain, session)
        if below is not None and trial.number >= below:
            raise Full(f"trial {trial.number} would have no room")
        return trial

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        trial, older = _Trials, {i for i in included_trial_ids if i <= trial_id_greater_than}
        wanted = [trial.study_id == study_id]
        if trial_id_greater_than > -1:
            newer = trial.trial_id > trial_id_greater_than
            wanted.append(sqlalchemy.or_(newer, trial.trial_id.in_(sorted(older))) if older else newer)
        if states is not None:
            assert isinstance(states, Iterable)
            wanted.append(trial.state.in_(states))
        with _create_scoped_session(self.scoped_session) as session:
            models.StudyModel.find_or_raise_by_id(study_id, session)
            # A trial's state is read before all else of it: what is seen as finished is then whole.
            rows = session.execute(sqlalchemy.select(*_COLUMNS).where(*wanted).order_by(trial.trial_id)).all()
            if not rows:
                return []
            with uncollected(len(rows)):
                return _built(session, study_id, rows)


class Cached(_CachedStorage):
    """Optuna's memory of a database's finished trials.

    Optuna's own knows no trial that it has not read. A proxy that was begun anew has read none, and would tell a worker
    which is drawing values that there is no such trial.
    """

    _backend: Database

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        with self._lock:
            if trial_id not in self._trial_id_to_study_id_and_number:
                study_id, number = self._backend.place_of(trial_id)
                self._trial_id_to_study_id_and_number[trial_id] = study_id, number
                self._studies.setdefault(study_id, _StudyInfo())
        super().set_trial_param(trial_id, param_name, param_value_internal, distribution)


def _built(session: Any, study_id: int, rows: Sequence[Any]) -> list[FrozenTrial]:
    ids = [row[0] for row in rows]
    parts = _Parts(session, study_id, ids)
    params, distributions = parts.params()
    values, reports = parts.values(), parts.reports()
    user, system = parts.attributes(models.TrialUserAttributeModel), parts.attributes(models.TrialSystemAttributeModel)
    return [
        FrozenTrial(
            number=number,
            state=state,
            value=None,
            values=[of_trial[i] for i in range(len(of_trial))] if (of_trial := values.get(trial_id)) else None,
            datetime_start=_local(start),
            datetime_complete=_local(complete),
            params=params.get(trial_id, {}),
            distributions=distributions.get(trial_id, {}),
            user_attrs=user.get(trial_id, {}),
            system_attrs=system.get(trial_id, {}),
            intermediate_values=reports.get(trial_id, {}),
            trial_id=trial_id,
        )
        for trial_id, number, state, start, complete in rows
    ]


class _Parts:
    """What the other tables have of trials, by their ids.

    Args:
        session: Of the database.
        study_id: Theirs.
        ids: Theirs, in order.
    """

    def __init__(self, session: Any, study_id: int, ids: Sequence[int]) -> None:
        self._connection, self._ids = session.connection(), ids
        self._study = sqlalchemy.select(models.TrialModel.trial_id).where(models.TrialModel.study_id == study_id)
        self._known: dict[str, BaseDistribution] = {}
        self._names: dict[str, str] = {}  # so that each is kept once

    def params(self) -> tuple[dict[int, dict[str, Any]], dict[int, dict[str, BaseDistribution]]]:
        table = models.TrialParamModel
        params: defaultdict[int, dict[str, Any]] = defaultdict(dict)
        distributions: defaultdict[int, dict[str, BaseDistribution]] = defaultdict(dict)
        columns, last = (table.param_name, table.param_value, table.distribution_json), None
        known, names = self._known, self._names
        for some in self._rows(table, *columns, order_by=table.param_id):
            for trial_id, name, value, text in some:
                if (distribution := known.get(text)) is None:
                    distribution = known[text] = json_to_distribution(text)
                if trial_id != last:  # most of a trial's come together
                    of_trial, declared, last = params[trial_id], distributions[trial_id], trial_id
                name = names.setdefault(name, name)
                of_trial[name] = value if type(distribution) is _Float else distribution.to_external_repr(value)
                declared[name] = distribution
        return params, distributions

    def values(self) -> dict[int, dict[int, float]]:
        found: defaultdict[int, dict[int, float]] = defaultdict(dict)
        for some in self._rows(_Values, _Values.objective, _Values.value, _kind(_Values)):
            for trial_id, objective, value, kind in some:
                if value is None or kind != _FINITE:
                    value = _Values.stored_repr_to_value(value, _Values.TrialValueType[kind])
                found[trial_id][objective] = value
        return found

    def reports(self) -> dict[int, dict[int, float]]:
        found: defaultdict[int, dict[int, float]] = defaultdict(dict)
        columns = _Reports.step, _Reports.intermediate_value, _kind(_Reports)
        for some in self._rows(_Reports, *columns):
            for trial_id, step, value, kind in some:
                if value is None or kind != _FINITE:
                    named = _Reports.TrialIntermediateValueType[kind]
                    value = _Reports.stored_repr_to_intermediate_value(value, named)
                found[trial_id][step] = value
        return found

    def attributes(self, table: Any) -> dict[int, dict[str, Any]]:
        found: defaultdict[int, dict[str, Any]] = defaultdict(dict)
        plain: dict[str, Any] = {}  # no lists or mappings, which whoever reads a trial may change
        names = self._names
        for some in self._rows(table, table.key, table.value_json):
            for trial_id, name, text in some:
                if text in plain:
                    value = plain[text]
                else:
                    value = _value_of(text)
                    if not isinstance(value, (list, dict)):
                        plain[text] = value
                found[trial_id][names.setdefault(name, name)] = value
        return found

    def _rows(self, table: Any, *columns: Any, order_by: Any = None) -> Iterator[Sequence[Any]]:
        query = sqlalchemy.select(table.trial_id, *columns)
        if order_by is not None:
            query = query.order_by(order_by)
        for which in self._which(table):
            yield from self._connection.execute(query.where(*which)).partitions(_AT_ONCE)

    def _which(self, table: Any) -> Iterator[tuple[Any, ...]]:
        """Conditions by which all rows of the trials are found: by name, or by the range that they nearly fill."""
        first, last, num = self._ids[0], self._ids[-1], len(self._ids)
        if num > _MOST_NAMED and last - first < 2 * num:
            yield table.trial_id.in_(self._study), table.trial_id.between(first, last)
            return
        for start in range(0, num, _MOST_NAMED):
            yield (table.trial_id.in_(self._ids[start : start + _MOST_NAMED]),)


_decoder: Any = json.JSONDecoder()
_scan = _decoder.scan_once


def _value_of(text: str) -> Any:
    """What JSON says, without the search for blanks around it, which takes longer than a short value does."""
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        return json.loads(text)
    return value if end == len(text) else json.loads(text)


def _kind(table: Any) -> Any:
    """What kind of number a row has, by its name: most are finite, and need no member of an enumeration."""
    column = table.value_type if table is _Values else table.intermediate_value_type
    return sqlalchemy.type_coerce(column, sqlalchemy.String)


@contextmanager
def uncollected(num: int) -> Iterator[None]:
    """A span in which many trials are made, and all of them kept: looking for garbage among them takes a third of it.

    Args:
        num: How many. A large number of them is kept out of later searches too, as they are kept while the study is.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
        if num >= _MANY:
            gc.freeze()
    finally:
        if was_on:
            gc.enable()


def _local(moment: datetime.datetime | None) -> datetime.datetime | None:
    """A moment of the database, which has UTC, as trials have it."""
    if moment is None:
        return None
    return moment + _offset(moment.year, moment.month, moment.day, moment.hour, moment.minute // 15)


@lru_cache(4096)
def _offset(year: int, month: int, day: int, hour: int, quarter: int) -> datetime.timedelta:
    """How far local time is ahead of UTC, which changes at no moment within a quarter of an hour."""
    moment = datetime.datetime(year, month, day, hour, 15 * quarter, tzinfo=datetime.UTC)
    return moment.astimezone().utcoffset() or datetime.timedelta()
