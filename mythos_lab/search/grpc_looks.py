"""Looks at a study through Optuna's proxy, by hundreds of workers of which each looks at every unfinished trial.

The server makes one look at the database for all who asked before it began, and turns a trial into a message once for
as long as it stays the same; a client turns a message into a trial likewise. What both answer is what Optuna's own do.
"""

from __future__ import annotations

import bisect
import datetime
import json
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from functools import lru_cache, partial
from typing import Any, Generic, TypeVar

import grpc
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages import BaseStorage
from optuna.storages._grpc import servicer
from optuna.storages._grpc.auto_generated import api_pb2
from optuna.storages._grpc.client import GrpcClientCache, GrpcClientCacheEntry
from optuna.trial import FrozenTrial

from mythos_lab.search.room import Full
from mythos_lab.search.stored import Gone

FULL = grpc.StatusCode.OUT_OF_RANGE
"""What a proxy answers where a trial would have had no room."""

_PORTION = 1 / 3  # of a proxy's time goes into looks; the rest is for what workers write
_KNOWN = 4096  # distributions, of which a study has few

_messages: Any = api_pb2
_T = TypeVar("_T")


class Shared(Generic[_T]):
    """A call whose answer all get who asked before it began; who asks while it runs waits for the next one.

    Args:
        call: What is called, by one thread at a time.
        portion: Of the time, at most, that calls may take: where one took long, the next begins later.
    """

    def __init__(self, call: Callable[[], _T], portion: float = 1.0) -> None:
        self._call, self._pauses, self._rested = call, 1 / portion - 1, 0.0
        self._asking, self._calling = threading.Lock(), threading.Lock()
        self._next: Future[_T] | None = None

    def __call__(self) -> _T:
        with self._asking:
            answer, is_first = (self._next, False) if self._next is not None else (Future[_T](), True)
            self._next = answer
        if is_first:
            with self._calling:
                time.sleep(max(0.0, self._rested - time.monotonic()))
                with self._asking:
                    self._next = None
                begun = time.monotonic()
                try:
                    answer.set_result(self._call())
                except BaseException as error:
                    answer.set_exception(error)
                ended = time.monotonic()
                self._rested = ended + self._pauses * (ended - begun)
        return answer.result()


class LookingService(servicer.OptunaStorageProxyService):
    """Optuna's service, with looks that are shared.

    Args:
        storage: What it serves.
    """

    def __init__(self, storage: BaseStorage) -> None:
        super().__init__(storage)
        self._lock = threading.Lock()
        self._seen: dict[int, tuple[_Seen, Shared[None]]] = {}

    def CreateNewTrial(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802, gRPC's name
        try:
            return super().CreateNewTrial(request, context)
        except Full as full:
            context.abort(code=FULL, details=str(full))

    def _look(self, study: int, seen: _Seen) -> None:
        seen.update(self._backend.get_all_trials(study, False))

    def GetTrials(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802, gRPC's name
        study = request.study_id
        with self._lock:
            if study not in self._seen:
                seen = _Seen()
                self._seen[study] = seen, Shared(partial(self._look, study, seen), _PORTION)
            seen, look = self._seen[study]
        try:
            look()
        except (KeyError, Gone) as error:
            context.abort(code=grpc.StatusCode.NOT_FOUND, details=str(error))
        wanted = seen.wanted(request.trial_id_greater_than, request.included_trial_ids)
        return _messages.GetTrialsReply(trials=wanted)


class _Seen:
    """A study's trials as messages, by their ids; finished ones are looked at once."""

    def __init__(self) -> None:
        self._messages: dict[int, Any] = {}
        self._ids: list[int] = []  # in order
        self._num_over = 0  # up to the first one that is not finished
        self._unfinished: dict[int, FrozenTrial] = {}

    def update(self, trials: Sequence[FrozenTrial]) -> None:
        """Take note of all of the study's trials, in order of their numbers."""
        for trial in trials[self._num_over :]:
            number, before = trial._trial_id, self._unfinished.get(trial._trial_id)
            if before is None or not (before is trial or vars(before) == vars(trial)):
                is_new = number not in self._messages
                if not (is_new or before is not None):
                    continue  # it had ended when it was seen last
                self._messages[number] = servicer._to_proto_trial(trial)
                if is_new:
                    bisect.insort(self._ids, number)
            if trial.state.is_finished():
                self._unfinished.pop(number, None)
            else:
                self._unfinished[number] = trial
        while self._num_over < len(trials) and trials[self._num_over].state.is_finished():
            self._num_over += 1

    def wanted(self, last: int, before: Iterable[int]) -> list[Any]:
        """The messages of trials with a larger id than ``last``, and of those ``before`` that are named."""
        after = self._ids[bisect.bisect_right(self._ids, last) :]
        return [self._messages[i] for i in (*(i for i in before if i <= last and i in self._messages), *after)]


class RememberingCache(GrpcClientCache):
    """Optuna's, which keeps finished trials; and the others for as long as they stay the same.

    Args:
        stub: What speaks with the server.
    """

    def __init__(self, stub: Any) -> None:
        super().__init__(stub)
        self._unfinished: dict[int, tuple[Any, FrozenTrial]] = {}

    def _read_trials_from_remote_storage(self, study_id: int) -> None:
        entry = self.studies.setdefault(study_id, GrpcClientCacheEntry())
        request = _messages.GetTrialsRequest(
            study_id=study_id,
            included_trial_ids=entry.unfinished_trial_ids,
            trial_id_greater_than=entry.last_finished_trial_id,
        )
        try:
            reply = self.grpc_client.GetTrials(request)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                self.studies.pop(study_id, None)
                raise KeyError from error
            raise
        before, self._unfinished = self._unfinished, {}
        for message in reply.trials:
            known = before.get(message.trial_id)
            is_same = known is not None and known[0] == message
            trial = known[1] if known is not None and is_same else from_message(message)
            if not trial.state.is_finished():
                self._unfinished[trial._trial_id] = message, trial
            self._add_trial_to_cache(study_id, trial)


def from_message(message: Any) -> FrozenTrial:
    """The trial that Optuna makes of a message, without parsing a distribution again that was met before."""
    distributions = {name: _distribution(text) for name, text in message.distributions.items()}
    return FrozenTrial(
        trial_id=message.trial_id,
        number=message.number,
        state=servicer._from_proto_trial_state(message.state),
        value=None,
        values=list(message.values) or None,
        datetime_start=_moment(message.datetime_start),
        datetime_complete=_moment(message.datetime_complete),
        params={name: distributions[name].to_external_repr(value) for name, value in message.params.items()},
        distributions=distributions,
        user_attrs={name: json.loads(text) for name, text in message.user_attributes.items()},
        system_attrs={name: json.loads(text) for name, text in message.system_attributes.items()},
        intermediate_values=dict(message.intermediate_values),
    )


@lru_cache(_KNOWN)
def _distribution(text: str) -> BaseDistribution:
    return json_to_distribution(text)


def _moment(text: str) -> datetime.datetime | None:
    return datetime.datetime.fromisoformat(text) if text else None
