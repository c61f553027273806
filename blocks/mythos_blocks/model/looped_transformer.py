"""The looped transformer, from tokens to logits."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mythos_blocks.core.iterations import Iterations
from mythos_blocks.core.loop import Loop
from mythos_blocks.declaring.component import Module, component
from mythos_blocks.declaring.slots import (
    CoreSlot,
    InitializationSlot,
    NormSlot,
    PositionEmbeddingSlot,
    PrefixSlot,
    StackSlot,
)
from mythos_blocks.declaring.spec import build
from mythos_blocks.declaring.types import Count, Positive
from mythos_blocks.declaring.vocabulary import vocabulary
from mythos_blocks.exit.base import Exit
from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.losses import Statistics
from mythos_blocks.frame.mask import AttentionMask
from mythos_blocks.frame.memory import Memory, Past
from mythos_blocks.frame.notes import Notes
from mythos_blocks.frame.places import turnings
from mythos_blocks.frame.settable import changed
from mythos_blocks.layer.base import Layer
from mythos_blocks.model.growth import Growth, base_of, grown_from
from mythos_blocks.model.head import SoftCappedHead
from mythos_blocks.model.output import ModelOutput
from mythos_blocks.position_embedding.base import PositionEmbedding
from mythos_blocks.prefix.base import Prefix
from mythos_blocks.stack.sequence import Stack
from mythos_blocks.tensors.table import embedding
from mythos_blocks.tensors.tracing import is_empty


@component("model", "looped_transformer")
class LoopedTransformer(Module):
    """``logits = head(norm(coda(core^T(prelude(embed(tokens))))))``.

    With one loop, no injection and no halting it is a plain pre-norm transformer. A part is declared by its kind, by a
    mapping of its fields, or by its ``Spec``:

    >>> core = {"injection": "lti", "loops": {"kind": "fixed", "num_loops": 4}, "layer": {"attention": "mla"}}
    >>> LoopedTransformer(256, width=64, core=core)(torch.zeros(2, 8, dtype=torch.long)).logits.shape
    torch.Size([2, 8, 256])

    Shapes: ``(batch, positions)`` of tokens to logits ``(batch, positions, vocab_size)``, in a :class:`ModelOutput`.

    Args:
        vocab_size: Number of tokens.
        width: Channels of the residual stream.
        prefix: What stands in the first positions of every sequence instead of tokens.
        position_embedding: What tells each position where it stands, before the first layer.
        prelude: Layers before the loop; their output is the input e.
        core: The loop.
        coda: Layers after the loop.
        norm: The normalisation before the head.
        tie_embeddings: Use the embedding matrix as the head.
        scale_embeddings: Multiply embedded tokens, with prefix and positions, by the square root of the width, as
            Huginn, HRM and TRM do; or by a number (HRM-Text).
        logit_softcap: Bound of the logits, ``cap * tanh(logit / cap)`` (Parcae); ``null`` for none.
        initialization: The distribution of the initial weights.
        mup_base: The sizes at which the recipe's numbers hold, by path within the model: ``width``, and what else is
            smaller or larger there (``core.layer.feedforward.hidden``). Initial weights, scores of attention, the
            readout and learning rates then follow from these to the sizes declared, by the maximal update
            parametrisation (Yang et al., arXiv 2203.03466, table 8). ``null`` has the numbers hold at every width.
    """

    def __init__(
        self,
        vocab_size: int,
        *,
        width: Count = 128,
        prefix: PrefixSlot = "none",
        position_embedding: PositionEmbeddingSlot = "none",
        prelude: StackSlot = {"depth": 0},
        core: CoreSlot = "loop",
        coda: StackSlot = {"depth": 0},
        norm: NormSlot = "rms",
        tie_embeddings: bool = True,
        scale_embeddings: bool | Positive = False,
        logit_softcap: Positive | None = None,
        initialization: InitializationSlot = "normal",
        mup_base: dict[str, Count] | None = None,
    ) -> None:
        super().__init__()
        self.embedding = embedding(vocab_size, width)
        by_width = width**0.5 if scale_embeddings else 1.0
        self.embedding_scale = by_width if isinstance(scale_embeddings, bool) else scale_embeddings
        self.prefix: Prefix = build(prefix, width)
        self.position_embedding: PositionEmbedding = build(position_embedding, width)
        with vocabulary(vocab_size):
            self.prelude: Stack = build(prelude, width)
            self.core: Loop = build(core, width)
            self.coda: Stack = build(coda, width)
        self.norm: nn.Module = build(norm, width)
        if logit_softcap is None:
            self.head = nn.Linear(width, vocab_size, bias=False)
        else:
            self.head = SoftCappedHead(width, vocab_size, logit_softcap)
        if tie_embeddings:
            self.head.weight = self.embedding.weight
        self.turnings = turnings(self.modules())
        self.initialization = build(initialization)
        self.readout_scale = 1.0
        self.growth = Growth()
        if not is_empty(self.embedding.weight):
            self.initialize(seed=0)

    def constructed(self) -> None:
        super().constructed()
        spec: Any = self.spec
        if spec.mup_base is not None and type(spec) is type(self).Spec:  # of a class below only its own
            self.growth = grown_from(base_of(spec, self.context), self)
            if not is_empty(self.embedding.weight):
                self.initialize(seed=0)

    def initialize_alone(self) -> None:
        """Nothing: the constructor has initialised the model with the seed 0."""

    def initialize(self, seed: int) -> None:
        """Set all parameters to their initial values; the same seed gives the same bytes."""
        with torch.no_grad():
            self.initialization.fill(self, seed, self.growth.initial)

    def forward(
        self,
        tokens: Tensor | None,
        mask: AttentionMask | None = None,
        iterations: Iterations | None = None,
        *,
        embedded: Tensor | None = None,
        positions: Tensor | None = None,
        real: Tensor | None = None,
        past: Past | None = None,
        exit: Exit | None = None,
        compact: bool = True,
        record: bool | Literal["states", "window"] = False,
        logits_at: Tensor | None = None,
        head: bool = True,
    ) -> ModelOutput:
        """Logits at every position, or at those that are asked for.

        Args:
            tokens: ``(batch, positions)``, integers below the vocabulary size, but for what a prefix reads in its
                places; ``None`` where ``embedded`` stands in.
            mask: Which positions may read which; ``None`` is causal.
            iterations: A loop count; or iteration indices in order; or, as a tensor, a count for each sequence,
                ``(batch,)``, or position, ``(batch, positions)``; ``None`` runs the sampler's mean.
            embedded: What stands in for the embedding's rows of the tokens, ``(batch, positions, width)``.
            positions: Index of each position in its sequence, ``(positions,)`` or ``(batch, positions)``;
                ``None`` counts from 0.
            real: The positions that count, ``(batch, positions)`` booleans: all but padding. Losses, loads, masses and
                means are of these alone, and padding is not run longer than it must be. The mask says what is read, so
                it must keep padding from being read where its place does not: a causal mask does on the right.
                ``None`` counts all.
            past: Keys and values of earlier calls, for cached decoding.
            exit: The rule that stops positions, outside training; ``None`` takes the declared one.
            compact: Spend nothing on positions that have stopped.
            record: Put every layer's output and every state on the output's tape; or the ``states`` after iterations
                alone, which costs a plain pass nothing but their memory; or these from the gradient ``window`` on,
                where iterations are computed again (:meth:`set_checkpointing`) and those before it can be, too.
            logits_at: Booleans ``(batch, positions)``: read these positions only; logits are then
                ``(chosen, vocab_size)``. The head is most of the work where few tokens of many are scored.
            head: Whether to apply the head. Without it, ``logits`` are what it would read, of the model's width.

        Returns:
            The logits, ``(batch, positions, vocab_size)``, and what the loop did on the way.
        """
        if mask is not None and not isinstance(mask, AttentionMask):
            raise ValueError(
                f"mask must be an AttentionMask, not a {type(mask).__name__}; AttentionMask(allowed=...) takes "
                "booleans (batch, queries, keys), and real=... says which positions are no padding"
            )
        memory = None if past is None else Memory(self.core.kv_policy, past, keeps=False).open(None)
        before_core: Statistics = {}
        frame = Frame(
            mask=AttentionMask() if mask is None else mask,
            positions=positions,
            tokens=None if tokens is None else self.prefix.readable(tokens, positions),
            real=real,
            memory=memory,
            statistics=before_core,
            tape=Notes({}, states_only=isinstance(record, str), from_window=record == "window") if record else None,
            logits_at=logits_at,
        )
        given = tokens if embedded is None else embedded
        assert given is not None
        frame = frame.placed(given, self.turnings, self.embedding.weight.dtype)
        e = self.encode(tokens, frame, embedded)

        def read(h: Tensor, frame: Frame) -> Tensor:
            return self.read(h, changed(frame, statistics=None, tape=None, logits_at=None))

        state = self.core(e, frame, iterations, past=past, exit=exit, read=read, compact=compact)
        after_core: Statistics = {}
        apply = self.read if head else self.features
        logits = apply(state.halting.readout, changed(frame, statistics=Notes(after_core)))
        losses = state.losses.after([before_core]).after([after_core]).means()
        tape = frame.tape if isinstance(frame.tape, Notes) else None
        halting_loss = self.core.halting.loss(state.halting)
        if halting_loss is not None:
            losses["halting"] = halting_loss
        return ModelOutput(
            logits=logits,
            halting=state.halting,
            num_loops=state.num_loops,
            executed=state.executed,
            auxiliary_loss=sum(losses.values()) if losses else None,
            losses=losses,
            tape={} if tape is None else tape.held,
            states=[] if tape is None else tape.states(),
            state=changed(state, frame=changed(state.frame, tape=None, statistics=None)),
            frame=changed(frame, tokens=tokens, tape=None, statistics=None),
            beginning=None if tape is None else tape.beginning,
        )

    def encode(self, tokens: Tensor | None, frame: Frame | None = None, embedded: Tensor | None = None) -> Tensor:
        """What the loop reads of tokens, or of what stands in for the embedding's rows of them: its input e.

        Shapes: ``(batch, positions) -> (batch, positions, width)``.
        """
        frame = frame or Frame()
        positions = frame.positions
        if embedded is None:
            assert tokens is not None
            embedded = self.embedding(self.prefix.readable(tokens, positions))
        embedded = self.position_embedding(self.prefix(embedded, tokens, positions), positions)
        if self.embedding_scale != 1:
            embedded = embedded * self.embedding_scale
        e: Tensor = self.prelude(embedded, frame.at("prelude"))
        return e

    def read(self, h: Tensor, frame: Frame | None = None) -> Tensor:
        """The logits that the model reads from a state of its loop.

        Shapes: ``(batch, positions, state_width) -> (batch, positions, vocab_size)``, or ``(chosen, vocab_size)``
        where the frame says at which positions.
        """
        logits: Tensor = self.head(self.features(h, frame))
        return logits

    def features(self, h: Tensor, frame: Frame | None = None) -> Tensor:
        """What the head reads of a state of the loop: the coda's output, normalised.

        Shapes: ``(batch, positions, state_width) -> (batch, positions, width)``, or ``(chosen, width)``.
        """
        frame = frame or Frame()
        x = self.coda(self.core.interface(h, self.norm).to(h.dtype), frame.at("coda"))
        if frame.logits_at is not None:
            x = x[frame.logits_at]
        return self.last_norm(x)

    def last_norm(self, x: Tensor) -> Tensor:
        """What the head reads of the last layer's output: its norm, scaled where the model has grown from a base."""
        features: Tensor = self.norm(x)
        return features if self.readout_scale == 1 else features * self.readout_scale

    def compile_layers(self, **options: Any) -> None:
        """Compile every layer in place, with ``torch.compile``'s options.

        The loop over them stays in Python: a layer of the core is compiled once, whatever the loop counts; with counts
        for each sequence, some dozen times at first. Where torch can do that (from 2.13 on), each layer has a limit of
        graphs by itself, of 64. Otherwise all layers of all models of a process share one of 8, beyond which they run
        uncompiled. One code object has 256 in a process all the same, of all models together, until
        ``torch.compiler.reset()``.
        """
        for name, value in {"isolate_recompiles": True, "recompile_limit": 64}.items():
            if name in inspect.signature(torch.compile).parameters:
                options.setdefault(name, value)
        for layer in (module for module in self.modules() if isinstance(module, Layer)):
            layer.compile(**options)

    def set_checkpointing(self, checkpointing: Literal["none", "layer", "iteration"]) -> None:
        """Say what a training step computes again in its backward pass, instead of keeping it. Gradients are the same.

        Args:
            checkpointing: ``none``; every ``layer``, of which its input alone is kept; or every ``iteration`` of the
                loop, of which its state alone is kept: memory then follows the window by one state an iteration.

        Raises:
            ValueError: Iterations are to be computed again, and none has a graph.
        """
        if checkpointing == "iteration" and self.core.gradient.window(1) == 0:
            raise ValueError(
                f"checkpointing 'iteration' computes iterations again that have a graph, and with core.gradient "
                f"{self.core.gradient.kind!r} none has; use 'layer' or 'none'"
            )
        self.core.recomputes = checkpointing == "iteration"
        for layer in (module for module in self.modules() if isinstance(module, Layer)):
            layer.gradient_checkpointing = checkpointing == "layer"
            layer._gradient_checkpointing_func = functools.partial(checkpoint, use_reentrant=False)

    def after_optimizer_step(self) -> None:
        """Let every component update the state that it keeps without a gradient."""
        for module in self.modules():
            if isinstance(module, Module):
                module.after_step()
