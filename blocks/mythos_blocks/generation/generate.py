"""Whole requests: from prompts to the tokens that follow them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mythos_blocks.core.iterations import Iterations
from mythos_blocks.declaring.spec import SpecLike
from mythos_blocks.exit.base import Exit
from mythos_blocks.generation.decoder import Decoder
from mythos_blocks.generation.padding import padding_counts
from mythos_blocks.generation.sampling import Sampling
from mythos_blocks.model.looped_transformer import LoopedTransformer
from mythos_blocks.tensors.randomness import keyed_generator


@dataclass(frozen=True)
class Generation:
    """What was generated.

    Attributes:
        tokens: The new tokens, ``(batch, longest)``; behind the end of a request stands its last token.
        lengths: How many of them each request has, its end token included: ``(batch,)``.
        loops: Iterations run by the position from whose logits each token was drawn, ``(batch, longest)``; 0 behind
            the end of a request.
        prompt_loops: Iterations run by each position of the prompt, ``(batch, positions)``.
        cache_bytes: The most that keys and values took at a time.
        exact: Whether the logits are those of the full pass, up to rounding; see :attr:`Decoder.exact`.
    """

    tokens: Tensor
    lengths: Tensor
    loops: Tensor
    prompt_loops: Tensor
    cache_bytes: int
    exact: bool


def generate(
    model: LoopedTransformer,
    tokens: Tensor,
    *,
    max_new_tokens: int,
    iterations: Iterations | None = None,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    seed: int = 0,
    requests: Sequence[int] | None = None,
    eos: int | Sequence[int] | None = None,
    padding: Tensor | Sequence[int] | None = None,
    prefill_chunk: int | None = None,
    exit: Exit | SpecLike | None = None,
    compact: bool = True,
) -> Generation:
    """Continue prompts.

    Each request draws from a generator of its own, so what it gets does not depend on the others in its batch.
    A request that has reached its end leaves the batch and costs nothing more.

    Args:
        model: The model; it is run in evaluation mode and without gradients.
        tokens: Prompts, ``(batch, positions)``.
        max_new_tokens: Tokens to generate at most.
        iterations: As everywhere: a loop count; or iteration indices in order; or, as a tensor, a count for each
            request, ``(batch,)``. ``None`` runs the sampler's mean.
        temperature: See :class:`Sampling`; 0 takes the most probable token.
        top_k: See :class:`Sampling`.
        top_p: See :class:`Sampling`.
        min_p: See :class:`Sampling`.
        seed: Of all random numbers.
        requests: A number for each request, which with ``seed`` keys its random numbers; ``None`` counts from 0.
        eos: The token, or tokens, that end a request.
        padding: How many tokens on the left of each prompt are padding, ``(batch,)``; or ``(batch, positions)``
            booleans that are true there. See :func:`left_padded`.
        prefill_chunk: Read the prompts this many columns at a time.
        exit: The rule that stops positions, or its declaration; ``None`` takes the model's.
        compact: Spend nothing on positions that have stopped.

    Raises:
        ValueError: An argument is out of range; the message names it.
    """
    sampling = Sampling(temperature, top_k, top_p, min_p)
    _check_tokens(tokens, model.embedding.num_embeddings)
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens={max_new_tokens} must be at least 1")
    if prefill_chunk is not None and prefill_chunk < 1:
        raise ValueError(f"prefill_chunk={prefill_chunk} must be at least 1")
    if isinstance(iterations, Tensor) and iterations.shape not in ((), (len(tokens),)):
        raise ValueError(f"iterations={iterations} must be a loop count, or one for each of {len(tokens)} requests")
    names = list(range(len(tokens))) if requests is None else list(requests)
    if len(names) != len(tokens):
        raise ValueError(f"requests={requests} must number each of {len(tokens)} requests")
    ends = _ends(eos, model.embedding.num_embeddings)
    batch, width = tokens.shape
    decoder = Decoder(
        model,
        batch,
        capacity=width + max_new_tokens - 1,
        padding=padding_counts(padding, tokens),
        iterations=iterations,
        exit=exit,
        compact=compact,
    )
    generators = [keyed_generator("request", seed, name) for name in names]
    new = torch.zeros(batch, max_new_tokens, dtype=torch.long)
    loops = torch.zeros_like(new)
    lengths = torch.full((batch,), max_new_tokens)
    rows = torch.arange(batch)  # those that are still in the batch
    logits = decoder.prefill(tokens, prefill_chunk)
    prompt_loops, cache_bytes = decoder.executed, decoder.cache.num_bytes
    for i in range(max_new_tokens):
        uniform = torch.stack([torch.rand((), generator=generators[row], dtype=torch.float64) for row in rows])
        drawn = sampling.draw(logits, uniform)
        new[rows, i:] = drawn.cpu()[:, None]
        loops[rows, i] = decoder.executed[:, -1].cpu()
        ended = torch.isin(drawn.cpu(), ends)
        lengths[rows[ended]] = i + 1
        rows = rows[~ended]
        if i + 1 == max_new_tokens or not len(rows):
            break
        if bool(ended.any()):
            staying = (~ended).nonzero().flatten().to(drawn.device)
            decoder.keep_rows(staying)
            drawn = drawn[staying]
        logits = decoder.step(drawn)
        cache_bytes = max(cache_bytes, decoder.cache.num_bytes)
    longest = int(lengths.max())
    return Generation(
        tokens=new[:, :longest].to(tokens.device),
        lengths=lengths,
        loops=loops[:, :longest],
        prompt_loops=prompt_loops,
        cache_bytes=cache_bytes,
        exact=decoder.exact,
    )


def _check_tokens(tokens: Tensor, vocab_size: int) -> None:
    whole = not (tokens.is_floating_point() or tokens.is_complex() or tokens.dtype == torch.bool)
    if not whole or tokens.dim() != 2 or tokens.numel() < 1:
        raise ValueError(f"tokens must be whole numbers (batch, positions), not {tokens.dtype} {tuple(tokens.shape)}")
    low, high = int(tokens.min()), int(tokens.max())
    if low < 0 or high >= vocab_size:
        raise ValueError(f"tokens reach from {low} to {high}, and the vocabulary from 0 to {vocab_size - 1}")


def _ends(eos: int | Sequence[int] | None, vocab_size: int) -> Tensor:
    ends = [] if eos is None else [eos] if isinstance(eos, int) else list(eos)
    if not all(0 <= end < vocab_size for end in ends):
        raise ValueError(f"eos={eos} must be between 0 and {vocab_size - 1}")
    return torch.tensor(ends, dtype=torch.long)
