"""What a recipe costs: parameters, FLOPs and bytes, counted by running it without numbers."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from torch import nn

from mythos_blocks import KVPolicy, LoopedTransformer, RoutedExperts
from mythos_blocks.declaring.registry import slot_info, suggest
from mythos_blocks.declaring.types import MAX_LOOPS
from mythos_blocks.frame.memory import Path
from mythos_lab.recipe.assembled import task_of
from mythos_lab.recipe.compose import build_on_meta
from mythos_lab.recipe.draws import Draws, heaviest_counts
from mythos_lab.recipe.errors import RecipeError, shortened
from mythos_lab.recipe.rehearsal import Decoding, ForwardPass, Rehearsal, TrainingStep
from mythos_lab.recipe.schema import Recipe

COUNTS = (
    "params",
    "params_applied",
    "params_active",
    "training_tokens",
    "training_flops",
    "inference_flops_per_token",
    "breadth_flops_per_token",
    "prefill_flops",
    "decode_flops_per_token",
    "cache_bytes",
    "state_bytes",
    "activation_bytes",
    "peak_memory_bytes",
)
"""What is counted; the metrics are ``cost/<name>``."""

DECODING = ("prefill_flops", "decode_flops_per_token", "cache_bytes")
"""What is counted only where tokens can be decoded one after the other."""


@dataclass(frozen=True)
class CachePolicy:
    """What one sequence's cache takes under a policy.

    Attributes:
        kind: The policy's kind, with its fields at their defaults unless it is the recipe's.
        exact: Whether decoding with it equals the full pass.
        by_layer: Bytes by the place of the layer, ``("core", 0)``. A policy changes what layers of the core hold.
    """

    kind: str
    exact: bool
    by_layer: dict[Path, int]

    @property
    def by_part(self) -> dict[str, int]:
        """Bytes of prelude, core and coda, where they hold any."""
        parts: dict[str, int] = {}
        for path, size in self.by_layer.items():
            parts[str(path[0])] = parts.get(str(path[0]), 0) + size
        return parts

    @property
    def total(self) -> int:
        """Bytes of all layers."""
        return sum(self.by_layer.values())


_APART = {"name", "description", "seed", "evaluation", "stability", "tracking", "waive"}
_APART_IN_TRAINING = {
    *("max_steps", "schedule", "validate_every", "log_every", "num_threads", "accelerator"),
    *("start", "start_with", "solved_at", "batch_warmup"),
}
"""Fields that change nothing about a step, here and above."""


class _Subject:
    """A recipe's model on the meta device, and its rehearsal, each made when it is first asked for.

    Recipes that differ in nothing that a step depends on are equal as subjects.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        left_out: Any = {**dict.fromkeys(_APART, True), "training": _APART_IN_TRAINING}
        self._written = recipe.model_dump_json(exclude=left_out)

    def __hash__(self) -> int:
        return hash(self._written)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Subject) and other._written == self._written

    @cached_property
    def _built(self) -> tuple[LoopedTransformer, int]:
        model, task = build_on_meta(self._recipe)
        return copy.deepcopy(model), task.positions  # which the rehearsal will fill

    @property
    def model(self) -> LoopedTransformer:
        return self._built[0]

    @property
    def positions(self) -> int:
        return self._built[1]

    @cached_property
    def rehearsal(self) -> Rehearsal:
        # The task is asked for again and not kept: subjects outlive their candidate, and its text may fill the memory.
        return Rehearsal(self._recipe, self.model, task_of(self._recipe))


@lru_cache(maxsize=8)
def _kept(subject: _Subject) -> _Subject:
    """The subject that was equal to this one, with what was rehearsed of it."""
    return subject


