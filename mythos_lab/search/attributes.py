"""The attributes that a study keeps in its storage: their names, and what a value has to be to be one.

A storage is data that others can write to. What is read from it goes through :mod:`mythos_lab.search.stored`, which
holds each value to the type that stands here, so that no reader meets a list where it expects a number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

OUTCOME, REASON, FOLDER, WORKER, BEAT, TAKEN = "outcome", "reason", "folder", "worker", "beat", "taken"
RETRY_OF, ATTEMPT, BLAMED, PLACE, POINT = "retry_of", "attempt", "blamed", "place", "point"
VALUES, RUNS = "values_by_seed", "mlflow_runs"

CANDIDATE, REPEATS = "candidate", "repeats"
"""Trial attributes: what tells a candidate from others, and the number of the trial that was the same one before."""

OUTSIDE = "outside"
"""Trial attribute: values that no distribution of the study holds, and which it had before the study was made anew."""

FLOPS_PER_STEP = "flops_per_step"
"""Trial attribute, set before training: training FLOPs of one optimiser step, forward and backward (float, above 0)."""

LOOP_GAIN = "loop_gain"
"""Trial attribute, set at each report: ``{str(step): gain}``, the metric ``loops/gain``.

Absent where there is no loop, or one iteration of it, so that there is nothing to wait for. A looped trial that was not
measured yet has an empty one, or is judged as if it had no loops.
"""

REPORTS = "reports"
"""Trial attribute of studies of several objectives, whose trials Optuna lets report nothing: ``{str(step): value}``."""

KEPT = ("cost/params", "loops/useful_depth", "val/accuracy")
"""Trial attributes: metrics of its last validation."""

MISFIT = "misfit"
"""Not in a storage: what :mod:`~mythos_lab.search.stored` has left out of a trial, with the reason."""

UID = "uid"
"""Study attribute that no other study has."""

NUM_TRIALS = "num_trials"
"""Study attribute: how many trials it was last begun, or gone on with, for."""

DEFINITION = "meaning"
"""Study attribute: everything that decides what a trial's numbers mean."""

ORIGIN = "origin"
"""Study attribute: the fingerprint of the data, and hashes of imported code."""

SUCCESSOR = "goes_on_as"
"""Study attribute: the name, in Optuna, of the study that has its trials and the space's distributions."""

MLFLOW_RUN, MLFLOW_STORE, MLFLOW_BEFORE = "mlflow_run", "mlflow_store", "mlflow_before"
"""Study attributes: its MLflow run, the store that has it, as it is shown, and those that it had in other stores."""

ARTIFACTS = "artifacts"
"""Study attribute: where its runs are kept, as it is shown; absent where its machines share its folder."""

OPENED, RESULTS = "holdout_opened", "holdout_results"
"""Study attributes: when its holdout was opened, after which it takes no further trials; and what was measured then."""

SAMPLER, PRUNER = "sampler", "pruner"


_RANGE, _CHOICE = "~range", "~choice"
_Whole = Annotated[int, Field(strict=True, ge=0, lt=2**53)]
_Float = Annotated[float, Field(strict=True)]
_Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_Text = Annotated[str, Field(strict=True)]
_Step = Annotated[str, Field(pattern=r"^[0-9]{1,15}$", strict=True)]  # as JSON has it


