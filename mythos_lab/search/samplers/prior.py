"""What a researcher believes of a field before the first trial, and a sampler that listens to it.

A prior is written beside the range: ``{int: [1, 16], log: true, prior: 6, confidence: high}``. The first trial is what
is believed; early trials are drawn around it; the share of such draws falls with the evidence, so that a wrong belief
costs some trials and no more. The decay is piBO's (2204.11051: the prior's weight falls as beta / n), as a mixture of
draws instead of a factor on the acquisition function, because a mixture goes with every sampler. PriorBand (2306.12370)
mixes draws too, but weighs them by how well the prior explains its incumbents, for which it needs rungs.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from scipy.special import ndtr, ndtri

from mythos_blocks.declaring.registry import suggest

Confidence = Literal["low", "medium", "high"]

WIDTHS: Mapping[str, float] = {"low": 0.5, "medium": 0.25, "high": 0.125}
"""Standard deviation of the normal around a prior, as a share of the range (of its logarithm where the range is
logarithmic), before it is cut off at the range's ends. Around the middle of [0, 1], half the draws lie within 0.22 for
low, 0.16 for medium and 0.08 for high; half the uniform ones lie within 0.25."""

WEIGHTS: Mapping[str, float] = {"low": 0.5, "medium": 0.7, "high": 0.9}
"""Share of draws that take a prior's choice, and at least that of a uniform draw; the others share the rest."""

TRIALS = 10.0
"""Results after which half of the trials are drawn from the priors."""


@dataclass(frozen=True)
class Prior:
    """A belief about one parameter.

    Attributes:
        value: The best guess, as the parameter's distribution gives it out.
        confidence: How near the optimum is believed to be; ``WIDTHS`` and ``WEIGHTS`` say what the words mean.

    Raises:
        ValueError: An unknown confidence.
    """

    value: Any
    confidence: Confidence = "medium"

    def __post_init__(self) -> None:
        if self.confidence not in list(WIDTHS):
            raise ValueError(
                f"unknown confidence {self.confidence!r}; {suggest(str(self.confidence), get_args(Confidence))}"
            )

    def check(self, distribution: BaseDistribution) -> None:
        """Raise a ``ValueError`` if the distribution cannot give the value out."""
        try:
            inside = distribution._contains(distribution.to_internal_repr(self.value))
        except ValueError:
            inside = False
        if not inside:
            raise ValueError(f"prior {self.value!r} is not in {_describe(distribution)}")

    def draw(self, distribution: BaseDistribution, rng: np.random.Generator) -> Any:
        """A value around the best guess: a truncated normal for numbers, a weighted choice for categories."""
        if distribution.single():
            return self.value
        if isinstance(distribution, CategoricalDistribution):
            return self._choose(distribution, rng)
        assert isinstance(distribution, (IntDistribution, FloatDistribution)), distribution
        scale = _Scale.of(distribution)
        width = WIDTHS[self.confidence] * (scale.high - scale.low)
        centre = scale.forward(float(self.value))
        below, above = ndtr((scale.low - centre) / width), ndtr((scale.high - centre) / width)
        return scale.back(centre + width * float(ndtri(below + rng.random() * (above - below))), distribution)

    def _choose(self, distribution: CategoricalDistribution, rng: np.random.Generator) -> Any:
        chosen = int(distribution.to_internal_repr(self.value))
        others = [i for i in range(len(distribution.choices)) if i != chosen]
        weight = max(WEIGHTS[self.confidence], 1 / len(distribution.choices))
        if rng.random() < weight:
            return distribution.choices[chosen]
        return distribution.choices[others[rng.integers(len(others))]]


