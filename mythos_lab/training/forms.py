"""What the JSON files of a run's folder hold, so that no reader meets a list where it expects a text.

A folder may be a stranger's: a seal says that a file is as it was written, and not by whom.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter


class _File(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class _State(_File):
    key: str
    run_id: str = ""


class _Devices(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    num_devices: int = 1
    strategy: str = "auto"


class _Machine(_File):
    device: str | None = None
    packages: dict[str, str | None] = {}
    git_commit: str | None = None
    git_changes: str | None = None
    kernels: str | None = None
    attention: list[str] | None = None
    source: str | None = None
    code: dict[str, str] = {}
    devices: _Devices = _Devices()


class _Environment(_Machine):
    resumed: list[_Machine] = []


class _Result(_File):
    status: str
    reason: str = ""
    run_id: str = ""
    metrics: dict[str, Any]  # of which read_result says more
    intervals: dict[str, list[float | None]] = {}
    findings: dict[str, Any] = {}
    depth_curve: list[dict[str, Any]] | None = None
    ood_depth_curve: list[dict[str, Any]] | None = None
    slices: dict[str, list[dict[str, Any]]] = {}
    eval_loops: int | None = None
    chance: float | None = None
    halting_histogram: list[float] | None = None
    history_sha256: str | None = None


class _Value(_File):
    quantity: str
    value: float | None = None
    loop: int | None = None
    of: str = ""
    low: float | None = None
    high: float | None = None
    unit: str = ""
    note: str = ""


class _Measured(_File):
    finding: str
    values: list[_Value] = []


FORMS: Mapping[str, TypeAdapter[Any]] = {
    "run.json": TypeAdapter(_State),
    "environment.json": TypeAdapter(_Environment),
    "data.json": TypeAdapter(dict[str, str]),
    "result.json": TypeAdapter(_Result),
    "measures.json": TypeAdapter(dict[str, _Measured]),
}
"""By the file's name; fields of other versions are let be."""