class _Plain(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class _Kind(_Plain):
    kind: str


class _Opened(_Plain):
    at: str
    trials: list[_Whole]


class _Tracked(_Plain):
    store: str
    run: str


class _Measured(_Plain):
    metrics: dict[str, _Float]
    intervals: dict[str, Annotated[list[_Float], Field(min_length=2, max_length=2)]]


class _Origin(_Plain):
    data: str
    code: dict[str, str]


class _Range(_Plain):
    bounds: Annotated[list[_Finite], Field(min_length=2, max_length=2, alias=_RANGE)]
    whole: bool
    log: bool
    step: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None
    label: str | None


class _Choice(_Plain):
    values: Annotated[list[Any], Field(alias=_CHOICE)]
    label: str | None


class _Meaning(_Plain):
    recipe: dict[str, Any]
    space: dict[str, Any]
    arms: dict[str, Any]
    constraints: list[str]
    hold: dict[str, Any] | None
    objectives: list[list[str]]
    seeds: int

    @field_validator("space")
    @classmethod
    def _has_domains(cls, space: dict[str, Any]) -> dict[str, Any]:
        waiting: list[Any] = [space]
        while waiting:
            part = waiting.pop()
            if isinstance(part, dict):
                for name, kind in ((_RANGE, _Range), (_CHOICE, _Choice)):
                    if name in part:
                        kind.model_validate(part)
                waiting += part.values()
        return space


def _json_of(kind: type[BaseModel]) -> Any:
    """The type of a text that is JSON of a kind, and is kept as the text."""

    def check(text: str) -> str:
        try:
            kind.model_validate(json.loads(text))
        except (ValidationError, RecursionError):
            raise ValueError(f"no {kind.__name__.strip('_').lower()} that was written down") from None
        return text

    return Annotated[str, Field(strict=True), AfterValidator(check)]


OF_TRIALS: Mapping[str, TypeAdapter[Any]] = {
    name: TypeAdapter[Any](kind)
    for name, kind in cast(
        dict[str, Any],
        {
            OUTCOME: Literal["complete", "pruned", "vetoed", "diverged", "failed", "killed", "surplus", "refused"],
            REASON: _Text,
            FOLDER: _Text,
            WORKER: _Text,
            BEAT: _Whole,
            TAKEN: _Whole,
            RETRY_OF: _Whole,
            ATTEMPT: _Whole,
            BLAMED: Annotated[bool, Field(strict=True)],
            PLACE: _Whole,
            POINT: _Whole,
            VALUES: dict[_Text, list[_Float | None]],
            RUNS: list[_Text],
            CANDIDATE: _Text,
            REPEATS: _Whole,
            OUTSIDE: dict[_Text, Any],
            FLOPS_PER_STEP: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)],
            LOOP_GAIN: dict[_Step, _Float],
            REPORTS: dict[_Step, _Float],
            **dict.fromkeys(KEPT, _Float),
        },
    ).items()
}
"""What a trial's user attributes of these names are; others are of others."""

OF_STUDIES: Mapping[str, TypeAdapter[Any]] = {
    name: TypeAdapter(kind)
    for name, kind in {
        UID: _Text,
        NUM_TRIALS: _Whole,
        DEFINITION: _json_of(_Meaning) | None,
        ORIGIN: _json_of(_Origin),
        SUCCESSOR: _Text,
        MLFLOW_RUN: _Text,
        MLFLOW_STORE: _Text,
        MLFLOW_BEFORE: list[_Tracked],
        ARTIFACTS: _Text,
        OPENED: _Opened,
        RESULTS: dict[_Step, dict[_Step, _Measured]],
        SAMPLER: _Kind,
        PRUNER: _Kind,
    }.items()
}
"""What a study's user attributes of these names are."""

_KEPT_BY_OPTUNA: Mapping[str, TypeAdapter[Any]] = {
    pattern: TypeAdapter[Any](kind)
    for pattern, kind in cast(
        dict[str, Any],
        {
            r"fixed_params": dict[_Text, Any],
            r"constraints": list[_Float] | None,
            r"constraints:.*": _Float,
            r"completed_rung_\d+": _Float,
            r"\w+:generation(:.*)?": _Whole,
            r"\w+:parent:.*": list[_Whole],
            r"study:metric_names": list[_Text],
            r"qmc .*": _Whole,
            r"x_for_tell": list[_Float],
            r"search_space": dict[_Text, list[Any]],
            r"grid_id": _Whole,
            r"(tpe|gp):relative_params:0": Annotated[str, Field(strict=True, pattern=r"^\{")],
            r"(tpe|gp):relative_params:\d+": _Text,
        },
    ).items()
}


@lru_cache(maxsize=4096)
def of_optuna(name: str) -> TypeAdapter[Any] | None:
    """What a system attribute is that Optuna, one of its samplers or pruners keeps; ``None`` for those not known."""
    return next((kind for pattern, kind in _KEPT_BY_OPTUNA.items() if re.fullmatch(pattern, name)), None)
