"""What the models share: how a looped transformer is built, initialised and loaded by transformers."""

from __future__ import annotations

import shutil
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from transformers.utils.generic import ModelOutput

from mythos_blocks.attention.value_embedding import ValueEmbedding
from mythos_blocks.checkpoints.hugging_face import AUTO_MAP, MODELLING
from mythos_blocks.checkpoints.outputs import whole
from mythos_blocks.checkpoints.weights import empty_model
from mythos_blocks.declaring.component import Module
from mythos_blocks.hugging_face.config import MythosConfig, sizes_of
from mythos_blocks.layer.base import Layer
from mythos_blocks.model.looped_transformer import LoopedTransformer

Out = TypeVar("Out", bound=ModelOutput)


class MythosPreTrainedModel(PreTrainedModel):  # type: ignore[no-untyped-call]
    """What the backbone and the models over it share."""

    config_class: Any = MythosConfig
    config: MythosConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _skip_keys_device_placement = ["past_key_values"]
    _no_split_modules: list[str] = []
    _loading = False

    def _init_weights(self, module: nn.Module) -> None:
        # Parameters are initialised by the looped transformer, or loaded; computed buffers have no values after that.
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
            self.as_looped().initialize(seed=0)

    def _returned(self, out: Out, return_dict: bool | None) -> Out | tuple[Any, ...]:
        """What a call returns: an output, or a tuple of what there is in it."""
        dict_wanted = getattr(self.config, "return_dict", True) if return_dict is None else return_dict
        return out if dict_wanted else out.to_tuple()

    def as_looped(self) -> LoopedTransformer:
        """The looped transformer with this model's weights, not copies of them."""
        raise NotImplementedError

    def save_pretrained(self, save_directory: str | PathLike[str], *args: Any, **kwargs: Any) -> None:
        """As everywhere in transformers, with the modelling file by which others load the folder."""
        folder = Path(save_directory)
        if not folder.is_file():  # which transformers refuses
            folder.mkdir(parents=True, exist_ok=True)
            with whole(folder / MODELLING.name) as partial:
                shutil.copyfile(MODELLING, partial)
        self.config.auto_map = dict(AUTO_MAP)
        super().save_pretrained(save_directory, *args, **kwargs)

    def resize_token_embeddings(self, new_num_tokens: int | None = None, *args: Any, **kwargs: Any) -> Any:
        """As everywhere in transformers.

        Raises:
            ValueError: The model has other tables by token.
        """
        tables = (module for module in self.modules() if isinstance(module, ValueEmbedding))
        if new_num_tokens is not None and any(True for _ in tables):
            raise ValueError("resize_token_embeddings: attention's value_embeddings have a table of the vocabulary too")
        return super().resize_token_embeddings(new_num_tokens, *args, **kwargs)

    def _set_gradient_checkpointing(
        self, enable: bool = True, gradient_checkpointing_func: Any = checkpoint, every_n_layers: int = 1
    ) -> None:
        layers = [module for module in self.modules() if isinstance(module, Layer)]
        for i, layer in enumerate(layers):
            layer.gradient_checkpointing = enable and i % every_n_layers == 0
            layer._gradient_checkpointing_func = gradient_checkpointing_func
        for module in self.modules():
            if isinstance(module, MythosPreTrainedModel) and hasattr(module, "gradient_checkpointing"):
                module.gradient_checkpointing = enable


class Head(nn.Module):
    """The head as the looped transformer sees it, whose exit rules may read logits: that of the model around.

    It has no weights, so that the model around has the only name for them, and whatever stands in its place is read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.owner: tuple[nn.Module, ...] = ()  # in a tuple, since a module in a module is a part of it

    def forward(self, x: Tensor) -> Tensor:
        """Logits: ``(..., width) -> (..., vocab_size)``."""
        if not self.owner:
            raise ValueError("the exit rule reads logits, and MythosModel has no head; load MythosForCausalLM")
        logits: Tensor = self.owner[0].get_submodule("lm_head")(x)
        return logits


def built(config: MythosConfig, loading: bool) -> LoopedTransformer:
    """The looped transformer of a config; where its weights are loaded later, on the meta device.

    Raises:
        ValueError: The config has other sizes than its declaration.
    """
    # transformers sets the default to the dtype that is asked for; some components keep float32 when cast to it.
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        spec = config.spec()
        looped = empty_model(spec, config.vocab_size) if loading else spec.build(config.vocab_size)
    finally:
        torch.set_default_dtype(dtype)
    for name, value in sizes_of(looped).items():
        asked = getattr(config, name)
        if asked is not None and asked != value:
            raise ValueError(f"{name}={asked}, and the model that config.declaration declares has {value}; change that")
        setattr(config, name, value)
    return cast(LoopedTransformer, looped.to(dtype))


def kept_in_float32(model: nn.Module) -> set[str]:
    """The names of tensors that are float32 in a model of another dtype."""
    return {name for name, x in model.state_dict(keep_vars=True).items() if x.dtype is torch.float32}
