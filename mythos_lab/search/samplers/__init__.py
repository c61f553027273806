"""Optuna's samplers by name, the choice among them, and what each cannot do.

What becomes of trials that were vetoed (``PRUNED``, with a constraint above zero), of pruned ones and of failed ones,
read in Optuna 5.0's source and held by tests:

=========  ==============================  ========================  ======================  ==================
kind       vetoed                          pruned                    failed                  conditional fields
=========  ==============================  ========================  ======================  ==================
tpe        learns: after all feasible      learns: after completed   not seen                yes, grouped
           ones, least violation first     ones, latest step first
gp         as the worst completed one      as the worst completed    as the worst completed  refused
nsgaii     not seen, never a parent        not seen                  not seen                refused
nsgaiii    not seen, never a parent        not seen                  not seen                refused
cmaes      has no constraints: refused     with                      not seen                refused
                                           consider_pruned_trials
qmc        learns from none                learns from none          learns from none        refused
random     learns from none                learns from none          learns from none        yes
grid       learns from none                learns from none          learns from none        yes
=========  ==============================  ========================  ======================  ==================

``PRUNED`` with its constraint is the state for a vetoed trial. ``FAIL`` would hide it from TPE: in a plane half of
which is infeasible, 97 % of TPE's last 20 of 40 proposals were infeasible then, and 33 % as ``PRUNED`` (5 seeds).
``COMPLETE`` would need an objective value that nobody measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    NSGAIIISampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)

from mythos_lab.search.imported import IMPORT, Plugged
from mythos_lab.search.named import DEPRECATED, Catalogue, Entry, Named
from mythos_lab.search.samplers.cma_state import use_plain_state
from mythos_lab.search.samplers.gp import AllEndsGPSampler
from mythos_lab.search.samplers.prior import Prior, PriorSampler
from mythos_lab.search.samplers.queue_only import QueueOnly

use_plain_state()

AUTO = "auto"

_FEW_GP, _MOST_GP = 200, 500  # trials: 0.6 s and 2.8 s a proposal; 21 s at 1,000
_MOST_TPE_FRONT = 1000  # trials of several objectives: 0.1 s a proposal, 0.6 s at 5,000


_OURS = {"seed": "the study's seed is used", "independent_sampler": "what a sampler cannot propose is refused instead"}
_QUIET = {"warn_independent_sampling": "what a sampler cannot propose is refused instead"}

SAMPLERS = Catalogue(
    "sampler",
    BaseSampler,
    {
        "tpe": Entry(
            TPESampler,
            presets={"multivariate": True, "group": True, "constant_liar": True},
            least={"n_ei_candidates": 1},
            withheld=_OURS
            | dict.fromkeys(
                (
                    "consider_prior",
                    "prior_weight",
                    "consider_magic_clip",
                    "consider_endpoints",
                    "gamma",
                    "weights",
                    "warn_independent_sampling",
                ),
                DEPRECATED,
            ),
        ),
        "gp": Entry(AllEndsGPSampler, withheld=_OURS | _QUIET),
        "nsgaii": Entry(NSGAIISampler, withheld=_OURS),
        "nsgaiii": Entry(NSGAIIISampler, withheld=_OURS),
        "cmaes": Entry(
            CmaEsSampler,
            withheld=_OURS | _QUIET | dict.fromkeys(("x0", "sigma0", "restart_strategy", "inc_popsize"), DEPRECATED),
        ),
        "qmc": Entry(
            QMCSampler, withheld=_OURS | _QUIET | {"warn_asynchronous_seeding": "all workers share the study's seed"}
        ),
        "random": Entry(RandomSampler, withheld=_OURS),
        "grid": Entry(QueueOnly),
        AUTO: Entry(QueueOnly),
    },
    withheld={
        "brute_force": "grid enumerates finite spaces, conditional ones too, and is safe with several workers",
        "partial_fixed": "a field that does not vary is written as an override",
    },
)


@dataclass(frozen=True)
class StudyFacts:
    """What a sampler has to know of a study before it starts.

    Attributes:
        num_trials: Trials that are planned.
        num_params: Parameters that have more than one value.
        num_categorical: Those of them that are choices.
        num_conditional: Those of them that exist in some trials only.
        finite_size: Distinct candidates, or ``None`` where a number is continuous.
        num_objectives: Objectives.
        vetoes: Whether candidates can be found infeasible before they are trained.
        prunes: Whether trials can be pruned.
    """

    num_trials: int
    num_params: int
    num_categorical: int = 0
    num_conditional: int = 0
    finite_size: int | None = None
    num_objectives: int = 1
    vetoes: bool = False
    prunes: bool = False


def read_sampler(written: Any) -> Named:
    """Check a sampler as written; what it cannot do for a certain study is ``check_sampler``'s.

    Raises:
        ValueError: An unknown kind or option, with the nearest one, or a wrong value.
    """
    return SAMPLERS.read(written)


def choose(facts: StudyFacts) -> tuple[str, str]:
    """The sampler for a study whose user names none, and why, in a few words to print."""
    several = facts.num_objectives > 1
    if facts.finite_size is not None and facts.finite_size <= facts.num_trials:
        return "grid", f"all {facts.finite_size} candidates fit into {facts.num_trials} trials"
    if facts.num_conditional:
        return "tpe", f"{_conditional(facts)} only with a certain choice, which only tpe models, grouped"
    if several and facts.num_trials > _MOST_TPE_FRONT:
        kind = "nsgaii" if facts.num_objectives <= 3 else "nsgaiii"
        return kind, f"{facts.num_objectives} objectives in over {_MOST_TPE_FRONT:,} trials, where tpe becomes slow"
    if facts.vetoes or facts.prunes:
        ends = " and ".join(["vetoed"] * facts.vetoes + ["pruned"] * facts.prunes)
        return "tpe", f"trials may be {ends}, and tpe learns most from those"
    if facts.num_trials <= _FEW_GP:
        return "gp", f"every trial has the same fields, and {facts.num_trials} trials are few enough to model exactly"
    return "tpe", f"{facts.num_trials:,} trials are too many for gp, whose proposals take 0.6 s at {_FEW_GP}"


def resolve_sampler(written: Any, facts: StudyFacts, priors: Mapping[str, Prior] | None = None) -> tuple[Named, str]:
    """The sampler that a study gets: the one that is named, or for ``auto`` the one that is chosen; and the reason.

    Raises:
        ValueError: The choice is wrong, or cannot do what the study asks.
    """
    named, reason = read_sampler(written), "as written"
    if named.kind == AUTO:
        without_grid = facts if not priors else StudyFacts(**{**vars(facts), "finite_size": None})
        kind, reason = choose(without_grid)
        named = Named(kind)
    check_sampler(named, facts, priors or {})
    return named, reason


def check_sampler(named: Named, facts: StudyFacts, priors: Mapping[str, Prior]) -> None:
    """Refuse a sampler that would fall back to random draws, or repeat itself, without saying so.

    Raises:
        ValueError: With the sampler and the reason.
    """
    if named.kind == IMPORT:  # its author knows what it can do
        return
    if reason := _LIMITS[named.kind](named.options, facts):
        raise ValueError(f"{named.kind}: {reason}")
    for option in ("n_startup_trials", "population_size"):
        random = _options(named, facts).get(option, 0)
        if random >= facts.num_trials and (option in named.options or option == "population_size"):
            raise ValueError(
                f"{named.kind}: {option}={random} of {facts.num_trials} trials are random: none would be modelled"
            )
    if priors and named.kind == "grid":
        raise ValueError("grid: takes every candidate, so that priors have no effect; leave them out")
    if priors and named.options.get("with_margin"):
        raise ValueError("cmaes: with_margin cannot learn from draws of priors; leave one of the two out")


def make_sampler(
    named: Named,
    facts: StudyFacts,
    *,
    seed: int,
    worker: int = 0,
    num_before: int = 0,
    priors: Mapping[str, Prior] | None = None,
) -> BaseSampler:
    """Construct a sampler that ``resolve_sampler`` gave.

    Args:
        seed: The study's.
        worker: The worker's index: each draws from a seed of its own, except for ``qmc``, whose points are shared out.
        num_before: Trials that the study holds when the worker opens it. Without it a study that is gone on with would
            draw its first trials again.
        priors: Beliefs by parameter name.
    """
    own = int(np.random.SeedSequence([seed, worker, num_before]).generate_state(1)[0])
    given: dict[str, Any] = {"seed": own}
    if named.kind == "grid":
        given = {}
    elif named.kind == "qmc":
        given = {"seed": seed, "independent_sampler": RandomSampler(seed=own)}
    sampler: BaseSampler = SAMPLERS.build(Named(named.kind, _options(named, facts)), **given)
    if named.kind == IMPORT:
        sampler = Plugged(sampler, str(named.options["path"]))
    return PriorSampler(sampler, priors, seed=seed) if priors else sampler


def sampler_settings(named: Named, facts: StudyFacts) -> dict[str, Any]:
    """Kind and all options with the values they have, to be recorded with the study."""
    if named.kind == IMPORT:
        return named.asdict()
    offered = SAMPLERS.entries[named.kind].options()
    defaults = {name: option.default for name, option in offered.items()}
    return {"kind": named.kind, **defaults, **_options(named, facts)}


def _options(named: Named, facts: StudyFacts) -> dict[str, Any]:
    """The written options, and those that small studies need: random starts that leave trials to be modelled."""
    small: dict[str, Any] = {}
    if named.kind in ("tpe", "gp"):
        small["n_startup_trials"] = min(10, max(1, facts.num_trials // 4))
    elif named.kind in ("nsgaii", "nsgaiii"):
        small["population_size"] = min(50, max(4, facts.num_trials // 5))
    return small | dict(named.options)


def _gp(options: Mapping[str, Any], facts: StudyFacts) -> str | None:
    if facts.num_conditional:
        return _unmodelled(facts)
    if facts.num_trials > _MOST_GP:
        return f"one proposal takes 2.8 s at {_MOST_GP} trials and 21 s at 1,000; take tpe, or fewer trials"
    return None


def _cmaes(options: Mapping[str, Any], facts: StudyFacts) -> str | None:
    if facts.num_objectives > 1:
        return f"has one objective, and the study has {facts.num_objectives}; take tpe or nsgaii"
    if facts.num_categorical:
        return f"{facts.num_categorical} fields are choices and would be drawn at random; take tpe"
    if facts.vetoes:
        return "does not use constraints; take tpe"
    return _unmodelled(facts) if facts.num_conditional else None


def _grid(options: Mapping[str, Any], facts: StudyFacts) -> str | None:
    if facts.finite_size is None:
        return "a continuous field has no finite number of values; give it a step or choices, or take qmc"
    if facts.finite_size > facts.num_trials:
        return (
            f"has {facts.finite_size:,} candidates, and {facts.num_trials:,} trials are planned; plan more, or take qmc"
        )
    return None


def _whole_only(options: Mapping[str, Any], facts: StudyFacts) -> str | None:
    return _unmodelled(facts) if facts.num_conditional else None


def _any(options: Mapping[str, Any], facts: StudyFacts) -> str | None:
    return None


def _unmodelled(facts: StudyFacts) -> str:
    return f"{_conditional(facts)} only with a certain choice and would be drawn at random; take tpe"


def _conditional(facts: StudyFacts) -> str:
    return "1 field exists" if facts.num_conditional == 1 else f"{facts.num_conditional} fields exist"


_LIMITS: Mapping[str, Callable[[Mapping[str, Any], StudyFacts], str | None]] = {
    "tpe": _any,
    "gp": _gp,
    "nsgaii": _whole_only,
    "nsgaiii": _whole_only,
    "cmaes": _cmaes,
    "qmc": _whole_only,
    "random": _any,
    "grid": _grid,
}
