"""The loop: its step, its state, and the iterations that it runs."""

from mythos_blocks.core.hierarchical import HierarchicalLoop
from mythos_blocks.core.iterations import Iterations, Step
from mythos_blocks.core.loop import Loop
from mythos_blocks.core.state import LoopState

__all__ = ["HierarchicalLoop", "Iterations", "Loop", "LoopState", "Step"]
