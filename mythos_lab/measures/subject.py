"""A model on samples, as every measure runs it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mythos_blocks import Frame, Iterations, LoopedTransformer, ModelOutput
from mythos_blocks.core.prefixes import prefixes
from mythos_blocks.model.modes import keeping_modes
from mythos_blocks.tensors.randomness import reseed
from mythos_lab.measures.evaluate import predicted, sampler
from mythos_lab.measures.samples import Samples
from mythos_lab.measures.tally import Tally
from mythos_lab.recipe.mask import surroundings_of
from mythos_lab.recipe.precision import autocast_of
from mythos_lab.recipe.step import updates_of
from mythos_lab.tasks.base import IGNORE, Batch


@dataclass(frozen=True)
class Trajectory:
    """What one batch goes through in T iterations, at its scored positions.

    Attributes:
        states: Before the first iteration and after each, ``(T + 1, scored, state_width)``.
        answers: What the model would answer if its readout were each of these states, ``(T + 1, scored)`` tokens.
        margins: By how much the logit of that answer leads the next one, ``(T + 1, scored)``.
        moves: The most that a logit of an answer changes in each iteration, ``(T, scored)``.
        num_updates: Iterations that each position ran before it halted, ``(scored,)``.
    """

    states: Tensor
    answers: Tensor
    margins: Tensor
    moves: Tensor
    num_updates: Tensor


@dataclass(frozen=True)
class Counted:
    """What a model makes of all samples at one loop count.

    Attributes:
        answers: ``(scored,)`` tokens.
        losses: Their cross-entropy in nats, ``(scored,)``.
        num_updates: Iterations that each position ran before it halted, ``(scored,)``.
        tally: What they come to, by unit.
    """

    answers: Tensor
    losses: Tensor
    num_updates: Tensor
    tally: Tally


class Subject:
    """A model and the samples that it is measured on.

    All passes of one batch draw the same noise, where a component draws any, so that what differs between two of them
    is what was changed. Passes that several measures need are run once.

    Args:
        model: The model, which a measure leaves as it was.
        samples: What it reads.

    Attributes:
        num_loops: The evaluated loop count T.
    """

    def __init__(self, model: LoopedTransformer, samples: Samples) -> None:
        self.model = model
        self.device = next(model.parameters()).device
        self.samples = samples.to(self.device)
        self.num_loops = sampler(model).eval_loops
        self._counted: dict[int, Counted] = {}

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """The span in which the model is measured: in evaluation mode, with nothing left changed behind it."""
        devices = [self.device] if self.device.type == "cuda" else []
        with keeping_modes(self.model), torch.random.fork_rng(devices):
            self.model.eval()
            yield

    def draw_at(self, place: int, noise: int = 0) -> None:
        """Have components draw what belongs to a place of a pass: 0 before the first iteration, t in the t-th.

        Args:
            place: Where they are about to draw.
            noise: Seed of the pass.
        """
        reseed(noise + 7919 * place, self.device)

    def precision(self) -> torch.autocast:
        """The span in which the model computes in the precision of its samples."""
        return autocast_of(self.samples.precision, self.device)

    def run(
        self,
        batch: Batch,
        iterations: Iterations | None = None,
        *,
        noise: int = 0,
        model: nn.Module | None = None,
        **options: Any,
    ) -> ModelOutput:
        """One pass over a batch of the samples, or a part of one.

        Args:
            batch: What is read.
            iterations: A loop count or indices in order; ``None`` is :attr:`num_loops`.
            noise: Seed of what components draw.
            model: Another one than :attr:`model`, which reads the same.
            options: Further arguments of the model.
        """
        ran = self.num_loops if iterations is None else iterations
        reseed(noise, self.device)
        with self.precision():
            out: ModelOutput = (model or self.model)(
                batch.tokens, iterations=ran, **self._surroundings(batch), **options
            )
        return out

    def predicted(self, logits: Tensor) -> Tensor:
        """The answers that logits ``(..., vocab_size)`` come to."""
        return predicted(logits, self.samples.answers)

    def answers(self, passes: Iterable[ModelOutput]) -> Tensor:
        """The answers that passes over the batches come to, ``(scored,)``, where logits are those that are scored."""
        return torch.cat([self.predicted(out.logits) for out in passes])

    def read(self, h: Tensor, frame: Frame, batch: Batch) -> Tensor:
        """The logits that the model reads from a state of all positions, where something is scored."""
        with self.precision():
            return self.model.read(h, replace(frame, logits_at=batch.targets != IGNORE, statistics=None, tape=None))

    @torch.no_grad()
    def at_counts(self, counts: Sequence[int]) -> dict[int, Counted]:
        """What the model makes of all samples at these loop counts, from one pass over each batch; computed once.

        Iterations draw as those of a :class:`~mythos_lab.measures.driving.Driver` do, by their place alone, so that the
        counts differ in nothing else.
        """
        missing = sorted(set(counts) - self._counted.keys())
        parts: dict[int, list[tuple[Tensor, ...]]] = {count: [] for count in missing}
        for batch in self.samples.batches if missing else ():
            scored, frame = batch.targets != IGNORE, Frame(tokens=batch.tokens, **self._surroundings(batch))
            self.draw_at(0)  # a prelude may draw too
            with self.precision():
                e = self.model.encode(batch.tokens, frame)
            states = prefixes(self.model.core, e, frame, missing, read=self.model.read, before=self.draw_at)
            for count in missing:
                with self.precision():
                    state = next(states)
                logits = self.read(state.halting.readout, frame, batch)
                losses = F.cross_entropy(logits.float(), batch.targets[scored], reduction="none")
                parts[count].append((self.predicted(logits), losses, updates_of(state)[scored]))
        for count, found in parts.items():
            answers, losses, ran = (torch.cat(each) for each in zip(*found, strict=True))
            self._counted[count] = Counted(answers, losses, ran, self.tally(answers, losses))
        return {count: self._counted[count] for count in counts}

    def _surroundings(self, batch: Batch) -> dict[str, Any]:
        return surroundings_of(self.samples.mask, batch)

    @cached_property
    def trajectories(self) -> list[Trajectory]:
        """The states that each batch goes through at :attr:`num_loops`, and what would be read from them."""
        return [self._trajectory(batch) for batch in self.samples.batches]

    @torch.no_grad()
    def _trajectory(self, batch: Batch) -> Trajectory:
        initial: list[Tensor] = []
        hook = self.model.core.initial_state.register_forward_hook(lambda _, __, h: initial.append(h))
        try:
            out = self.run(batch, record=True, logits_at=batch.targets != IGNORE)
        finally:
            hook.remove()
        # Where every position has halted the loop ends, and the state stays.
        states = [initial[0], *out.states, *[out.states[-1]] * (self.num_loops - len(out.states))]
        answers, margins, moves, before = [], [], [], None
        for h in states:
            logits = self.candidates(self.read(h, out.frame, batch)).float()
            first, second = logits.topk(2).values.unbind(-1)
            answers.append(self.named(logits.argmax(-1)))
            margins.append(first - second)
            if before is not None:
                moves.append((logits - before).abs().amax(-1))
            before = logits
        scored = batch.targets != IGNORE
        ran = updates_of(out.state)[scored]
        return Trajectory(
            torch.stack([h[scored] for h in states]).float(),
            torch.stack(answers),
            torch.stack(margins),
            torch.stack(moves),
            ran,
        )

    def candidates(self, logits: Tensor) -> Tensor:
        """The logits of the task's answers, or of all tokens where it has none: ``(..., vocab_size)`` to fewer."""
        return logits if self.samples.answers is None else logits[..., list(self.samples.answers)]

    def named(self, places: Tensor) -> Tensor:
        """The tokens of places among the candidates."""
        answers = self.samples.answers
        return places if answers is None else torch.tensor(answers, device=places.device)[places]

    def tally(self, answers: Tensor, losses: Tensor | None = None) -> Tally:
        """What answers to all samples come to, by unit.

        Args:
            answers: ``(scored,)`` tokens.
            losses: Their cross-entropy in nats, ``(scored,)``.
        """
        return self.by_unit(answers == self.targets, losses)

    def by_unit(self, which: Tensor, values: Tensor | None = None) -> Tally:
        """A truth and a number of each answer, by unit.

        Args:
            which: ``(scored,)``, of which the tally's accuracy is the share.
            values: ``(scored,)``, of which its loss is the mean.
        """
        units = self.samples.units()
        numbers = torch.zeros(len(units)) if values is None else values.cpu()
        return Tally.of(units, which.cpu(), numbers, int(units.max()) + 1)

    def refuses_trajectories(self) -> str | None:
        """Why the model has no state after every iteration; ``None`` where it has."""
        if self.num_loops < 2:
            return f"it follows the state through the loop, and {self.num_loops} iteration runs; expected 2 or more"
        core = self.model.core
        if core.tying == "sequence" and len(core.layers) > 1:
            return "with core.tying 'sequence' no iteration runs all layers, and no state stands between two of them"
        return None

    def refuses_difficulties(self) -> str | None:
        """Why nothing can be said by difficulty; ``None`` where the samples differ in it."""
        if any(batch.difficulty is None for batch in self.samples.batches):
            return "the samples have no difficulty"
        if len(self.difficulties().unique()) < 2:
            return "all samples are of one difficulty"
        return None

    def difficulties(self) -> Tensor:
        """The difficulty of each scored target, ``(scored,)``; of samples that have one."""
        found = []
        for batch in self.samples.batches:
            assert batch.difficulty is not None
            found.append(self.at_targets(batch, batch.difficulty))
        return torch.cat(found)

    @staticmethod
    def at_targets(batch: Batch, values: Tensor) -> Tensor:
        """What is known of samples ``(batch,)`` or positions ``(batch, positions)``, where something is scored."""
        return batch.per_position(values)[batch.targets != IGNORE]

    @cached_property
    def targets(self) -> Tensor:
        """The scored targets of all samples, ``(scored,)``."""
        return torch.cat([batch.targets[batch.targets != IGNORE] for batch in self.samples.batches])