@dataclass(frozen=True)
class _Scale:
    """The axis on which a range is even: its logarithm where it says so, with half a step more at the ends of whole
    numbers and steps, so that the outermost values are drawn as often as those between."""

    low: float
    high: float
    log: bool

    @classmethod
    def of(cls, distribution: IntDistribution | FloatDistribution) -> _Scale:
        margin = (distribution.step or 0) / 2
        low, high = distribution.low - margin, distribution.high + margin
        return cls(math.log(low), math.log(high), True) if distribution.log else cls(low, high, False)

    def forward(self, value: float) -> float:
        return math.log(value) if self.log else value

    def back(self, drawn: float, distribution: IntDistribution | FloatDistribution) -> Any:
        value = math.exp(drawn) if self.log else drawn
        if distribution.step is not None:
            # low + k * step, as Optuna counts, so that no rounding puts the value off its grid.
            value = distribution.low + round((value - distribution.low) / distribution.step) * distribution.step
        value = min(max(value, distribution.low), distribution.high)
        return round(value) if isinstance(distribution, IntDistribution) else value


class PriorSampler(BaseSampler):
    """A sampler that draws some trials around priors and leaves the others to the sampler that it wraps.

    Trial 0 takes every prior's value. Later, a trial is drawn from the priors with probability TRIALS / (TRIALS + n), n
    being the trials finished with a result; parameters without a prior come from the wrapped sampler even then. The
    wrapped sampler sees all trials, as it sees queued ones, and learns from them.

    Draws are a function of the seed and the trial's number. Whether a trial is drawn depends on n too, so with several
    workers on their timing, as everything that a sampler learns does.

    Args:
        sampler: The sampler that proposes where the priors do not.
        priors: By parameter name. A parameter of a conditional space uses its prior when it exists.
        seed: Of the draws.
    """

    def __init__(self, sampler: BaseSampler, priors: Mapping[str, Prior], *, seed: int) -> None:
        self._sampler = sampler
        self._priors = dict(priors)
        self._seed = seed
        self._decided: dict[int, bool] = {}

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        # The wrapped sampler is asked even if nothing of its answer stays: NSGA-II and CMA-ES assign a trial to its
        # generation here, and would otherwise never learn from it.
        proposed = self._sampler.sample_relative(study, trial, search_space)
        if not self._from_priors(study, trial.number):
            return proposed
        return {name: value for name, value in proposed.items() if name not in self._priors}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        prior = self._priors.get(param_name)
        if prior is None or not self._from_priors(study, trial.number):
            return self._sampler.sample_independent(study, trial, param_name, param_distribution)
        prior.check(param_distribution)
        if trial.number == 0:
            return prior.value
        return prior.draw(param_distribution, self._rng(trial.number, param_name))

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._sampler.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._decided.pop(trial.number, None)
        self._sampler.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        self._sampler.reseed_rng()

    def _from_priors(self, study: Study, number: int) -> bool:
        """One decision a trial, kept: results that come in meanwhile must not split its parameters between the two."""
        if number not in self._decided:
            share = 1.0 if number == 0 else prior_share(_num_results(study))
            self._decided[number] = bool(self._priors) and bool(self._rng(number, "").random() < share)
        return self._decided[number]

    def _rng(self, number: int, name: str) -> np.random.Generator:
        return np.random.default_rng([self._seed, number, zlib.crc32(name.encode())])


def prior_share(num_results: int) -> float:
    """Share of trials drawn from the priors after so many results."""
    return TRIALS / (TRIALS + num_results)


def _num_results(study: Study) -> int:
    """Trials that say something of the objective: a vetoed trial was never trained, and cannot outvote a prior."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    return sum(all(value <= 0 for value in trial.constraints.values()) for trial in trials)


def _describe(distribution: BaseDistribution) -> str:
    if isinstance(distribution, CategoricalDistribution):
        return "one of: " + ", ".join(map(str, distribution.choices))
    assert isinstance(distribution, (IntDistribution, FloatDistribution)), distribution
    step = f" by steps of {distribution.step}" if distribution.step not in (None, 1) else ""
    return f"[{distribution.low}, {distribution.high}]{step}"
