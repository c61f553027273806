"""The looped transformer as a language model of transformers."""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import GenerationMixin
from transformers.cache_utils import Cache

from mythos_blocks.core.iterations import Iterations
from mythos_blocks.hugging_face.arguments import PACKED, refuse_unknown
from mythos_blocks.hugging_face.backbone import ARGUMENTS as BACKBONE
from mythos_blocks.hugging_face.backbone import MythosModel
from mythos_blocks.hugging_face.base import Head, MythosPreTrainedModel, built, kept_in_float32
from mythos_blocks.hugging_face.config import MythosConfig
from mythos_blocks.hugging_face.generating import MythosGeneration
from mythos_blocks.hugging_face.outputs import MythosCausalLMOutput
from mythos_blocks.model.looped_transformer import LoopedTransformer
from mythos_blocks.tensors.precision import at_least_float32


class MythosForCausalLM(MythosPreTrainedModel, MythosGeneration, GenerationMixin):  # transformers looks for the mixin
    """The backbone and a head: logits, the loss of the next token, and generation.

    Args:
        config: The declaration, and which loops to run.
    """

    _tied_weights_keys = {"lm_head.weight": "model.looped.embedding.weight"}
    accepts_loss_kwargs = True

    def __init__(self, config: MythosConfig) -> None:
        super().__init__(config)
        self.generation_config._from_model_config = False  # see adjust_generation_fn
        self._loading = torch.empty(0).is_meta
        looped = built(config, self._loading)
        self.lm_head: nn.Module = looped.head
        self.model = MythosModel(config, looped)
        cast(Head, looped.head).owner = (self,)
        self._keep_in_fp32_modules_strict = kept_in_float32(self)
        self.post_init()  # type: ignore[no-untyped-call]

    def as_looped(self) -> LoopedTransformer:
        looped = copy.copy(self.model.looped)
        looped._modules = {**looped._modules, "head": self.lm_head}
        looped.context = (self.config.vocab_size,)
        return looped

    @property
    def progress(self) -> float:
        """See :class:`MythosModel`."""
        return self.model.progress

    @progress.setter
    def progress(self, progress: float) -> None:
        self.model.progress = progress

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        self.lm_head = new_embeddings

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        output_hidden_states: bool | int | list[int] | None = None,
        return_dict: bool | None = None,
        num_loops: int | None = None,
        exit: Any = None,
        iterations: Iterations | None = None,
        num_items_in_batch: Tensor | int | None = None,
        ignore_index: int = -100,
        **kwargs: Any,
    ) -> MythosCausalLMOutput | tuple[Any, ...]:
        """Logits, and a loss where there are labels.

        Args:
            input_ids: As in :meth:`MythosModel.forward`, and so all that is not named here.
            attention_mask: See there.
            position_ids: See there.
            past_key_values: See there.
            inputs_embeds: See there.
            labels: Tokens to predict, ``(batch, positions)``, at the place of the token itself.
            use_cache: See there; ``None`` returns none with labels.
            logits_to_keep: Logits of the last so many positions alone, 0 for all; or of these positions, ``(kept,)``
                indices or ``(positions,)`` booleans. A loss is of all positions whatever is kept.
            output_hidden_states: See there.
            return_dict: See there.
            num_loops: See there.
            exit: See there.
            iterations: See there.
            num_items_in_batch: Labels of the whole step that this batch is a part of; the loss is the sum over this
                part's labels divided by it. ``None`` takes their mean.
            ignore_index: The label of positions that are not scored.
            kwargs: ``shift_labels``, tokens to predict at the place from which they are predicted, of all positions or
                of those that are kept; they go before ``labels``. What else other models take is refused.

        Raises:
            ValueError: An argument is out of range, or asks for what this model does not do.
        """
        # Not named in the signature, where transformers' Trainer would take it for a label that every batch must have.
        shift_labels = kwargs.pop("shift_labels", None)
        refuse_unknown(
            self,
            {name: value for name, value in kwargs.items() if name not in PACKED},
            [*BACKBONE, "labels", "logits_to_keep", "shift_labels", "ignore_index"],
        )
        labelled = labels is not None or shift_labels is not None
        if use_cache is None and labelled:
            use_cache = False  # what is scored is there already
        out = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            output_hidden_states=output_hidden_states,
            return_dict=True,
            num_loops=num_loops,
            exit=exit,
            iterations=iterations,
            num_items_in_batch=num_items_in_batch,
            **kwargs,
        )
        hidden = out.last_hidden_state
        kept = _kept(logits_to_keep, hidden)
        of_kept = shift_labels is not None and shift_labels.shape == kept.shape[:2]
        scored = self.lm_head(hidden if labelled and not of_kept else kept)
        loss = None
        if labelled:
            targets = _targets(labels, shift_labels, scored.shape[:2], ignore_index).contiguous()
            loss = self.loss_function(
                logits=at_least_float32(scored),
                labels=targets,
                vocab_size=scored.shape[-1],
                shift_labels=targets,
                num_items_in_batch=num_items_in_batch,
                ignore_index=ignore_index,
            )
            if self.training and out.aux_loss is not None:
                loss = loss + out.aux_loss * _share(targets, ignore_index, num_items_in_batch)
        result = MythosCausalLMOutput(
            loss=loss,
            logits=scored if scored.shape[:2] == kept.shape[:2] else _kept(logits_to_keep, scored),
            past_key_values=out.past_key_values,
            hidden_states=out.hidden_states,
            aux_loss=out.aux_loss,
            loops_run=out.loops_run,
        )
        return self._returned(result, return_dict)


def _kept(logits_to_keep: int | Tensor, x: Tensor) -> Tensor:
    """The positions that are asked for, of ``(batch, positions, ...)``."""
    if isinstance(logits_to_keep, Tensor) and logits_to_keep.dim() == 1:
        return x[:, logits_to_keep]
    if isinstance(logits_to_keep, bool) or not isinstance(logits_to_keep, int) or logits_to_keep < 0:
        raise ValueError(f"logits_to_keep={logits_to_keep!r} must be a count of last positions, or indices (kept,)")
    return x[:, -logits_to_keep:] if logits_to_keep else x


def _targets(labels: Tensor | None, shift_labels: Tensor | None, shape: torch.Size, ignore_index: int) -> Tensor:
    """What is predicted from each position, ``(batch, positions)``."""
    name, given = ("labels", labels) if shift_labels is None else ("shift_labels", shift_labels)
    assert given is not None
    if given.shape != shape:
        raise ValueError(f"{name} must be {tuple(shape)}, not {tuple(given.shape)}")
    return given if shift_labels is not None else nn.functional.pad(given[:, 1:], (0, 1), value=ignore_index)


def _share(targets: Tensor, ignore_index: int, num_items_in_batch: Tensor | int | None) -> Tensor | float:
    """What a mean over this part weighs in the mean over the whole step."""
    if num_items_in_batch is None:
        return 1.0
    scored = (targets != ignore_index).sum()
    return scored / torch.as_tensor(num_items_in_batch, device=targets.device)
