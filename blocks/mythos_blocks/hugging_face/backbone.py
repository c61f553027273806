"""The looped transformer without its head, as a model of transformers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, DynamicCache

from mythos_blocks.attention.value_embedding import ValueEmbedding
from mythos_blocks.checkpoints.weights import empty_model
from mythos_blocks.core.iterations import Iterations
from mythos_blocks.declaring.component import Module
from mythos_blocks.exit.base import Exit
from mythos_blocks.frame.memory import Past
from mythos_blocks.generation.cache import Cache as Keys
from mythos_blocks.generation.decoder import evaluating, is_exact
from mythos_blocks.hugging_face.arguments import exit_chosen, layers_wanted, loops_chosen, one_of, refuse_unknown
from mythos_blocks.hugging_face.cache import layer_of
from mythos_blocks.hugging_face.config import MythosConfig, sizes_of
from mythos_blocks.hugging_face.outputs import MythosModelOutput
from mythos_blocks.hugging_face.rows import (
    Packing,
    Surroundings,
    checked_positions,
    is_left_padded,
    padding_of,
    restarts,
    surroundings,
)
from mythos_blocks.hugging_face.training import Draws, watch
from mythos_blocks.layer.base import Layer
from mythos_blocks.model.looped_transformer import LoopedTransformer
from mythos_blocks.model.output import ModelOutput


class MythosPreTrainedModel(PreTrainedModel):  # type: ignore[no-untyped-call]
    """What the backbone and the models over it share: how they are built, initialised and loaded."""

    config_class = MythosConfig
    config: MythosConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _skip_keys_device_placement = ["past_key_values"]
    _no_split_modules: list[str] = []
    _loading = False

    def _init_weights(self, module: nn.Module) -> None:
        # Parameters are initialised by the looped transformer, or loaded. Loading leaves computed buffers without values.
        if self._loading:
            for name, parameter in module.named_parameters(recurse=False):
                if not parameter.is_meta and not getattr(parameter, "_is_hf_initialized", False):
                    raise ValueError(f"the checkpoint has no {name!r} for {type(module).__name__}")
        if isinstance(module, Module):
            module.compute_buffers()

    def init_weights(self) -> None:
        """Give a model that was built on the meta device, and has memory since, its initial weights."""
        empty = self._loading and not any(p.is_meta for p in self.parameters())
        if empty:
            for module in self.modules():
                if isinstance(module, MythosPreTrainedModel):
                    module._loading = False
        super().init_weights()  # type: ignore[no-untyped-call]
        if empty:
            self._initialize()

    def _initialize(self) -> None:
        """Set all weights to their initial values."""
        raise NotImplementedError

    def _set_gradient_checkpointing(
        self, enable: bool = True, gradient_checkpointing_func: Any = checkpoint, every_n_layers: int = 1
    ) -> None:
        layers = [module for module in self.modules() if isinstance(module, Layer)]
        for i, layer in enumerate(layers):
            layer.gradient_checkpointing = enable and i % every_n_layers == 0
            layer._gradient_checkpointing_func = gradient_checkpointing_func
        for module in self.modules():
            if isinstance(module, MythosModel):
                module.gradient_checkpointing = enable


class Head(nn.Module):
    """The head as the looped transformer sees it, whose exit rules may read logits: that of the model around.

    It has no weights, so that the model around has the only name for them, and whatever stands in its place is read.
    """

    def __init__(self, width: int, vocab_size: int) -> None:
        super().__init__()
        self.width, self.vocab_size = width, vocab_size
        self.owner: tuple[nn.Module, ...] = ()  # in a tuple, since a module in a module is a part of it

    def forward(self, x: Tensor) -> Tensor:
        """``(..., width) -> (..., vocab_size)``."""
        if not self.owner:
            raise ValueError("the exit rule reads logits, and MythosModel has no head; load MythosForCausalLM")
        logits: Tensor = self.owner[0].get_submodule("lm_head")(x)
        return logits


def built(config: MythosConfig, loading: bool) -> LoopedTransformer:
    """The looped transformer of a config; where its weights are loaded later, on the meta device."""
    # transformers sets the default to the dtype that is asked for; some components keep float32 when cast to it.
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        spec = config.spec()
        looped = empty_model(spec, config.vocab_size) if loading else spec.build(config.vocab_size)
    finally:
        torch.set_default_dtype(dtype)
    for name, value in sizes_of(looped).items():
        setattr(config, name, value)
    return cast(LoopedTransformer, looped.to(dtype))


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
        self.looped.head = Head(config.hidden_size, config.vocab_size)  # type: ignore[assignment]
        self.gradient_checkpointing = False
        self.draws = Draws()
        self._keep_in_fp32_modules_strict = kept_in_float32(self)
        self.post_init()  # type: ignore[no-untyped-call]

    def _initialize(self) -> None:
        self.looped.initialize(seed=0)

    @property
    def progress(self) -> float:
        return self.looped.core.loops.progress

    @progress.setter
    def progress(self, progress: float) -> None:
        if not 0 <= progress <= 1:
            raise ValueError(f"progress={progress} must be between 0 and 1")
        self.looped.core.loops.progress = progress

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
            kwargs: What other models take; refused.

        Raises:
            ValueError: An argument is out of range, or asks for what this model does not do.
        """
        refuse_unknown(self, {**_asked_by(self.config), **kwargs}, ARGUMENTS)
        given = one_of(input_ids, inputs_embeds, self.config.hidden_size)
        shape = given.shape[:2]
        if input_ids is None and any(isinstance(module, ValueEmbedding) for module in self.looped.modules()):
            raise ValueError("inputs_embeds: attention with value_embeddings reads the tokens again; give input_ids")
        if exit is not None and self.training and past_key_values is None:
            raise ValueError("exit stops positions outside training, and the model is in training; call eval()")
        counts = loops_chosen(num_loops, iterations, self.config.num_loops)
        rule = exit_chosen(exit, self.config.exit, self.looped)
        position_ids = checked_positions(position_ids, shape)
        packs = attention_mask is None and past_key_values is None and restarts(position_ids)
        if past_key_values is None and self._makes_cache(use_cache, attention_mask, position_ids):
            past_key_values = DynamicCache()
        if output_hidden_states is None:
            output_hidden_states = getattr(self.config, "output_hidden_states", None)
        records = output_hidden_states is not None and output_hidden_states is not False
        if counts is None and self.training and past_key_values is None:
            shaped = Packing(position_ids).real.shape if packs and position_ids is not None else shape
            counts = self.draws.next(self.looped.core, shaped, num_items_in_batch is not None)
        if self.training and torch.is_grad_enabled():
            watch(self)
        with self._attention():
            if past_key_values is not None:
                out = self._cached(past_key_values, input_ids, inputs_embeds, attention_mask, position_ids, counts, rule, records)  # fmt: skip
            elif packs:
                assert position_ids is not None
                out = self._packed(Packing(position_ids), input_ids, inputs_embeds, position_ids, counts, rule, records)
            else:
                around = surroundings(attention_mask, position_ids, shape, self.looped)
                out = self._pass(input_ids, inputs_embeds, around, counts, rule, records)
        out.past_key_values = past_key_values
        if records:
            assert out.hidden_states is not None
            wanted = layers_wanted(output_hidden_states, len(out.hidden_states))
            assert wanted is not None
            out.hidden_states = tuple(x if i in wanted else None for i, x in enumerate(out.hidden_states))
        dict_wanted = getattr(self.config, "return_dict", True) if return_dict is None else return_dict
        return out if dict_wanted else out.to_tuple()

    def _makes_cache(
        self, use_cache: bool | None, attention_mask: Tensor | None, position_ids: Tensor | None
    ) -> bool:
        """Whether a call returns a cache, which holds one sequence a row, padded on the left."""
        if use_cache is None:
            if not self.config.use_cache or self.training:
                return False
            by_rows = attention_mask is None or (attention_mask.dim() == 2 and is_left_padded(attention_mask))
            return by_rows and not (attention_mask is None and restarts(position_ids))
        if use_cache and self.training and torch.is_grad_enabled():
            raise ValueError("use_cache=True is of evaluation, and the model is in training; call eval(), or leave it out")
        return use_cache

    def _cached(
        self,
        past_key_values: Cache,
        input_ids: Tensor | None,
        inputs_embeds: Tensor | None,
        attention_mask: Tensor | None,
        position_ids: Tensor | None,
        counts: Iterations | None,
        rule: Exit | None,
        records: bool,
    ) -> MythosModelOutput:
        """A pass that goes on from a cache, and writes to it; in evaluation mode, as decoding is."""
        given = input_ids if inputs_embeds is None else inputs_embeds
        assert given is not None
        batch, size = given.shape[:2]
        if self.training and torch.is_grad_enabled():
            raise ValueError("past_key_values are of evaluation, and the model is in training; call eval()")
        layer = layer_of(past_key_values)
        length = layer.get_seq_length()
        held = None if layer.cache is None else layer.cache.padding
        padding = padding_of(attention_mask, (batch, length + size), held)
        if not length:
            layer.cache = Keys(batch, padding=padding, exact=is_exact(self.looped, rule))
        elif not _same(padding, held):
            raise ValueError("attention_mask has other padding than past_key_values was begun with")
        keys = layer.cache
        assert keys is not None
        if keys.batch != batch:
            raise ValueError(f"past_key_values holds {keys.batch} rows, and this call has {batch}")
        keys.graph = torch.is_grad_enabled()
        mask, positions = keys.begin(size, given.device)
        real = None
        if keys.padding is not None:
            real = torch.arange(length, length + size, device=given.device) >= keys.padding.to(given.device)[:, None]
        if position_ids is not None:
            whole = position_ids if real is None else torch.where(real, position_ids, positions.expand(batch, size))
            if restarts(whole, real):
                raise ValueError("position_ids restart, and past_key_values holds one sequence a row; use use_cache=False")
            positions = whole
        with evaluating(self.looped):
            out = self._pass(input_ids, inputs_embeds, Surroundings(mask, positions, real), counts, rule, records, keys)
        keys.commit(size)
        return out

    def _packed(
        self,
        packing: Packing,
        input_ids: Tensor | None,
        inputs_embeds: Tensor | None,
        position_ids: Tensor,
        counts: Iterations | None,
        rule: Exit | None,
        records: bool,
    ) -> MythosModelOutput:
        """A pass over the sequences that rows hold, put back into these rows."""
        ids, embedded = (None if x is None else packing.take(x) for x in (input_ids, inputs_embeds))
        around = Surroundings(surroundings(None, None, packing.real.shape, self.looped).mask, packing.take(position_ids), packing.real)  # fmt: skip
        out = self._pass(ids, embedded, around, packing.counts(counts), rule, records)
        assert out.last_hidden_state is not None and out.loops_run is not None
        out.last_hidden_state, out.loops_run = packing.put_back(out.last_hidden_state), packing.put_back(out.loops_run)
        if out.hidden_states is not None:
            out.hidden_states = tuple(None if x is None else packing.put_back(x) for x in out.hidden_states)
        return out

    def _pass(
        self,
        input_ids: Tensor | None,
        inputs_embeds: Tensor | None,
        around: Surroundings,
        counts: Iterations | None,
        rule: Exit | None,
        records: bool,
        past: Past | None = None,
    ) -> MythosModelOutput:
        embedded = self.looped.embedding(input_ids) if inputs_embeds is None else inputs_embeds
        out: ModelOutput = self.looped(
            input_ids,
            around.mask,
            counts,
            embedded=embedded,
            positions=around.positions,
            real=around.real,
            past=past,
            exit=rule,
            record=records,
            head=False,
        )
        hidden = None
        if records:
            hidden = (embedded, *(x for place, x in out.tape.items() if "router" not in place), out.logits)
        return MythosModelOutput(
            last_hidden_state=out.logits,
            hidden_states=hidden,
            aux_loss=out.auxiliary_loss,
            loops_run=out.executed,
        )

    @contextlib.contextmanager
    def _attention(self) -> Iterator[None]:
        """The implementation of attention that the config names."""
        if self.config._attn_implementation != "eager":
            yield
            return
        with sdpa_kernel(SDPBackend.MATH):
            yield


ARGUMENTS = [name for name in MythosModel.forward.__code__.co_varnames if name not in ("self", "kwargs")][:12]


def kept_in_float32(model: nn.Module) -> set[str]:
    """The names of tensors that are float32 in a model of another dtype."""
    return {name for name, x in model.state_dict(keep_vars=True).items() if x.dtype is torch.float32}


def _asked_by(config: MythosConfig) -> dict[str, Any]:
    """What a config asks of every call, and is refused."""
    return {name: value for name in ("output_attentions", "output_router_logits") if (value := getattr(config, name, None))}


def _same(a: Tensor | None, b: Tensor | None) -> bool:
    return a is b or (a is not None and b is not None and torch.equal(a.cpu(), b.cpu()))
