"""Lightning's Fabric without what it would import to read a version: every process that trains starts with it.

``lightning.fabric`` brings Lightning's Trainer, and either of Fabric's packages imports torchmetrics whole, with
transformers, matplotlib and scipy behind it, to compare its version. Here a module stands in its place that has a
version and nothing else, until Fabric is there.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

_COMPARED = "torchmetrics"


@contextmanager
def _only_compared() -> Iterator[None]:
    if _COMPARED in sys.modules or importlib.util.find_spec(_COMPARED) is None:
        yield
        return
    stand_in = ModuleType(_COMPARED)
    stand_in.__version__ = importlib.metadata.version(_COMPARED)  # type: ignore[attr-defined]
    sys.modules[_COMPARED] = stand_in
    try:
        yield
    finally:
        del sys.modules[_COMPARED]


with _only_compared():
    from lightning_fabric import Fabric as Fabric
    from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment as ClusterEnvironment
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment as SLURMEnvironment
    from lightning_fabric.strategies.ddp import DDPStrategy as DDPStrategy
    from lightning_fabric.strategies.model_parallel import ModelParallelStrategy as ModelParallelStrategy
