"""How many iterations a training step runs, and how many get gradient."""

from mythos_blocks.loops.base import LoopSampler
from mythos_blocks.loops.fixed import Fixed
from mythos_blocks.loops.poisson_lognormal import PoissonLognormal
from mythos_blocks.loops.uniform import Uniform

__all__ = ["Fixed", "LoopSampler", "PoissonLognormal", "Uniform"]
