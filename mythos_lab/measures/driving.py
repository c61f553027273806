"""Many sequences of iterations over one batch, which share what they begin with."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from mythos_blocks import Frame, LoopedTransformer, LoopState
from mythos_blocks.core.prefixes import Beginning
from mythos_lab.measures.subject import Subject
from mythos_lab.recipe.mask import surroundings_of
from mythos_lab.tasks.base import IGNORE, Batch


class Driver:
    """Answers after sequences of iterations, each of which goes on from the longest beginning that the last one shares.

    Words in lexicographic order cost little more than one iteration each; where a rule stops positions or weighs
    iterations, two, since a pass's last iteration is one of its own. Where layers run one after the other, a sequence
    has no beginning, and whole passes are run. What components draw in an iteration depends on its place in the word
    alone, so that words draw the same as far as they go.

    Args:
        subject: The model, and how it reads.
        batch: What it reads.
        noise: Seed of what components draw.
    """

    def __init__(self, subject: Subject, batch: Batch, noise: int = 0) -> None:
        self._subject, self._batch, self._noise = subject, batch, noise
        self._shares = shares_beginnings(subject.model)
        self._path: list[int] = []
        self._beginnings: list[Beginning] = []
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
            state = self._state(word)
            frame = replace(state.frame, logits_at=self._batch.targets != IGNORE)
            return self._subject.model.read(state.halting.readout, frame)

    def _state(self, word: tuple[int, ...]) -> LoopState:
        """The state with which a pass over these iterations ends."""
        if not self._beginnings:
            self._beginnings.append(self._first())
        if self._beginnings[0].ends_as_it_goes_on:
            return self._beginning(word).state
        before = self._beginning(word[:-1])
        self._subject.draw_at(len(word), self._noise)
        self.num_iterations += not before.is_over
        return before.last(word[-1])

    def _beginning(self, word: tuple[int, ...]) -> Beginning:
        """That of words which go on after these iterations."""
        shared = next((i for i, (t, u) in enumerate(zip(word, self._path, strict=False)) if t != u), None)
        shared = min(len(word), len(self._path)) if shared is None else shared
        self._path, self._beginnings = self._path[:shared], self._beginnings[: shared + 1]
        for t in word[shared:]:
            before = self._beginnings[-1]
            self._subject.draw_at(len(self._beginnings), self._noise)
            self.num_iterations += not before.is_over
            self._beginnings.append(before.followed(t))
            self._path.append(t)
        return self._beginnings[-1]

    def _first(self) -> Beginning:
        self._subject.draw_at(0, self._noise)
        frame = Frame(tokens=self._batch.tokens, **surroundings_of(self._subject.samples.mask, self._batch))
        model = self._subject.model
        return Beginning.of(model.core, model.encode(self._batch.tokens, frame), frame, read=model.read)


def shares_beginnings(model: LoopedTransformer) -> bool:
    """Whether a pass begins as every other one that runs the same iterations at first."""
    core = model.core
    return bool(core.tying == "cycle" or len(core.layers) == 1)
