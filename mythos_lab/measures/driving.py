"""Many sequences of iterations over one batch, which share what they begin with."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from mythos_blocks import Frame, LoopedTransformer, LoopState
from mythos_lab.measures.subject import Subject
from mythos_lab.recipe.mask import surroundings_of
from mythos_lab.tasks.base import IGNORE, Batch


class Driver:
    """Answers after sequences of iterations, each of which goes on from the longest beginning that the last one shares.

    Words in lexicographic order cost little more than one iteration each. Where a rule stops positions or weighs
    iterations, a sequence has no beginning of its own, and whole passes are run.

    Args:
        subject: The model, and how it reads.
        batch: What it reads.
        noise: Seed of what components draw.
    """

    def __init__(self, subject: Subject, batch: Batch, noise: int = 0) -> None:
        self._subject, self._batch, self._noise = subject, batch, noise
        self._shares = shares_beginnings(subject.model)
        self._path: list[int] = []
        self._states: list[LoopState] = []
        self.num_iterations = 0

    def answers(self, word: tuple[int, ...]) -> Tensor:
        """What the model answers after these iterations where something is scored, ``(scored,)`` tokens."""
        return self._subject.predicted(self.logits(word))

    @torch.no_grad()
    def logits(self, word: tuple[int, ...]) -> Tensor:
        """The logits after these iterations where something is scored, ``(scored, vocab_size)``."""
        if not self._shares:
            self.num_iterations += len(word)
            scored = self._batch.targets != IGNORE
            return self._subject.run(self._batch, word, noise=self._noise, logits_at=scored).logits
        with self._subject.precision():
            if not self._states:
                self._states.append(self._first())
            shared = next((i for i, (t, u) in enumerate(zip(word, self._path, strict=False)) if t != u), None)
            shared = min(len(word), len(self._path)) if shared is None else shared
            self._path, self._states = self._path[:shared], self._states[: shared + 1]
            for t in word[shared:]:
                self.num_iterations += 1
                torch.manual_seed(self._noise + 7919 * len(self._states))
                self._states.append(self._subject.model.core.step(self._states[-1], t))
                self._path.append(t)
            state = self._states[-1]
            frame = replace(state.frame, logits_at=self._batch.targets != IGNORE)
            return self._subject.model.read(state.halting.readout, frame)

    def _first(self) -> LoopState:
        torch.manual_seed(self._noise)
        frame = Frame(tokens=self._batch.tokens, **surroundings_of(self._subject.samples.mask, self._batch))
        model = self._subject.model
        return model.core.start(model.encode(self._batch.tokens, frame), frame)


def shares_beginnings(model: LoopedTransformer) -> bool:
    """Whether the model reads the last state alone, and every position runs every iteration."""
    core = model.core
    return core.halting.kind == core.exit.kind == "none" and (core.tying == "cycle" or len(core.layers) == 1)