class Cost:
    """Counts of a recipe, each made when it is first asked for; the names are those of the metrics ``cost/*``.

    What data decide counts as if they never decided so: positions that may halt or exit early run every loop. Where
    each position draws a loop count of its own, FLOPs are those of evenly spread counts. Scored positions are those of
    the first batch. Bytes are those of the CPU, in the recipe's precision; see :class:`LiveBytes` for what is not seen.
    Of several devices, FLOPs are those of all and bytes those of one, without the buffers in which gradients are
    exchanged, and as if weights were not spread (``fsdp2``).

    Args:
        recipe: The recipe.
        num_loops: A loop count to take instead of those that are drawn in training and run in evaluation.

    Attributes:
        recipe: The recipe.
        num_loops: The loop count outside training.
    """

    def __init__(self, recipe: Recipe, num_loops: int | None = None) -> None:
        self.recipe, self._fixed, self._subject = recipe, num_loops, _kept(_Subject(recipe))

    def at(self, num_loops: int) -> Cost:
        """The same at a loop count."""
        return Cost(self.recipe, num_loops)

    @property
    def _model(self) -> LoopedTransformer:
        return self._subject.model

    @cached_property
    def num_loops(self) -> int:
        return self._fixed or self._model.core.loops.eval_loops

    @cached_property
    def params(self) -> int:
        """Parameters stored."""
        return count(self._model)

    @cached_property
    def params_active(self) -> int:
        """Parameters stored that one token uses."""
        return self.params - _idle_experts(self._model)

    @cached_property
    def params_applied(self) -> int:
        """Parameters applied in a forward pass, those of the core as often as they are."""
        return self.params - count(self._model.core) + self._forward.core_params

    @cached_property
    def training_tokens(self) -> int:
        """Positions of all training steps."""
        return self.recipe.training.num_samples * self._subject.positions

    @cached_property
    def training_flops(self) -> float:
        """Products and sums of all training steps, in expectation over the drawn loop counts."""
        training, warmup = self.recipe.training, self.recipe.training.batch_warmup
        if warmup is None:
            return self._training_step_flops * training.max_steps
        # A step's are linear in its sequences, and those of the optimiser are the same in all steps.
        smaller = training.model_copy(update={"batch_size": warmup.first, "batch_warmup": None})
        first = Cost(self.recipe.model_copy(update={"training": smaller}), self._fixed)._training_step_flops
        grown = (training.num_samples / training.max_steps - warmup.first) / (training.batch_size - warmup.first)
        return (first + grown * (self._training_step_flops - first)) * training.max_steps

    @cached_property
    def inference_flops_per_token(self) -> float:
        """A forward pass as evaluation runs it, over its positions."""
        return self._forward.flops / self._subject.rehearsal.batch.tokens.numel()

    @property
    def breadth_flops_per_token(self) -> float:
        """The same of all starts of ``evaluation.breadth``, each of which is a pass of its own."""
        return self.recipe.evaluation.breadth * self.inference_flops_per_token

    @cached_property
    def prefill_flops(self) -> int:
        """Reading one sequence of the task's length into a cache."""
        return self._decoding.prefill_flops

    @cached_property
    def decode_flops_per_token(self) -> int:
        """One more token of that sequence."""
        return self._decoding.decode_flops

    @cached_property
    def cache_bytes(self) -> int:
        """The cache of that sequence, under the recipe's policy."""
        return sum(self._decoding.cache_bytes.values())

    @cached_property
    def state_bytes(self) -> int:
        """What the loop carries from iteration to iteration, for one sequence."""
        return self._forward.state_bytes

    @cached_property
    def activation_bytes(self) -> int:
        """The most bytes alive in a training step beyond those alive between steps."""
        return self._largest_step.bytes_at_most - self._largest_step.bytes_before

    @cached_property
    def peak_memory_bytes(self) -> int:
        """The most bytes alive in a training step."""
        return self._largest_step.bytes_at_most

    @cached_property
    def cache_policies(self) -> list[CachePolicy]:
        """The cache under the recipe's policy, and under every other of the registry; none where nothing is decoded."""
        if not self.decodes:
            return []
        declared = self._model.core.kv_policy
        others = [cls for kind, cls in slot_info("kv_policy").kinds.items() if kind != declared.kind]
        policies: list[KVPolicy] = [declared, *(cls() for cls in others)]  # type: ignore[list-item]
        return [CachePolicy(p.kind, p.exact, self._subject.rehearsal.cache(self.num_loops, p)) for p in policies]

    @property
    def decodes(self) -> bool:
        """Whether tokens follow one another, so that there is a cache to speak of."""
        return self.recipe.mask == "causal"

    def metrics(self) -> dict[str, float]:
        """All counts under their metric names; without those of decoding where nothing is decoded, and of breadth
        where there is none."""
        left_out = set() if self.decodes else {*DECODING}
        if self.recipe.evaluation.breadth == 1:
            left_out.add("breadth_flops_per_token")
        names = [name for name in COUNTS if name not in left_out]
        return {f"cost/{name}": float(getattr(self, name)) for name in names}

    @cached_property
    def _forward(self) -> ForwardPass:
        return self._subject.rehearsal.forward(self.num_loops)

    @cached_property
    def _decoding(self) -> Decoding:
        return self._subject.rehearsal.decoding(self.num_loops)

    @cached_property
    def _draws(self) -> Draws:
        return Draws(self._model.core, self._fixed)

    @cached_property
    def _largest_step(self) -> TrainingStep:
        """The training step with the most iterations; those of many positions always come to about the same."""
        core, rehearsal = self._model.core, self._subject.rehearsal
        if core.loops_per == "batch" or self._fixed is not None:
            return rehearsal.training_step(self._draws.most)
        if core.loops_per == "sequence":
            return rehearsal.training_step(heaviest_counts(core, len(rehearsal.batch.tokens)))
        return max((step for _, step in self._spread_steps), key=lambda step: step.bytes_at_most)

    @cached_property
    def _spread_steps(self) -> list[tuple[float, TrainingStep]]:
        """Training steps with counts as they spread over a batch, and each one's share of all steps."""
        rehearsal = self._subject.rehearsal
        spread = self._draws.spread(rehearsal.batch.tokens.shape)
        return [(share, rehearsal.training_step(counts)) for share, counts in spread]

    @cached_property
    def _training_step_flops(self) -> float:
        num_devices = self.recipe.training.num_devices
        if self._model.core.loops_per == "token" and self._fixed is None:
            return sum(share * step.flops for share, step in self._spread_steps) * num_devices
        step = self._subject.rehearsal.training_step
        return self._draws.mean(lambda num_loops: step(num_loops).flops) * num_devices


