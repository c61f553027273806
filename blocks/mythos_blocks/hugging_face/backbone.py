"""The looped transformer without its head, as a model of transformers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers.cache_utils import Cache, DynamicCache

from mythos_blocks.attention.value_embedding import ValueEmbedding
from mythos_blocks.core.iterations import Iterations
from mythos_blocks.hugging_face.arguments import (
    PACKED,
    exit_chosen,
    layers_wanted,
    loops_chosen,
    one_of,
    refuse_unknown,
)
from mythos_blocks.hugging_face.base import Head, MythosPreTrainedModel, built, kept_in_float32
from mythos_blocks.hugging_face.config import MythosConfig
from mythos_blocks.hugging_face.outputs import MythosModelOutput
from mythos_blocks.hugging_face.passes import Inputs, run, run_cached, run_packed
from mythos_blocks.hugging_face.rows import (
    Packing,
    checked_positions,
    is_left_padded,
    packed_positions,
    restarts,
    surroundings,
)
from mythos_blocks.hugging_face.training import Draws, watch
from mythos_blocks.model.looped_transformer import LoopedTransformer

ARGUMENTS = (
    "input_ids",
    "attention_mask",
    "position_ids",
    "past_key_values",
    "inputs_embeds",
    "use_cache",
    "output_hidden_states",
    "return_dict",
    "num_loops",
    "exit",
    "iterations",
    "num_items_in_batch",
)


class MythosModel(MythosPreTrainedModel):
    """The looped transformer from tokens to what the head reads.

    Training follows the declaration: loop counts are drawn in every call, and what components do after an optimiser's
    step they do after every step of a ``torch.optim.Optimizer`` on this model's parameters.

    Args:
        config: The declaration, and which loops to run.
        looped: The looped transformer, where it is there already; its head is taken from it.

    Attributes:
        looped: The looped transformer.
        progress: Share of training that is done, for loop counts that grow with it.
    """

    def __init__(self, config: MythosConfig, looped: LoopedTransformer | None = None) -> None:
        super().__init__(config)
        self._loading = torch.empty(0).is_meta
        self.looped = built(config, self._loading) if looped is None else looped
        self.looped.head = Head()  # type: ignore[assignment]
        self.gradient_checkpointing = False
        self.draws = Draws()
        self._keep_in_fp32_modules_strict = kept_in_float32(self)
        self.post_init()  # type: ignore[no-untyped-call]

    @property
    def progress(self) -> float:
        return self.looped.core.loops.progress

    @progress.setter
    def progress(self, progress: float) -> None:
        if not 0 <= progress <= 1:
            raise ValueError(f"progress={progress} must be between 0 and 1")
        self.looped.core.loops.progress = progress

    def as_looped(self) -> LoopedTransformer:
        return self.looped

    def get_input_embeddings(self) -> nn.Module:
        return self.looped.embedding

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.looped.embedding = cast(nn.Embedding, value)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_hidden_states: bool | int | list[int] | None = None,
        return_dict: bool | None = None,
        num_loops: int | None = None,
        exit: Any = None,
        iterations: Iterations | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> MythosModelOutput | tuple[Any, ...]:
        """What the head reads at every position.

        Args:
            input_ids: ``(batch, positions)``; with a cache, those that it does not hold.
            attention_mask: Zeros at padding, ``(batch, positions so far)``; with a cache, padding is on the left.
                Without one, also booleans or 0 and -inf, ``(batch or 1, 1, queries, keys)``.
            position_ids: ``(batch, positions)``. Where there is neither a mask nor a cache, positions that begin anew
                in a row tell sequences that are packed in it apart; they are computed as if each were a row.
            past_key_values: An empty ``DynamicCache``, or one of an earlier call; it is written to.
            inputs_embeds: What stands in for the embedding's rows, ``(batch, positions, width)``.
            use_cache: Return a cache. ``None`` takes the config's, outside training and where rows allow one: it holds
                one sequence a row, padded on the left.
            output_hidden_states: Return the hidden states, or those of these indices, the others being ``None``; their
                order is that of :class:`MythosModelOutput`.
            return_dict: ``False`` returns a tuple of what there is.
            num_loops: Iterations to run; ``None`` takes the config's, else what is declared.
            exit: The rule that stops positions outside training, or its declaration; ``None`` takes the config's, else
                the declared one.
            iterations: In the place of ``num_loops`` a count for each sequence, ``(batch,)``, or position, or the
                indices of the iterations in order.
            num_items_in_batch: That the call is a part of an optimiser's step, all of which run the same loop counts.
            kwargs: ``cu_seq_lens_q`` and the like, which must say what ``position_ids`` do. What else other models take
                is refused.

        Raises:
            ValueError: An argument is out of range, or asks for what this model does not do.
        """
        packed = {name: kwargs.pop(name) for name in PACKED if name in kwargs}
        refuse_unknown(self, {**_asked_by(self.config), **kwargs}, ARGUMENTS)
        shape = one_of(input_ids, inputs_embeds, self.looped.embedding.embedding_dim).shape[:2]
        if attention_mask is not None and not isinstance(attention_mask, Tensor):
            raise ValueError(f"attention_mask must be a tensor, not a {type(attention_mask).__name__}")
        if input_ids is None and any(isinstance(module, ValueEmbedding) for module in self.looped.modules()):
            raise ValueError("inputs_embeds: attention with value_embeddings reads the tokens again; give input_ids")
        if exit is not None and self.training and past_key_values is None:
            raise ValueError("exit stops positions outside training, and the model is in training; call eval()")
        position_ids = packed_positions(checked_positions(position_ids, shape), packed, shape)
        packs = attention_mask is None and past_key_values is None and restarts(position_ids)
        if past_key_values is None and self._makes_cache(use_cache, attention_mask, packs):
            past_key_values = DynamicCache()
        if output_hidden_states is None:
            output_hidden_states = getattr(self.config, "output_hidden_states", None)
        counts = loops_chosen(num_loops, iterations, self.config.num_loops)
        if counts is None and self.training and past_key_values is None:
            rows = Packing(position_ids).real.shape if packs and position_ids is not None else shape
            counts = self.draws.next(self.looped.core, rows, num_items_in_batch is not None)
        if self.training and torch.is_grad_enabled():
            watch(self)
        inputs = Inputs(
            input_ids,
            self.looped.embedding(input_ids) if inputs_embeds is None else inputs_embeds,
            counts,
            exit_chosen(exit, self.config.exit, self.looped),
            output_hidden_states is not None and output_hidden_states is not False,
        )
        with self._attention():
            if past_key_values is not None:
                out = run_cached(self.looped, inputs, past_key_values, attention_mask, position_ids)
            elif packs and position_ids is not None:
                out = run_packed(self.looped, inputs, position_ids)
            else:
                out = run(self.looped, inputs, surroundings(attention_mask, position_ids, shape, self.looped))
        if out.hidden_states is not None:
            wanted = layers_wanted(output_hidden_states, len(out.hidden_states))
            out.hidden_states = tuple(x if i in wanted else None for i, x in enumerate(out.hidden_states))
        return self._returned(out, return_dict)

    def _makes_cache(self, use_cache: bool | None, attention_mask: Tensor | None, packs: bool) -> bool:
        """Whether a call returns a cache, which holds one sequence a row, padded on the left."""
        if use_cache is None:
            if not self.config.use_cache or self.training or packs:
                return False
            return attention_mask is None or (attention_mask.dim() == 2 and is_left_padded(attention_mask))
        if use_cache and self.training and torch.is_grad_enabled():
            raise ValueError("use_cache=True is of evaluation, and the model is in training; call eval(), or leave it")
        return use_cache

    @contextlib.contextmanager
    def _attention(self) -> Iterator[None]:
        """The implementation of attention that the config names."""
        name = self.config._attn_implementation
        if name not in ("sdpa", "eager"):
            raise ValueError(f"attn_implementation={name!r} is not supported; use 'sdpa', or 'eager'")
        with sdpa_kernel(SDPBackend.MATH) if name == "eager" else contextlib.nullcontext():
            yield


def _asked_by(config: MythosConfig) -> dict[str, Any]:
    """What a config asks of every call, and is refused."""
    asked = {name: getattr(config, name, None) for name in ("output_attentions", "output_router_logits")}
    return {name: value for name, value in asked.items() if value}
