"""A model and its cache, a chunk of tokens at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mythos_blocks.core.iterations import Iterations, in_order
from mythos_blocks.declaring.spec import Slot, SpecLike
from mythos_blocks.exit.base import Exit
from mythos_blocks.generation.cache import Cache
from mythos_blocks.generation.counts import count
from mythos_blocks.model import LoopedTransformer, ModelOutput
from mythos_blocks.model.modes import evaluating


class Decoder:
    """Decodes a batch of sequences with a cache.

    >>> decoder = Decoder(model, batch=1)
    >>> logits = decoder.prefill(prompt)
    >>> logits = decoder.step(logits.argmax(-1))

    The model runs without gradients and in evaluation mode.

    Args:
        model: The model.
        batch: Sequences.
        capacity: Columns to allocate ahead.
        padding: Of the first tokens that :meth:`prefill` will get, how many are padding, ``(batch,)``. They run one
            iteration where the core can tell them apart.
        iterations: What the model's argument of that name is: a loop count; or iteration indices in order; or, as a
            tensor, a count for each sequence, ``(batch,)``. ``None`` runs the sampler's mean. It may be changed between
            calls.
        exit: The rule that stops positions; ``None`` takes the declared one.
        compact: Spend nothing on positions that have stopped.

    Attributes:
        cache: The keys and values.
        executed: Iterations that each position of the last call ran, ``(batch, positions)``.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        model: LoopedTransformer,
        batch: int,
        *,
        capacity: int = 0,
        padding: Tensor | Sequence[int] | None = None,
        iterations: Iterations | None = None,
        exit: Exit | SpecLike | None = None,
        compact: bool = True,
    ) -> None:
        self.model, self.compact = model, compact
        self.exit = None if exit is None else exit_rule(exit, model)
        self.iterations = iterations
        self.cache = Cache(batch, capacity, padding=padding, exact=is_exact(model, self.exit))
        self.executed = torch.zeros(batch, 0, dtype=torch.long)

    @property
    def iterations(self) -> Iterations:
        """What is run of each call: a loop count, iteration indices, or a count for each sequence, ``(batch,)``."""
        return self._iterations

    @iterations.setter
    def iterations(self, iterations: Iterations | None) -> None:
        self._iterations = checked(self.model.core.loops.eval_loops if iterations is None else iterations)

    @property
    def exact(self) -> bool:
        """Whether decoding equals the full pass, up to rounding.

        It does not where the key-value policy is not exact, nor where the exit rule reads logits through a coda:
        a whole pass reads earlier positions there as they are in the same iteration, and decoding as they ended. Nor
        does it where an iteration index comes twice, of which a cache keeps the later one.
        """
        return self.cache.exact and _in_turn(self._iterations)

    @torch.no_grad()
    def advance(self, tokens: Tensor) -> ModelOutput:
        """Run the model on the next tokens of all sequences, ``(batch, positions)``, and keep them."""
        size = self.cache.batch, tokens.shape[1]
        if tokens.shape[0] != self.cache.batch:
            raise ValueError(f"tokens have {tokens.shape[0]} rows, and the decoder {self.cache.batch}")
        mask, positions = self.cache.begin(tokens.shape[1], tokens.device)
        with evaluating(self.model):
            out = self.model(
                tokens,
                mask,
                self._counts(size, tokens.device),
                positions=positions,
                real=self._real(size[1], tokens.device),
                past=self.cache,
                exit=self.exit,
                compact=self.compact,
            )
        self.cache.commit(tokens.shape[1])
        self.executed = out.executed
        return out

    def prefill(self, tokens: Tensor, chunk: int | None = None) -> Tensor:
        """Read tokens, ``chunk`` columns at a time, which bounds the memory that a long prompt takes.

        Shapes: ``(batch, positions) -> (batch, vocab_size)``, the logits after the last position.
        """
        if tokens.dim() != 2 or tokens.shape[1] < 1:
            raise ValueError(f"tokens must be (batch, positions) with at least one position, not {tuple(tokens.shape)}")
        chunk = None if chunk is None else count("chunk", chunk)
        executed = []
        for part in tokens.split(chunk or tokens.shape[1], dim=1):
            out = self.advance(part)
            executed.append(out.executed)
        self.executed = torch.cat(executed, dim=1)
        return out.logits[:, -1]

    def step(self, tokens: Tensor) -> Tensor:
        """Read one token of each sequence, ``(batch,)``; the logits after it, ``(batch, vocab_size)``."""
        return self.prefill(tokens[:, None])

    def keep_rows(self, rows: Tensor) -> None:
        """Go on with these sequences alone; ``rows`` are their indices, ``(rows,)``."""
        self.cache.keep_rows(rows)
        if isinstance(self._iterations, Tensor):
            self._iterations = self._iterations[rows.to(self._iterations.device)]

    def _counts(self, size: tuple[int, int], device: torch.device) -> Iterations:
        """What the model is asked to run of the next call."""
        counts = self._iterations
        if not isinstance(counts, int | Tensor):
            return counts
        if isinstance(counts, Tensor):
            if counts.shape != size[:1]:
                raise ValueError(f"iterations holds {tuple(counts.shape)} counts, for {size[0]} sequences")
            if bool((counts == counts[0]).all()):
                counts = int(counts[0])
        padded = self._padded(size[1])
        if padded is None or self.model.core.tying == "sequence":
            return counts
        wanted = counts.cpu()[:, None].expand(size) if isinstance(counts, Tensor) else torch.full(size, counts)
        return wanted.masked_fill(padded, 1).to(device)

    def _padded(self, num_positions: int) -> Tensor | None:
        """Which of the next positions are padding, on the host; ``None`` where none is."""
        padding = self.cache.padding
        if padding is None:
            return None
        columns = torch.arange(self.cache.length, self.cache.length + num_positions)
        padded = columns < padding.cpu()[:, None]
        return padded if bool(padded.any()) else None

    def _real(self, num_positions: int, device: torch.device) -> Tensor | None:
        """Which of the next positions are no padding; ``None`` where no sequence has any."""
        if self.cache.padding is None:
            return None
        padded = self._padded(num_positions)
        shape = (self.cache.batch, num_positions)
        return torch.ones(shape, dtype=torch.bool, device=device) if padded is None else ~padded.to(device)


