"""Passes through a looped transformer: plain, over packed rows, and with a cache."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from mythos_blocks.core.iterations import Iterations
from mythos_blocks.exit.base import Exit
from mythos_blocks.frame.mask import AttentionMask
from mythos_blocks.frame.memory import Past
from mythos_blocks.generation.cache import Cache as Keys
from mythos_blocks.generation.decoder import is_exact
from mythos_blocks.hugging_face.cache import layer_of
from mythos_blocks.hugging_face.outputs import MythosModelOutput
from mythos_blocks.hugging_face.rows import Packing, Surroundings, padding_of, restarts
from mythos_blocks.model.looped_transformer import LoopedTransformer
from mythos_blocks.model.modes import evaluating
from mythos_blocks.model.output import ModelOutput


@dataclass(frozen=True)
class Inputs:
    """What is run, and how.

    Attributes:
        tokens: ``(batch, positions)``, where there are any.
        embedded: ``(batch, positions, width)``.
        iterations: What the loop runs; ``None`` runs the sampler's mean.
        exit: The rule that stops positions; ``None`` takes the declared one.
        records: Whether to return the hidden states.
    """

    tokens: Tensor | None
    embedded: Tensor
    iterations: Iterations | None
    exit: Exit | None
    records: bool


def run(looped: LoopedTransformer, inputs: Inputs, around: Surroundings, past: Past | None = None) -> MythosModelOutput:
    """One pass."""
    out: ModelOutput = looped(
        inputs.tokens,
        around.mask,
        inputs.iterations,
        embedded=inputs.embedded,
        positions=around.positions,
        real=around.real,
        past=past,
        exit=inputs.exit,
        record=inputs.records,
        head=False,
    )
    hidden: tuple[Tensor, ...] | None = None
    if inputs.records:
        layers = (x for place, x in out.tape.items() if "router" not in place)
        hidden = (inputs.embedded, *layers, out.logits)
    return MythosModelOutput(
        last_hidden_state=out.logits, hidden_states=hidden, aux_loss=out.auxiliary_loss, loops_run=out.executed
    )


def run_packed(looped: LoopedTransformer, inputs: Inputs, position_ids: Tensor) -> MythosModelOutput:
    """A pass over the sequences that rows hold, put back into these rows."""
    packing = Packing(position_ids)
    parts = replace(
        inputs,
        tokens=None if inputs.tokens is None else packing.take(inputs.tokens),
        embedded=packing.take(inputs.embedded),
        iterations=packing.counts(inputs.iterations),
    )
    out = run(looped, parts, Surroundings(AttentionMask(), packing.take(position_ids), packing.real))
    assert out.last_hidden_state is not None and out.loops_run is not None
    out.last_hidden_state, out.loops_run = packing.put_back(out.last_hidden_state), packing.put_back(out.loops_run)
    if out.hidden_states is not None:
        out.hidden_states = tuple(None if x is None else packing.put_back(x) for x in out.hidden_states)
    return out


def run_cached(
    looped: LoopedTransformer,
    inputs: Inputs,
    past_key_values: Cache,
    attention_mask: Tensor | None,
    position_ids: Tensor | None,
) -> MythosModelOutput:
    """A pass that goes on from a cache and writes to it, in evaluation mode, as decoding is.

    Raises:
        ValueError: The cache is of another kind, or holds other rows or other padding than this call says.
    """
    batch, size = inputs.embedded.shape[:2]
    device = inputs.embedded.device
    layer = layer_of(past_key_values)
    if looped.training and torch.is_grad_enabled():
        raise ValueError("past_key_values are of evaluation, and the model is in training; call eval()")
    length = layer.get_seq_length()
    held = layer.cache.padding if layer.cache is not None and length else None
    padding = padding_of(attention_mask, (batch, length + size), held)
    if not length or layer.cache is None:
        layer.cache = Keys(batch, padding=padding, exact=is_exact(looped, inputs.exit))
    keys = layer.cache
    if keys.batch != batch:
        raise ValueError(f"past_key_values holds {keys.batch} rows, and this call has {batch}")
    if length and attention_mask is not None:
        keys.padding = _continued(padding, held, length, batch)
    keys.graph = torch.is_grad_enabled()
    mask, positions = keys.begin(size, device)
    real = None
    if keys.padding is not None:
        real = torch.arange(length, length + size, device=device) >= keys.padding.to(device)[:, None]
    if position_ids is not None:
        positions = position_ids if real is None else torch.where(real, position_ids, positions)
        if restarts(positions, real):
            raise ValueError("position_ids restart, and a cache holds one sequence a row; use use_cache=False")
    with evaluating(looped):
        out = run(looped, inputs, Surroundings(mask, positions, real), keys)
    keys.commit(size)
    out.past_key_values = past_key_values
    return out


def _continued(padding: Tensor | None, held: Tensor | None, length: int, batch: int) -> Tensor | None:
    """The padding of a cache of so many columns once there are more: rows that are padding so far may go on so.

    Raises:
        ValueError: What was no padding is some, or the other way round.
    """
    before, after = (torch.zeros(batch, dtype=torch.long) if x is None else x.cpu() for x in (held, padding))
    if before.shape == after.shape and bool(((before == after) | ((before >= length) & (after >= length))).all()):
        return padding
    raise ValueError("attention_mask has other padding than past_key_values was begun with")
