"""The names of all metrics: an API that dashboards and search spaces depend on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mythos_blocks.declaring.registry import suggest


@dataclass(frozen=True)
class Metric:
    """A logged number.

    Attributes:
        unit: What it is counted in.
        meaning: One sentence.
        better: Which way is better; ``None`` where neither is by itself.
    """

    unit: str
    meaning: str
    better: Literal["higher", "lower"] | None = None

    @property
    def is_coarse(self) -> bool:
        """Whether it takes few values, so that two runs may have the same one by chance."""
        return self.unit in ("share", "loops", "quality")


METRICS: dict[str, Metric] = {
    "train/loss": Metric("nats/token", "Cross-entropy of scored tokens in the training step.", "lower"),
    "train/objective": Metric("nats/token", "The objective's value in the training step, before penalties.", "lower"),
    "train/total_loss": Metric(
        "nats/token", "What is minimised: the objective, components' losses and penalties.", "lower"
    ),
    "train/num_loops": Metric(
        "loops", "Iterations of the training step, as sampled, the mean over positions that are no padding."
    ),
    "train/mean_loops": Metric(
        "loops",
        "Iterations run before halting in the training step at its sampled loop counts; of halting rules alone.",
    ),
    "train/depth_read": Metric(
        "loops", "Iteration that the readout weighs in the training step, the mean; of halting rules alone."
    ),
    "train/num_steps": Metric(
        "steps", "Optimiser steps done when training ended; fewer than max_steps where solved_at ended it.", "lower"
    ),
    "train/learning_rate": Metric("1", "Learning rate held by the optimiser."),
    "train/gradient_norm": Metric("1", "Norm of the gradient before clipping."),
    "val/loss": Metric(
        "nats/token", "Cross-entropy of scored tokens on the validation split, at the evaluated loop count.", "lower"
    ),
    "val/accuracy": Metric("share", "Scored tokens predicted right on the validation split.", "higher"),
    "test/loss": Metric(
        "nats/token", "Cross-entropy of scored tokens on the test split, which a study opens once.", "lower"
    ),
    "test/accuracy": Metric("share", "Scored tokens predicted right on the test split.", "higher"),
    "test/bits_per_byte": Metric("bits/byte", "test/loss of a text task, per byte of text.", "lower"),
    "ood/loss": Metric("nats/token", "Cross-entropy of scored tokens out of distribution.", "lower"),
    "ood/accuracy": Metric("share", "Scored tokens predicted right out of distribution.", "higher"),
    "ood/best_accuracy": Metric(
        "share", "The best accuracy out of distribution at any loop count of the depth curve.", "higher"
    ),
    "val/bits_per_byte": Metric("bits/byte", "val/loss of a text task, per byte of text.", "lower"),
    "stability/rho_A": Metric("1", "Spectral radius of the injection's linear map, in the state's dtype."),
    "stability/rho_A_distance": Metric("1", "1 less stability/rho_A, in the state's dtype.", "higher"),
    "stability/rho_J": Metric("1", "Growth of a power iteration on the loop's Jacobian at the last state."),
    "stability/sigma_max_J": Metric("1", "Largest singular value of the Jacobian of the last iteration looked at."),
    "stability/lyapunov": Metric("nats/loop", "Largest local Lyapunov exponent over the evaluated loops."),
    "stability/settles": Metric("share", "Sequences whose state goes to a fixed point."),
    "stability/orbits": Metric("share", "Sequences whose state comes back to where it was."),
    "stability/drifts": Metric("share", "Sequences whose state does neither."),
    "stability/fixed_point_residual": Metric("1", "Relative change of the last state by one more iteration, RMS."),
    "stability/max_spectral_norm": Metric("1", "Largest singular value of any matrix of the core's layers."),
    "stability/layer_scale": Metric("1", "Mean absolute LayerScale of the core's layers."),
    "penalty/z_loss": Metric("1", "Mean squared log-normaliser of the logits."),
    "penalty/weight_cosine": Metric("1", "Mean cosine between matrices of successive blocks."),
    "penalty/distillation": Metric("nats/token", "Divergence of the predictions from the teacher's."),
    "penalty/gate_improvement": Metric("nats/token", "Cross-entropy of going on against what the next loop gains."),
    "auxiliary/halting": Metric("1", "What the halting rule adds to the loss."),
    "halting/mean_loops": Metric(
        "loops",
        "Iterations run before halting on the validation split, at the evaluated loop count, the mean over positions "
        "that are no padding; of models with a halting rule or an exit.",
    ),
    "halting/depth_read": Metric(
        "loops",
        "Iteration that the readout weighs on the validation split, the mean over positions that are no padding; of "
        "models with a halting rule or an exit.",
    ),
    "loops/executed": Metric("loops", "Iterations that evaluation executed, those of the longest position of a batch."),
    "loops/gain": Metric("quality", "Quality at the evaluated loop count less quality at one loop.", "higher"),
    "loops/useful_depth": Metric("loops", "First loop count of the depth curve within 1 % of the best quality."),
    "loops/overthinking": Metric(
        "quality", "Best quality of the depth curve less quality at its largest loop count.", "lower"
    ),
    "loops/used": Metric(
        "loops", "Length of the shortest sub-word of the evaluated iterations that gives the same answers."
    ),
    "loops/distinct": Metric("operators", "Fewest different operators among the iterations that are used."),
    "loops/used_flips": Metric("share", "Answers that the iterations used alone flip, on held-out samples.", "lower"),
    "loops/distinct_flips": Metric("share", "Answers that the distinct operators flip, on held-out samples.", "lower"),
    "loops/noise_flips": Metric(
        "share", "Answers that another seed of the noise that components draw flips, on held-out samples.", "lower"
    ),
    "breadth/single": Metric(
        "share",
        "Scored tokens predicted right on the validation split from one of evaluation.breadth starts, their mean.",
        "higher",
    ),
    "breadth/vote": Metric("share", "The same of the token that most of the starts predict.", "higher"),
    "breadth/confident": Metric(
        "share", "The same of the start whose readout is surest of a sample's scored tokens.", "higher"
    ),
    "breadth/gain": Metric("quality", "breadth/vote less breadth/single, in accuracy.", "higher"),
    "experts/load_cv": Metric("1", "Standard deviation of the experts' load over its mean, averaged over MoE layers."),
    "knockout/injection": Metric("quality", "Quality lost when the trained injection is replaced by its off kind."),
    "knockout/depth_signal": Metric(
        "quality", "Quality lost when the trained depth signal is replaced by its off kind."
    ),
    "knockout/depth_adapter": Metric(
        "quality", "Quality lost when the trained depth adapter is replaced by its off kind."
    ),
    "cost/params": Metric("parameters", "Parameters stored.", "lower"),
    "cost/params_applied": Metric(
        "parameters", "Parameters applied in a forward pass, the core's as often as it does.", "lower"
    ),
    "cost/params_active": Metric(
        "parameters", "Parameters stored that one token uses: experts not routed to are left out.", "lower"
    ),
    "cost/training_tokens": Metric("tokens", "Positions that all training steps read, padding included."),
    "cost/training_flops": Metric(
        "FLOPs", "Products and sums of all training steps, in expectation over loop counts.", "lower"
    ),
    "cost/inference_flops_per_token": Metric(
        "FLOPs/token", "Scoring a batch, over its positions, at the evaluated loop count.", "lower"
    ),
    "cost/breadth_flops_per_token": Metric("FLOPs/token", "The same of all evaluation.breadth starts.", "lower"),
    "cost/prefill_flops": Metric(
        "FLOPs/sequence", "Reading a sequence of the task's length, with logits everywhere.", "lower"
    ),
    "cost/decode_flops_per_token": Metric(
        "FLOPs/token", "One more token after that sequence, with its cache.", "lower"
    ),
    "cost/cache_bytes": Metric(
        "bytes/sequence", "Keys, values and latents of that sequence, in the recipe's precision.", "lower"
    ),
    "cost/state_bytes": Metric(
        "bytes/sequence",
        "State, carry and halting: what iterations pass on; in float32, whatever the precision.",
        "lower",
    ),
    "cost/activation_bytes": Metric(
        "bytes", "The most bytes alive in a training step beyond those between steps, on one device.", "lower"
    ),
    "cost/peak_memory_bytes": Metric(
        "bytes", "The most bytes alive in a training step, weights and optimiser included, on one device.", "lower"
    ),
    "speed/tokens_per_second": Metric(
        "tokens/s", "Training tokens, padding left out, over wall-clock time since the last logging step.", "higher"
    ),
    "speed/num_graphs": Metric(
        "graphs", "Graphs of layers that torch has compiled since this process began to train (training.compile)."
    ),
    "speed/num_given_up": Metric(
        "times", "How often torch stopped compiling a layer at its limit of graphs, beyond which it runs uncompiled."
    ),
}
"""Every metric by name. ``depth/<quality>`` carries the depth curve, with the loop count as its step;
``live/<quantity>`` what a measure came to while the model trained, with the steps done."""


VALIDATED = (
    "val/loss",
    "val/accuracy",
    "val/bits_per_byte",
    "loops/executed",
    "loops/gain",
    "halting/mean_loops",
    "halting/depth_read",
)
"""Metrics that every validation may report, and by which a run may be pruned; others come at its end."""


def known(name: str) -> str:
    """The name; ``ValueError`` with the nearest metric where it is not one."""
    if name not in METRICS:
        raise ValueError(f"unknown metric {name!r}; {suggest(name, METRICS)}")
    return name
