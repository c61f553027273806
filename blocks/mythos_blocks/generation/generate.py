"""Whole requests: from prompts to the tokens that follow them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mythos_blocks.core.iterations import Iterations
from mythos_blocks.declaring.spec import SpecLike
from mythos_blocks.exit.base import Exit
from mythos_blocks.generation.sampling import Sampling
from mythos_blocks.generation.stream import stream
from mythos_blocks.model.looped_transformer import LoopedTransformer


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
    lazy: bool = False,
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
        lazy: Have positions go on after their exits where later ones need it (:class:`LazyDecoder`), instead of
            freezing them there (:class:`Decoder`); equal where all run alike.

    Raises:
        ValueError: An argument is out of range; the message names it.
    """
    steps = stream(
        model,
        tokens,
        max_new_tokens=max_new_tokens,
        iterations=iterations,
        sampling=Sampling(temperature, top_k, top_p, min_p),
        seed=seed,
        requests=requests,
        eos=eos,
        padding=padding,
        prefill_chunk=prefill_chunk,
        exit=exit,
        compact=compact,
        lazy=lazy,
    )
    new = torch.zeros(len(tokens), max_new_tokens, dtype=torch.long)
    loops = torch.zeros_like(new)
    lengths = torch.full((len(tokens),), max_new_tokens)
    for i, step in enumerate(steps):
        new[step.rows, i:] = step.tokens.cpu()[:, None]
        loops[step.rows, i] = step.num_loops.cpu()
        lengths[step.rows[step.ended]] = i + 1
    longest = int(lengths.max())
    return Generation(
        tokens=new[:, :longest].to(tokens.device),
        lengths=lengths,
        loops=loops[:, :longest],
        prompt_loops=steps.prompt_loops,
        cache_bytes=steps.cache_bytes,
        exact=steps.decoder.exact,
    )
