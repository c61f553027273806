"""What Parcae's configuration says of training: loop counts, gradient windows and initial weights."""

from __future__ import annotations

import math
from typing import Any

from mythos_blocks.checkpoints.config import Config

_LOOPS_PER = {"per-batch": "batch", "per-sequence": "sequence"}


def loops(read: Config) -> dict[str, Any]:
    """The sampler, and what shares a draw of it.

    Raises:
        ValueError: The blocks have no such sampler.
    """
    window = read.count("mean_backprop_depth")
    mean = read.count("mean_recurrence")
    if mean < window:
        why = "training would draw its loop counts around mean_backprop_depth, and evaluation run mean_recurrence"
        raise read.refusal("mean_recurrence", f"counts of at least mean_backprop_depth={window}", why)
    method = read.expect("recurrent_iteration_method", *_LOOPS_PER, "per-token")
    schemes = ("poisson-truncated-full", "poisson-full", "fixed")
    scheme = read.expect("sampling_scheme", *schemes, why="the blocks have no such distribution of counts and windows")
    if scheme == "fixed":
        return {"loops": {"kind": "fixed", "num_loops": mean, "gradient_window": window}}
    if method == "per-token":
        why = "tokens that wait go on giving keys of their unchanged state, where ours keep those that they gave last"
        raise read.refusal("recurrent_iteration_method", " or ".join(map(repr, _LOOPS_PER)), why)
    if method == "per-batch" and scheme == "poisson-truncated-full":
        why = "its code runs the n iterations drawn and min(n, mean_backprop_depth) more, in training alone"
        raise read.refusal("recurrent_iteration_method", "'per-sequence' with this sampling_scheme", why)
    sampler = {
        "kind": "poisson",
        "mean": mean + math.exp(-mean),  # of max(1, Poisson(mean))
        "maximum": 4 * mean + 24,  # beyond which less is left than float64 resolves
        "gradient_window": window if scheme == "poisson-truncated-full" else None,
    }
    return {"loops": sampler, "loops_per": _LOOPS_PER[method]}


def initialization(read: Config) -> dict[str, Any]:
    """The distribution of the initial weights.

    Raises:
        ValueError: The blocks have no such distribution.
    """
    kinds = {"scaled-zero": "scaled_zero", "scaled": "depth_scaled", "scaled-geiping": "depth_scaled"}
    kind, orthogonal = read.choose("init_strategy", kinds), read.flag("init_orthogonal")
    if orthogonal and kind == "depth_scaled" and read.get("injection_type") == "linear":
        why = "the adapter stays normal there, and depth_scaled draws an orthogonal one"
        raise read.refusal("init_orthogonal", "False with this init_strategy and injection_type", why)
    if orthogonal and read.get("mlp_class_name") == "GatedMLP":
        why = "gate and up are halves of one orthogonal matrix there, and each is one of its own here"
        raise read.refusal("init_orthogonal", "False with this mlp_class_name", why)
    return {"kind": kind, "orthogonal": orthogonal}
