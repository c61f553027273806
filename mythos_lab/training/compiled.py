"""The layers of a model that trains, compiled; what of them torch compiled is counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mythos_blocks import LoopedTransformer
from mythos_blocks.layer.base import Layer

BACKEND = "inductor"
"""What makes code of the layers' graphs: torch's default."""

_GIVEN_UP = "Dynamo recompile limit exceeded"  # as torch counts it


class CompiledLayers:
    """A model's layers as ``torch.compile`` makes them, for the spans of training steps; elsewhere they are plain.

    Validation, measures and copies of the model run the layers as they are: they read sizes, hooks and derivatives
    that training does not, each of which would be compiled anew.

    What torch has compiled in this process before is forgotten first. Its limits are those of a process, and beyond
    them it compiles nothing and goes on: later models of a search would train uncompiled. It also takes sizes that
    differed in earlier models for sizes that vary, so that numbers would depend on what was trained before.

    Args:
        model: The model, where its parameters stay.

    Attributes:
        num_graphs: Graphs compiled so far, forward and backward of a layer counted as one.
        num_given_up: How often torch stopped compiling a layer at its limit of graphs.
    """

    def __init__(self, model: LoopedTransformer) -> None:
        self.num_graphs = self.num_given_up = 0
        torch.compiler.reset()
        layers = [module for module in model.modules() if isinstance(module, Layer)]
        model.compile_layers(backend=BACKEND)
        self._compiled = {layer: layer._compiled_call_impl for layer in layers}
        self._switch(on=False)

    @contextmanager
    def running(self) -> Iterator[None]:
        """The span of a forward and a backward pass, which may compute layers again, with the compiled layers."""
        num_graphs, num_given_up = _counted()
        self._switch(on=True)
        try:
            yield
        finally:
            self._switch(on=False)
            now = _counted()
            self.num_graphs += now[0] - num_graphs
            self.num_given_up += now[1] - num_given_up

    def metrics(self) -> dict[str, float]:
        """What was counted, by metric name."""
        return {"speed/num_graphs": float(self.num_graphs), "speed/num_given_up": float(self.num_given_up)}

    def _switch(self, *, on: bool) -> None:
        for layer, compiled in self._compiled.items():
            layer._compiled_call_impl = compiled if on else None


def _counted() -> tuple[int, int]:
    """Graphs that torch has compiled in this process, and how often it gave up."""
    from torch._dynamo.utils import counters  # which brings the compiler: seconds that other runs need not wait

    given_up = [num for said, num in counters["unimplemented"].items() if said.startswith(_GIVEN_UP)]
    return int(counters["stats"]["unique_graphs"]), sum(given_up)
