"""How many iterations a training step runs, and how many get gradient."""

from mythos_blocks.loops.base import GradientWindow, LoopSampler
from mythos_blocks.loops.choice import Choice
from mythos_blocks.loops.curriculum import Curriculum
from mythos_blocks.loops.fixed import Fixed
from mythos_blocks.loops.geometric import Geometric
from mythos_blocks.loops.negative_binomial import NegativeBinomial
from mythos_blocks.loops.poisson import Poisson
from mythos_blocks.loops.poisson_lognormal import PoissonLognormal
from mythos_blocks.loops.uniform import Uniform

__all__ = [
    "Choice",
    "Curriculum",
    "Fixed",
    "Geometric",
    "GradientWindow",
    "LoopSampler",
    "NegativeBinomial",
    "Poisson",
    "PoissonLognormal",
    "Uniform",
]
