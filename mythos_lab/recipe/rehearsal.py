"""What a recipe does once it trains and decodes, done by shapes alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mythos_blocks import Cache, Decoder, Iterations, KVPolicy, LoopedTransformer
from mythos_blocks.frame.memory import Path, Tensors
from mythos_lab.recipe.dry_run import DryRun, Numberless
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.flops import FlopCount
from mythos_lab.recipe.mask import surroundings
from mythos_lab.recipe.memory import LiveBytes
from mythos_lab.recipe.precision import autocast_for
from mythos_lab.recipe.schema import Recipe
from mythos_lab.recipe.step import Learner, step
from mythos_lab.tasks.base import IGNORE, Batch, Task

_NOT_PASSED_ON = {"weights", "scores", "real"}


@dataclass(frozen=True)
class TrainingStep:
    """What one optimiser step takes on one device.

    Attributes:
        flops: Products and sums: forward, backward, and those of the optimiser.
        bytes_before: Weights, buffers, gradients, the optimiser's state, the batch, and, where weights are averaged,
            their average and the model that is evaluated with it.
        bytes_at_most: The most bytes alive at a time within the step.
    """

    flops: int
    bytes_before: int
    bytes_at_most: int


@dataclass(frozen=True)
class ForwardPass:
    """What scoring a batch takes.

    Attributes:
        flops: Products and sums.
        state_bytes: What the loop carries from iteration to iteration, for one sequence.
        core_params: Parameters of the core, each as often as it was applied.
    """

    flops: int
    state_bytes: int
    core_params: int


@dataclass(frozen=True)
class Decoding:
    """What one sequence takes in decoding.

    Attributes:
        prefill_flops: Reading the sequence into the cache, with logits at every position.
        decode_flops: One more token.
        cache_bytes: Keys, values and latents of the sequence, by the place of the layer: ``("core", 0)``.
    """

    prefill_flops: int
    decode_flops: int
    cache_bytes: dict[Path, int]


class Rehearsal:
    """A recipe's model, optimiser and first batch, of which only the batch has numbers.

    The training step is the one that trains (:mod:`mythos_lab.recipe.step`).

    Args:
        recipe: The recipe.
        model: Its model on the meta device, which then belongs to the rehearsal.
        task: Its task.

    Attributes:
        batch: The samples of the first step that one device gets.
    """

    def __init__(self, recipe: Recipe, model: LoopedTransformer, task: Task) -> None:
        self.recipe, self.model = recipe, model
        training = recipe.training
        self.batch: Batch = task.batch("train", range(training.batch_size // training.num_devices))
        self._done: dict[Any, Any] = {}
        self._dry = DryRun()
        self._dry.adopt(self.model)

    @cached_property
    def _learner(self) -> Learner:
        """The learner after a step, so that its optimiser's state and all gradients are there."""
        learner = Learner.of(self.recipe, self.model)
        for parameter in self.model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        learner.optimizer.step()
        return learner

    @cached_property
    def _evaluated(self) -> list[Tensor]:
        """The state of the model that is evaluated, where that is another than the one that learns."""
        if self.recipe.training.ema is None:
            return []
        return [torch.empty_like(x) for x in (*self.model.parameters(), *self.model.buffers())]

    def training_step(self, iterations: Iterations) -> TrainingStep:
        """One optimiser step at these loop counts."""
        counts = tuple(iterations.flatten().tolist()) if isinstance(iterations, Tensor) else iterations
        most = iterations if isinstance(iterations, int) else int(torch.as_tensor(iterations).max())
        window = self.model.core.gradient.window(most)
        done: TrainingStep = self._once(("step", counts, window), lambda: self._training_step(iterations))
        return done

    def forward(self, num_loops: int) -> ForwardPass:
        """Scoring the batch as evaluation does, at a loop count."""
        done: ForwardPass = self._once(("forward", num_loops), lambda: self._forward(num_loops))
        return done

    def decoding(self, num_loops: int) -> Decoding:
        """Reading a sequence of the task's length and one more token.

        Raises:
            RecipeError: The recipe's positions read later ones.
        """
        done: Decoding = self._once(("decoding", num_loops), lambda: self._decoding(num_loops))
        return done

    def cache(self, num_loops: int, policy: KVPolicy) -> dict[Path, int]:
        """Bytes of one sequence's cache under a policy, by the place of the layer: ``("core", 0)``.

        Raises:
            RecipeError: The recipe's positions read later ones.
        """
        core = self.model.core
        declared, core.kv_policy = core.kv_policy, policy
        try:
            with self._decoder(num_loops) as (decoder, ledger):
                decoder.prefill(self.batch.tokens[:1])
        finally:
            core.kv_policy = declared
        return ledger.by_layer()

    def _training_step(self, iterations: Iterations) -> TrainingStep:
        with self._running():
            self.model.train()
            learner, live = self._learner, LiveBytes()
            live.follow(_alive_between_steps(learner, self.batch))
            live.follow(self._evaluated)
            before = live.now
            with live, FlopCount() as counter:
                step(learner, self.batch, iterations)
        return TrainingStep(counter.total, before, live.most)

    def _forward(self, num_loops: int) -> ForwardPass:
        batch = self.batch
        calls = _Calls(self.model.core)
        with self._running(), torch.no_grad(), self._precision(), FlopCount() as counter, calls:
            self.model.eval()
            scored = batch.targets != IGNORE
            out = self.model(batch.tokens, iterations=num_loops, logits_at=scored, **surroundings(self.recipe, batch))
            live = LiveBytes()
            # The weights and scores of each iteration are a record, which the next one does not read; which positions
            # are real is the batch's.
            halting = out.state.halting
            passed_on = [getattr(halting, f.name) for f in fields(halting) if f.name not in _NOT_PASSED_ON]
            live.follow(_tensors((out.state.h, out.state.carry, passed_on)))
        return ForwardPass(counter.total, live.now // len(batch.tokens), calls.params(num_loops))

    def _decoding(self, num_loops: int) -> Decoding:
        tokens = self.batch.tokens[:1]
        with self._decoder(num_loops) as (decoder, ledger):
            with FlopCount() as prefill:
                decoder.prefill(tokens)
            held = ledger.by_layer()
            with FlopCount() as decode:
                decoder.step(tokens[:, 0])
        return Decoding(prefill.total, decode.total, held)

    @contextmanager
    def _decoder(self, num_loops: int) -> Iterator[tuple[Decoder, _Ledger]]:
        if self.recipe.mask != "causal":
            raise RecipeError(
                f"{self.recipe.name}: mask: {self.recipe.mask!r} lets positions read later ones, so that nothing is "
                "decoded token by token, and no cache is kept; 'causal' does"
            )
        with self._running(), self._precision():
            decoder = Decoder(self.model.eval(), 1, iterations=num_loops)
            decoder.cache = ledger = _Ledger(1, self.batch.tokens.shape[1] + 1)
            yield decoder, ledger

    def _precision(self) -> torch.autocast:
        """The span in which the model runs."""
        return autocast_for(self.recipe, torch.device("cpu"))

    def _once(self, key: Any, do: Callable[[], Any]) -> Any:
        if key not in self._done:
            self._done[key] = do()
        return self._done[key]

    @contextmanager
    def _running(self) -> Iterator[None]:
        """By shapes alone; what is drawn from torch's global generator is drawn from a copy."""
        try:
            with torch.random.fork_rng(devices=[]), self._dry:
                yield
        except Numberless as error:
            raise RecipeError(f"{self.recipe.name}: its cost cannot be counted: {error}") from None
        except ValueError as error:  # loop counts that the model does not run
            raise RecipeError(f"{self.recipe.name}: {error}") from None


class _Calls:
    """Counts how often the modules within one are called."""

    def __init__(self, module: nn.Module) -> None:
        self._calls = dict.fromkeys(module.modules(), 0)
        self._hooks: list[RemovableHandle] = []

    def __enter__(self) -> _Calls:
        # Behind the call: what stands before one is taken for a supplier of weights, and asked twice an iteration.
        self._hooks = [module.register_forward_hook(self._count) for module in self._calls]
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _count(self, module: nn.Module, *_: Any) -> None:
        self._calls[module] += 1

    def params(self, num_loops: int) -> int:
        """The modules' own parameters times their calls; modules that the loop drives otherwise have one a loop."""
        return sum(
            (calls or num_loops) * sum(p.numel() for p in module.parameters(recurse=False))
            for module, calls in self._calls.items()
        )


class _Ledger(Cache):
    """A cache that knows which layer holds what."""

    def __init__(self, batch: int, capacity: int) -> None:
        super().__init__(batch, capacity)
        self._held: dict[tuple[Path, int], int] = {}

    def extended(self, path: Path, entry: int, chunk: Tensors) -> Tensors:
        whole = super().extended(path, entry, chunk)
        self._held[path, entry] = sum(x.numel() * x.element_size() for x in whole)
        return whole

    def by_layer(self) -> dict[Path, int]:
        """Bytes held, by the place of the layer."""
        layers: dict[Path, int] = {}
        for (path, _), size in self._held.items():
            layers[path[:2]] = layers.get(path[:2], 0) + size
        return layers


def _alive_between_steps(learner: Learner, batch: Batch) -> Iterator[Tensor]:
    for parameter in learner.model.parameters():
        yield parameter
        if parameter.grad is not None:
            yield parameter.grad
    yield from learner.model.buffers()
    yield from _tensors(list(learner.optimizer.state.values()))
    if learner.average is not None:
        yield from learner.average.weights.values()
    yield from _tensors(batch)


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors of a dataclass, list, tuple or mapping."""
    if isinstance(value, Tensor):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from _tensors(getattr(value, field.name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