def exit_rule(exit: Exit | SpecLike, model: LoopedTransformer) -> Exit:
    """The rule that stops positions of a model, built where it is declared.

    Raises:
        ValueError: It is learned, and declared elsewhere than in the model.
    """
    if isinstance(exit, Exit):
        return exit
    built = Slot("exit").resolve(exit).build(model.core.state_width)
    assert isinstance(built, Exit)
    if any(True for _ in built.parameters()):
        raise ValueError(f"exit {built.kind!r} is learned; declare it in the model, or pass the trained module")
    return built


def is_exact(model: LoopedTransformer, exit: Exit | None = None) -> bool:
    """Whether decoding with a cache equals the full pass, under this exit rule or the declared one."""
    rule = model.core.exit if exit is None else exit
    coda_reads = any(True for _ in model.coda.parameters())
    apart = model.core.kv_policy.exact and model.core.halting.per_position
    return bool(apart) and not (rule.reads_logits and coda_reads)


def checked(iterations: Iterations) -> Iterations:
    """What is run of each call, as one of the three forms.

    Raises:
        ValueError: It is none of them, or asks for no iteration.
    """
    if isinstance(iterations, Tensor):
        whole = not (iterations.is_floating_point() or iterations.is_complex() or iterations.dtype == torch.bool)
        if not whole or iterations.dim() > 1 or iterations.numel() < 1 or int(iterations.min()) < 1:
            raise ValueError(f"iterations={iterations} must be one loop count, or one for each request, and at least 1")
        return int(iterations) if iterations.dim() == 0 else iterations
    order = in_order(iterations)
    return order if isinstance(iterations, Sequence) else len(order)


def _in_turn(iterations: Iterations) -> bool:
    """Whether no iteration index comes twice."""
    return isinstance(iterations, int | Tensor) or len(set(iterations)) == len(iterations)
