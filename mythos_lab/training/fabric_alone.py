"""Lightning's Fabric without what it would import for a version and a type: every process that trains starts with it.

``lightning.fabric`` brings Lightning's Trainer, and either of Fabric's packages imports torchmetrics whole, with
transformers, matplotlib and scipy behind it, to compare its version, and torch's compiler to know what that has made by
its type. Here a module stands in the place of each, with a version or a type and nothing else, until Fabric is there.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

_COMPARED, _COMPILER = "torchmetrics", "torch._dynamo"


class _IsCompiled(type):
    """Asks torch's compiler, where something has imported it; before that nothing is compiled."""

    def __instancecheck__(cls, module: object) -> bool:
        compiler = sys.modules.get(_COMPILER)
        return compiler is not None and isinstance(module, compiler.OptimizedModule)


class OptimizedModule(metaclass=_IsCompiled):
    """Whatever is torch's ``OptimizedModule`` is an instance of this, which needs no compiler to be asked."""


@contextmanager
def _in_place_of(name: str, **held: Any) -> Iterator[None]:
    """Have a module import as one that holds this and nothing else, unless it is there already or cannot be had."""
    if name in sys.modules or importlib.util.find_spec(name.partition(".")[0]) is None:
        yield
        return
    stand_in = ModuleType(name)
    vars(stand_in).update(held)
    sys.modules[name] = stand_in
    try:
        yield
    finally:
        del sys.modules[name]


def _version(name: str) -> str | None:
    with suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(name)
    return None


with _in_place_of(_COMPARED, __version__=_version(_COMPARED)), _in_place_of(_COMPILER, OptimizedModule=OptimizedModule):
    from lightning_fabric import Fabric as Fabric
    from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment as ClusterEnvironment
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment as SLURMEnvironment
    from lightning_fabric.strategies.ddp import DDPStrategy as DDPStrategy
    from lightning_fabric.strategies.model_parallel import ModelParallelStrategy as ModelParallelStrategy
