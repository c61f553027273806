"""Whole requests, a token at a time: from prompts to the tokens that follow them, as they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mythos_blocks.core.iterations import Iterations
from mythos_blocks.declaring.spec import SpecLike
from mythos_blocks.exit.base import Exit
from mythos_blocks.generation.counts import count
from mythos_blocks.generation.decoder import Decoder
from mythos_blocks.generation.lazy import LazyDecoder
from mythos_blocks.generation.padding import padding_counts
from mythos_blocks.generation.sampling import Sampling
from mythos_blocks.model.looped_transformer import LoopedTransformer
from mythos_blocks.tensors.randomness import keyed_generator


@dataclass(frozen=True)
class Step:
    """One new token of every request that has not ended.

    Attributes:
        rows: Their places in the batch, ``(running,)``.
        tokens: Their new tokens, ``(running,)``.
        num_loops: Iterations run by the position from whose logits each was drawn, ``(running,)``.
        ended: Which of them have reached their end with it, ``(running,)`` booleans.
    """

    rows: Tensor
    tokens: Tensor
    num_loops: Tensor
    ended: Tensor


def stream(
    model: LoopedTransformer,
    tokens: Tensor,
    *,
    max_new_tokens: int,
    iterations: Iterations | None = None,
    sampling: Sampling | None = None,
    seed: int = 0,
    requests: Sequence[int] | None = None,
    eos: int | Sequence[int] | None = None,
    padding: Tensor | Sequence[int] | None = None,
    prefill_chunk: int | None = None,
    exit: Exit | SpecLike | None = None,
    compact: bool = True,
    lazy: bool = False,
) -> Stream:
    """Continue prompts, and hand out each token as soon as it is drawn.

    >>> for step in stream(model, prompt, max_new_tokens=10):
    ...     print(step.tokens, step.num_loops)

    Arguments and errors are those of :func:`~mythos_blocks.generation.generate`, whose tokens these are; ``sampling``
    holds how they are drawn.
    """
    check_tokens(tokens, model.embedding.num_embeddings)
    max_new_tokens = count("max_new_tokens", max_new_tokens)
    prefill_chunk = None if prefill_chunk is None else count("prefill_chunk", prefill_chunk)
    if isinstance(iterations, Tensor) and iterations.shape not in ((), (len(tokens),)):
        raise ValueError(f"iterations={iterations} must be a loop count, or one for each of {len(tokens)} requests")
    names = list(range(len(tokens))) if requests is None else list(requests)
    if len(names) != len(tokens):
        raise ValueError(f"requests={requests} must number each of {len(tokens)} requests")
    ends = ends_of(eos, model.embedding.num_embeddings)
    left, capacity = padding_counts(padding, tokens), tokens.shape[1] + max_new_tokens - 1
    decoder: Decoder | LazyDecoder
    if lazy:
        if isinstance(iterations, Sequence):
            raise ValueError(
                f"iterations={list(iterations)} is an order of iterations, and lazy=True runs them in turn"
            )
        decoder = LazyDecoder(model, len(tokens), capacity=capacity, padding=left, iterations=iterations, exit=exit)
    else:
        decoder = Decoder(
            model,
            len(tokens),
            capacity=capacity,
            padding=left,
            iterations=iterations,
            exit=exit,
            compact=compact,
        )
    generators = [keyed_generator("request", seed, name) for name in names]
    return Stream(decoder, tokens, max_new_tokens, sampling or Sampling(), generators, ends, prefill_chunk)


class Stream:
    """The tokens of a batch of requests, as they come; it is gone through once.

    Attributes:
        decoder: The model and its cache.
        prompt_loops: Iterations run by each position of the prompt, ``(batch, positions)``.
        cache_bytes: The most that keys and values have taken at a time, so far.
    """

    def __init__(
        self,
        decoder: Decoder | LazyDecoder,
        tokens: Tensor,
        max_new_tokens: int,
        sampling: Sampling,
        generators: Sequence[torch.Generator],
        ends: Tensor,
        prefill_chunk: int | None,
    ) -> None:
        self.decoder, self._max_new_tokens, self._sampling = decoder, max_new_tokens, sampling
        self._generators, self._ends = generators, ends
        self._logits = decoder.prefill(tokens, prefill_chunk)
        self.prompt_loops, self.cache_bytes = decoder.executed, decoder.cache.num_bytes
        self._steps = self._run(len(tokens))

    def __iter__(self) -> Iterator[Step]:
        return self._steps

    def _run(self, batch: int) -> Iterator[Step]:
        rows, logits = torch.arange(batch), self._logits
        for i in range(self._max_new_tokens):
            drawn = self._sampling.draw(logits, self._uniform(rows))
            ended = torch.isin(drawn.cpu(), self._ends)
            yield Step(rows, drawn, self.decoder.executed[:, -1], ended)
            rows = rows[~ended]
            if i + 1 == self._max_new_tokens or not len(rows):
                return
            if bool(ended.any()):
                staying = (~ended).nonzero().flatten().to(drawn.device)
                self.decoder.keep_rows(staying)
                drawn = drawn[staying]
            logits = self.decoder.step(drawn)
            self.cache_bytes = max(self.cache_bytes, self.decoder.cache.num_bytes)

    def _uniform(self, rows: Tensor) -> Tensor:
        return torch.stack([torch.rand((), generator=self._generators[row], dtype=torch.float64) for row in rows])


def check_tokens(tokens: Tensor, vocab_size: int) -> None:
    """Refuse what are no tokens ``(batch, positions)`` of a vocabulary.

    Raises:
        ValueError: They have another shape or dtype, or reach beyond it.
    """
    whole = not (tokens.is_floating_point() or tokens.is_complex() or tokens.dtype == torch.bool)
    if not whole or tokens.dim() != 2 or tokens.numel() < 1:
        raise ValueError(f"tokens must be whole numbers (batch, positions), not {tokens.dtype} {tuple(tokens.shape)}")
    low, high = int(tokens.min()), int(tokens.max())
    if low < 0 or high >= vocab_size:
        raise ValueError(f"tokens reach from {low} to {high}, and the vocabulary from 0 to {vocab_size - 1}")


def ends_of(eos: int | Sequence[int] | None, vocab_size: int) -> Tensor:
    """The tokens that end a request, ``(tokens,)``; ``ValueError`` where one is not in the vocabulary."""
    ends = [] if eos is None else [eos] if isinstance(eos, int) else list(eos)
    if not all(0 <= end < vocab_size for end in ends):
        raise ValueError(f"eos={eos} must be between 0 and {vocab_size - 1}")
    return torch.tensor(ends, dtype=torch.long)
