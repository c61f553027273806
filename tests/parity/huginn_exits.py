"""Huginn's exit rules for one position, written out from the criteria that its generation offers.

A rule is a value to start from, what it makes of an iteration, and whether two such values are near.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

Vector = list[float]


class Criterion(NamedTuple):
    """What is compared; ``start`` is made from the initial state and the number of tokens."""

    start: Callable[[Vector, int], Any]
    of: Callable[[Vector, Vector], Any]
    apart: Callable[[Any, Any], float]


def norm(v):
    return math.sqrt(sum(x * x for x in v))


def softmax(logits):
    top = max(logits)
    weights = [math.exp(x - top) for x in logits]
    return [w / sum(weights) for w in weights]


def levelled(logits):
    """Tokens below a tenth of the likeliest count as in a uniform distribution, before it all sums to one again."""
    p = softmax(logits)
    kept = [1 / len(p) if x < 0.1 * max(p) else x for x in p]
    return [x / sum(kept) for x in kept]


def divergence(before, now):
    return sum(a * (math.log(a) - math.log(b)) for a, b in zip(before, now, strict=True))


def initial_state(state, num_tokens):
    return state


def uniform(state, num_tokens):
    return [1 / num_tokens] * num_tokens


CRITERIA = {
    "latent": Criterion(
        initial_state,
        lambda state, logits: state,
        lambda a, b: norm([y - x for x, y in zip(a, b, strict=True)]) / norm(b),
    ),
    "cosine": Criterion(
        initial_state,
        lambda state, logits: state,
        lambda a, b: 1 - sum(x * y for x, y in zip(a, b, strict=True)) / norm(a) / norm(b),
    ),
    "entropy": Criterion(
        lambda state, num_tokens: 100.0,
        lambda state, logits: -sum(p * math.log(p + 1e-10) for p in softmax(logits)),
        lambda a, b: abs(b - a),
    ),
    "kl": Criterion(uniform, lambda state, logits: softmax(logits), divergence),
    "min_p_kl": Criterion(uniform, lambda state, logits: levelled(logits), divergence),
    "argmax": Criterion(
        lambda state, num_tokens: -1,
        lambda state, logits: logits.index(max(logits)),
        lambda a, b: float(a != b),
    ),
}


def num_loops(kind, states, logits, *, threshold=0.5, patience=1, min_steps=0):
    """How many iterations run: ``states`` from the initial one on, ``logits[t]`` read from ``states[t + 1]``.

    Iterations before ``min_steps`` (from 0) are not looked at. ``patience`` is of the argmax alone, whose published
    threshold it is: so often in a row the token must be the one before.
    """
    criterion = CRITERIA[kind]
    before, calm = criterion.start(states[0], len(logits[0])), 0
    for step in range(min_steps, len(logits)):
        now = criterion.of(states[step + 1], logits[step])
        calm = calm + 1 if criterion.apart(before, now) < threshold else 0
        if calm >= patience:
            return step + 1
        before = now
    return len(logits)
