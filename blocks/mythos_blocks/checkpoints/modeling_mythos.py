"""A looped transformer of mythos_blocks in Hugging Face's terms.

This file is copied into exported folders and run from there, so it imports nothing but transformers, torch and
mythos_blocks.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from mythos_blocks import AttentionMask, Module, Slot, load_plugins
from mythos_blocks.checkpoints import empty_model
from mythos_blocks.generation.cache import Cache
from mythos_blocks.tensors.precision import at_least_float32


class MythosConfig(PretrainedConfig):  # type: ignore[no-untyped-call]
    """What ``config.json`` holds.

    Args:
        declaration: The model's spec.
        vocab_size: The size of its vocabulary.
        hidden_size: Channels of its residual stream.
    """

    model_type = "mythos_blocks"

    def __init__(
        self, declaration: dict[str, Any] | None = None, vocab_size: int = 1, hidden_size: int = 128, **kwargs: Any
    ) -> None:
        self.declaration = declaration or {}
        self.vocab_size, self.hidden_size = vocab_size, hidden_size
        super().__init__(**kwargs)


class MythosCache:
    """Keys and values of earlier calls, as ``generate`` handles them: by layer and iteration, grown in place."""

    is_compileable = False

    def __init__(self, cache: Cache) -> None:
        self.cache = cache

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.cache.length

    def reorder_cache(self, beam_idx: Tensor) -> None:
        self.cache.keep_rows(beam_idx)

    def crop(self, max_length: int) -> None:
        self.cache.truncate(max_length if max_length >= 0 else self.cache.length + max_length)


class MythosForCausalLM(PreTrainedModel, GenerationMixin):  # type: ignore[no-untyped-call]
    """Its forward pass, weights and generation."""

    config_class = MythosConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    _tied_weights_keys = {"model.head.weight": "model.embedding.weight"}

    def __init__(self, config: MythosConfig) -> None:
        super().__init__(config)
        load_plugins()
        spec = Slot("model").resolve(config.declaration)
        self._loading = torch.empty(0).is_meta
        # transformers sets the default to the dtype that is asked for; some components keep float32 when cast to it.
        dtype = torch.get_default_dtype()
        torch.set_default_dtype(torch.float32)
        try:
            # The weights are filled in later where transformers loads them.
            self.model = empty_model(spec, config.vocab_size) if self._loading else spec.build(config.vocab_size)
        finally:
            torch.set_default_dtype(dtype)
        self.model.to(dtype)
        tensors = self.model.state_dict(keep_vars=True)
        self._keep_in_fp32_modules_strict = {f"model.{n}" for n, x in tensors.items() if x.dtype is torch.float32}
        self.post_init()  # type: ignore[no-untyped-call]

    def get_input_embeddings(self) -> nn.Module:
        return self.model.embedding

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.model.embedding = value

    def get_output_embeddings(self) -> nn.Module:
        return self.model.head

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        self.model.head = new_embeddings

    def _init_weights(self, module: nn.Module) -> None:
        # Parameters are initialised by the model, or loaded. Loading leaves computed buffers without values.
        if self._loading:
            for name, parameter in module.named_parameters(recurse=False):
                if not parameter.is_meta and not getattr(parameter, "_is_hf_initialized", False):
                    raise ValueError(f"the checkpoint has no {name!r} for {type(module).__name__}")
        if isinstance(module, Module):
            module.compute_buffers()

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False  # a layer of the core has keys and values for each of its iterations

    def prepare_inputs_for_generation(  # type: ignore[override]
        self,
        input_ids: Tensor,
        past_key_values: MythosCache | None = None,
        attention_mask: Tensor | None = None,
        use_cache: bool | None = None,
        iterations: int | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        if past_key_values is not None:
            input_ids = input_ids[:, past_key_values.get_seq_length() :]
        return {
            "input_ids": input_ids,
            "past_key_values": past_key_values,
            "attention_mask": attention_mask,
            "use_cache": use_cache,
            "iterations": iterations,
        }

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: MythosCache | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        iterations: int | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Logits at every position.

        Args:
            input_ids: ``(batch, positions)``; with a cache, those that it does not hold.
            attention_mask: Zeros at padding, ``(batch, positions so far)``; with a cache, padding is on the left.
            past_key_values: What an earlier call returned.
            labels: Tokens to predict, at the place of the token itself; -100 where there is none.
            use_cache: Return a cache. Not in training.
            iterations: Loops to run; ``None`` runs what the model was trained for.
            return_dict: As everywhere in transformers.
        """
        caches = past_key_values is not None or bool(use_cache and not self.training and not torch.is_grad_enabled())
        if caches:
            past_key_values = past_key_values or MythosCache(_cache_for(input_ids, attention_mask))
            cache = past_key_values.cache
            mask, columns = cache.begin(input_ids.shape[1], input_ids.device)
            out = self.model(input_ids, mask, iterations, positions=columns, past=cache)
            cache.commit(input_ids.shape[1])
        else:
            mask, positions = _mask_for(attention_mask)
            out = self.model(input_ids, mask, iterations, positions=positions)
        loss = None
        if labels is not None:
            scored = at_least_float32(out.logits[:, :-1].flatten(0, 1))
            loss = F.cross_entropy(scored, labels[:, 1:].flatten().to(scored.device))
            if self.training and out.auxiliary_loss is not None:
                loss = loss + out.auxiliary_loss
        kept: Any = past_key_values if caches else None
        result = CausalLMOutputWithPast(loss=loss, logits=out.logits, past_key_values=kept)
        return result if return_dict is not False else result.to_tuple()


def _mask_for(attention_mask: Tensor | None) -> tuple[AttentionMask, Tensor | None]:
    """The mask, and the position of each token among those that are no padding."""
    if attention_mask is None or bool(attention_mask.all()):
        return AttentionMask(), None
    real = attention_mask.bool()
    itself = torch.eye(real.shape[1], dtype=torch.bool, device=real.device)
    return AttentionMask(allowed=real[:, None, :] | itself), (real.long().cumsum(1) - 1).clamp_min(0)


def _cache_for(input_ids: Tensor, attention_mask: Tensor | None) -> Cache:
    batch = input_ids.shape[0]
    if attention_mask is None or bool(attention_mask.all()):
        return Cache(batch)
    real = attention_mask[:, : input_ids.shape[1]].bool()
    padding = real.shape[1] - real.sum(1)
    if not torch.equal(real, torch.arange(real.shape[1], device=real.device) >= padding[:, None]):
        raise ValueError("with a cache, padding must be on the left; set tokenizer.padding_side = 'left'")
    return Cache(batch, padding=padding)


MythosConfig.register_for_auto_class()  # type: ignore[no-untyped-call]
MythosForCausalLM.register_for_auto_class("AutoModelForCausalLM")  # type: ignore[no-untyped-call]