def cost(recipe: Recipe) -> Cost:
    """The counts of a recipe; what is not asked for is not counted."""
    return Cost(recipe)


def cost_metric(recipe: Recipe, name: str) -> float:
    """One count of a recipe by its metric name, ``cost/params``.

    Raises:
        RecipeError: It is no cost, or one of decoding and the recipe does not decode.
    """
    known = {f"cost/{count}": count for count in COUNTS}
    if name not in known:
        raise RecipeError(f"{name}: no cost; {suggest(name, known)}")
    return float(getattr(Cost(recipe), known[name]))


def loop_counts(text: str) -> list[int]:
    """Loop counts from ``1,4,16``.

    Raises:
        RecipeError: They are no whole numbers from 1 to ``MAX_LOOPS``.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() and len(part) < 6 and 0 < int(part) <= MAX_LOOPS for part in parts):
        raise RecipeError(f"--loops {shortened(text)}: expected whole numbers from 1 to {MAX_LOOPS}, joined by commas")
    return [int(part) for part in parts]


def count(module: nn.Module) -> int:
    """Parameters of a module, tied ones once."""
    return sum(p.numel() for p in module.parameters())


def _idle_experts(model: nn.Module) -> int:
    idle = 0
    for module in model.modules():
        if isinstance(module, RoutedExperts):
            routed = module.gate.numel() + module.up.numel() + module.down.numel()
            idle += routed - routed * module.num_active // module.num_experts
    return idle
