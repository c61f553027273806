"""Many requests at a time, each at a depth of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mythos_blocks.declaring.spec import SpecLike
from mythos_blocks.exit.base import Exit
from mythos_blocks.generation.counts import count
from mythos_blocks.generation.lazy import rule_of
from mythos_blocks.generation.refusing import check_own_exits
from mythos_blocks.generation.sampling import Sampling
from mythos_blocks.generation.slots import Slots
from mythos_blocks.generation.stream import check_tokens, ends_of
from mythos_blocks.model import LoopedTransformer
from mythos_blocks.tensors.randomness import keyed_generator


@dataclass(frozen=True)
class NewToken:
    """A token of a request.

    Attributes:
        request: The number that :meth:`Engine.submit` gave it.
        token: The token.
        num_loops: Iterations after which the position was read from whose logits it was drawn.
        is_last: Whether the request has ended with it.
        logits: What it was drawn from, ``(vocab_size,)``.
    """

    request: int
    token: int
    num_loops: int
    is_last: bool
    logits: Tensor


@dataclass
class _Request:
    """What is left to do for a request, and the exits of its positions."""

    number: int
    unread: Tensor
    num_loops: int
    rule: Exit | None
    left: int
    sampling: Sampling
    generator: torch.Generator
    ends: frozenset[int]
    exits: list[int] = field(default_factory=list)


@dataclass
class Work:
    """What an engine has done, in pairs of a position and an iteration.

    Attributes:
        computed: Pairs computed.
        wanted: Pairs that the exits of all positions, and of later ones, asked for.
        num_iterations: Times that the core was run.
        num_steps: Steps of the engine.
        occupied: Sequences that moved on in a step, summed over steps.
    """

    computed: int = 0
    wanted: int = 0
    num_iterations: int = 0
    num_steps: int = 0
    occupied: int = 0


class Engine:
    """Continuous depth batching: a queue of requests, of which each has its own loop count or exit rule.

    An iteration runs of every request that has a place, whatever its depth: iterations share their weights, so those at
    different depths are one batch. A token that has reached its exit leaves the loop, its successor enters, and the
    place of a request that has ended is taken by the next.

    Tokens are those of each request alone, up to rounding: exits are those of
    :func:`~mythos_blocks.generation.read_at_exits`, and each request draws from a generator of its own.

    >>> engine = Engine(model, num_slots=8, capacity=256)
    >>> first = engine.submit(prompt, num_loops=4, max_new_tokens=20)
    >>> second = engine.submit(other, exit="latent", max_new_tokens=20)
    >>> for new in engine:
    ...     print(new.request, new.token, new.num_loops)

    Args:
        model: The model; it is run in evaluation mode and without gradients.
        num_slots: Requests at a time.
        capacity: The most tokens of a request, prompt and new ones.
        max_loops: The most iterations of a token; ``None`` takes the model's mean.
        leave_every: Iterations between two looks at which tokens leave the loop, and others enter it. Coda and prelude
            cost nearly as much for one token as for several where a batch is small, and tokens that wait for the next
            look cost nothing but their places.

    Attributes:
        work: What has been done, counted.

    Raises:
        ValueError: An argument is out of range, or the model cannot be decoded so; the message names the part.
    """

    def __init__(
        self,
        model: LoopedTransformer,
        *,
        num_slots: int = 8,
        capacity: int = 512,
        max_loops: int | None = None,
        leave_every: int = 1,
    ) -> None:
        check_own_exits(model)
        max_loops = model.core.loops.eval_loops if max_loops is None else max_loops
        num_slots, capacity = count("num_slots", num_slots), count("capacity", capacity)
        max_loops, leave_every = count("max_loops", max_loops), count("leave_every", leave_every)
        last = model.core.last_index
        if last is not None and max_loops > last + 1:
            raise ValueError(f"max_loops={max_loops} is beyond the table's {last + 1} rows (beyond: 'error')")
        self.model, self.capacity, self.max_loops, self.leave_every = model, capacity, max_loops, leave_every
        self.work = Work()
        self._slots = Slots(model, num_slots, capacity, max_loops)
        self._free = list(range(num_slots - 1, -1, -1))
        self._queue: deque[_Request] = deque()
        self._placed: dict[int, _Request] = {}
        self._num_submitted = 0

    def submit(
        self,
        prompt: Tensor | Sequence[int],
        *,
        max_new_tokens: int,
        num_loops: int | None = None,
        exit: Exit | SpecLike | None = None,
        sampling: Sampling | None = None,
        seed: int = 0,
        generator: torch.Generator | None = None,
        eos: int | Sequence[int] | None = None,
    ) -> int:
        """Queue a request; it may be called at any time.

        Args:
            prompt: Tokens, ``(positions,)``.
            max_new_tokens: Tokens to generate at most.
            num_loops: Iterations of each of its tokens, at most; ``None`` runs ``max_loops``.
            exit: The rule that has a token exit before; ``None`` takes the model's.
            sampling: How tokens are drawn.
            seed: Of a generator of its own: that of :func:`~mythos_blocks.generation.generate` with this seed, for a
                request alone.
            generator: A generator in its place, on the CPU.
            eos: The token, or tokens, that end it.

        Returns:
            Its number, counted from 0.

        Raises:
            ValueError: An argument is out of range; the message names it.
        """
        tokens = torch.as_tensor(prompt)
        check_tokens(tokens[None] if tokens.dim() == 1 else tokens, self.model.embedding.num_embeddings)
        if tokens.dim() != 1:
            raise ValueError(f"prompt must be (positions,), not {tuple(tokens.shape)}")
        max_new_tokens = count("max_new_tokens", max_new_tokens)
        if (size := len(tokens) + max_new_tokens - 1) > self.capacity:
            raise ValueError(f"capacity={self.capacity} is less than the {size} positions of this request")
        num_loops = self.max_loops if num_loops is None else count("num_loops", num_loops)
        if num_loops > self.max_loops:
            raise ValueError(f"num_loops={num_loops} must be at most max_loops={self.max_loops}")
        request = _Request(
            number=self._num_submitted,
            unread=tokens.to(self.model.embedding.weight.device),
            num_loops=num_loops,
            rule=rule_of(exit, self.model),
            left=max_new_tokens,
            sampling=sampling or Sampling(),
            generator=keyed_generator("request", seed, 0) if generator is None else generator,
            ends=frozenset(ends_of(eos, self.model.embedding.num_embeddings).tolist()),
        )
        self._num_submitted += 1
        self._queue.append(request)
        return request.number

    @property
    def is_idle(self) -> bool:
        """Whether every request has ended."""
        return not self._queue and not self._placed

    def __iter__(self) -> Iterator[NewToken]:
        """The tokens of all requests, as they come, until every one has ended."""
        while not self.is_idle:
            yield from self.step()

    def step(self) -> list[NewToken]:
        """Have requests enter, run ``leave_every`` iterations, and read the tokens that have reached their exits."""
        while self._queue and self._free:
            self._placed[self._free.pop()] = self._queue.popleft()
        self._enter()
        readings = self._slots.readings
        left = self.leave_every
        while left and (running := [slot for slot in self._placed if not readings[slot].is_over]):
            num = self._slots.iterate(running, left)
            self.work.num_steps += num
            self.work.occupied += num * len(running)
            left -= num
        due = [slot for slot in self._placed if readings[slot].is_over]
        return self._leave(due) if due else []

    def _enter(self) -> None:
        """Have the prelude read what has been drawn, and of new requests the prompts."""
        new = []
        for slot, request in self._placed.items():
            if len(request.unread) and (slot not in self._slots.readings or self._slots.readings[slot].is_over):
                size = self._slots.num_columns(request.rule) or len(request.unread)
                tokens, request.unread = request.unread[:size], request.unread[size:]
                new.append((slot, tokens, [request.num_loops] * len(tokens), request.rule))
        if new:
            self._slots.append(new)

    def _leave(self, due: Sequence[int]) -> list[NewToken]:
        """Read the logits of places whose tokens have reached their exits, and draw what follows."""
        logits = self._slots.read(due)
        by_sampling: dict[Sampling, list[int]] = {}
        for i, slot in enumerate(due):
            request = self._placed[slot]
            request.exits += [0] * (self._slots.cache.lengths[slot] - len(request.exits))
            request.exits[self._slots.readings[slot].first :] = self._slots.readings[slot].exits
            if not len(request.unread):  # its prompt has been read
                by_sampling.setdefault(request.sampling, []).append(i)
        new = []
        for sampling, rows in by_sampling.items():
            generators = [self._placed[due[i]].generator for i in rows]
            uniform = torch.stack([torch.rand((), generator=each, dtype=torch.float64) for each in generators])
            drawn = sampling.draw(logits if len(rows) == len(due) else logits[rows], uniform)
            for i, token in zip(rows, drawn.tolist(), strict=True):
                new.append(self._drawn(due[i], token, logits[i]))
        self.work.computed, self.work.num_iterations = self._slots.num_computed, self._slots.num_iterations
        return sorted(new, key=lambda each: each.request)

    def _drawn(self, slot: int, token: int, logits: Tensor) -> NewToken:
        """A request's new token, which it goes on with, or leaves its place."""
        request = self._placed[slot]
        request.left -= 1
        is_last = request.left == 0 or token in request.ends
        if is_last:
            self.work.wanted += _num_wanted(request.exits)
            self._slots.clear(slot)
            del self._placed[slot]
            self._free.append(slot)
        else:
            request.unread = torch.tensor([token], device=logits.device)
        return NewToken(request.number, token, request.exits[-1], is_last, logits)


def _num_wanted(exits: Sequence[int]) -> int:
    """Pairs of a position and an iteration that exits ask for: of each as many as its own or a later one's deepest."""
    total = deepest = 0
    for each in reversed(exits):
        deepest = max(deepest, each)
        total += deepest
    return total
