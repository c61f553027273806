"""What the models return."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from transformers.cache_utils import Cache
from transformers.utils.generic import ModelOutput


@dataclass
class MythosModelOutput(ModelOutput):
    """What the backbone returns.

    Attributes:
        last_hidden_state: What the head reads, ``(batch, positions, width)``.
        past_key_values: Keys and values, where a cache was asked for.
        hidden_states: Where they are asked for, in the order in which they are computed: the embedded tokens, each
            layer of the prelude, then for each iteration each layer of the core and the state that the iteration ends
            with, then each layer of the coda, and the last hidden state.
        aux_loss: What components add to the training loss, a scalar; ``None`` where none adds anything.
        loops_run: Iterations that each position ran, ``(batch, positions)``.
    """

    last_hidden_state: Tensor | None = None
    past_key_values: Cache | None = None
    hidden_states: tuple[Tensor | None, ...] | None = None
    aux_loss: Tensor | None = None
    loops_run: Tensor | None = None


@dataclass
class MythosCausalLMOutput(ModelOutput):
    """What the language model returns.

    Attributes:
        loss: The next token's cross-entropy and, in training, what components add; ``None`` without labels.
        logits: ``(batch, positions, vocab_size)``, of the positions that ``logits_to_keep`` asks for.
        past_key_values: As in :class:`MythosModelOutput`, and so the rest.
        hidden_states: See there.
        aux_loss: See there.
        loops_run: See there.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Cache | None = None
    hidden_states: tuple[Tensor | None, ...] | None = None
    aux_loss: Tensor | None = None
    loops_run: Tensor | None = None
