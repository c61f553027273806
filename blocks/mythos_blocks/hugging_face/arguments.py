"""What callers may ask for: every argument is honoured, or refused in one line."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from mythos_blocks.core.iterations import Iterations
from mythos_blocks.declaring.registry import suggest
from mythos_blocks.exit.base import Exit
from mythos_blocks.generation.decoder import checked, exit_rule
from mythos_blocks.model.looped_transformer import LoopedTransformer

# What other models of transformers take, and why these do not; nothing is asked for by None or False.
REFUSED: dict[str, str] = {
    "output_attentions": "attention's weights are not kept; output_hidden_states=True gives every layer's output",
    "output_router_logits": "a router's terms are in the training loss as declared, and in aux_loss",
    "cache_position": "where the new positions stand is known from past_key_values; position_ids says otherwise",
    "token_type_ids": "there are no token types; call the tokenizer with return_token_type_ids=False",
    "head_mask": "no head is masked; prune the weights instead",
    "encoder_hidden_states": "there is no encoder",
    "encoder_attention_mask": "there is no encoder",
}


PACKED = ("cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k", "seq_idx")
"""Where sequences begin in packed rows, said otherwise than by position ids; see :func:`rows.packed_positions`."""


def refuse_unknown(model: Any, given: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse what a model's ``forward`` does not take.

    Raises:
        ValueError: Something is asked for that is not given, or by a name that is not known.
    """
    for name, value in given.items():
        if name == "is_causal":
            if value is False:
                raise ValueError(
                    "is_causal=False: give an attention_mask (batch, 1, queries, keys) of booleans instead"
                )
        elif name not in REFUSED:
            raise ValueError(f"{type(model).__name__}.forward takes no {name!r}; {suggest(name, known)}")
        else:
            refuse_asked(name, value, REFUSED)


def refuse_asked(name: str, value: Any, refused: Mapping[str, str]) -> None:
    """Refuse an argument with a reason, where it asks for something.

    Raises:
        ValueError: It does.
    """
    if value is not None and value is not False:
        raise ValueError(f"{name} is not supported: {refused[name]}")


def one_of(input_ids: Tensor | None, inputs_embeds: Tensor | None, width: int) -> Tensor:
    """The input that is given, of the two that there may be.

    Raises:
        ValueError: Both are given or neither is, or the one that is has another shape.
    """
    if (input_ids is None) == (inputs_embeds is None):
        raise ValueError("give exactly one of input_ids (batch, positions) and inputs_embeds (batch, positions, width)")
    if input_ids is not None:
        if input_ids.dim() != 2 or input_ids.is_floating_point() or not input_ids.shape[1]:
            raise ValueError(f"input_ids must be whole numbers (batch, positions), not {tuple(input_ids.shape)}")
        return input_ids
    assert inputs_embeds is not None
    if inputs_embeds.dim() != 3 or inputs_embeds.shape[2] != width or not inputs_embeds.shape[1]:
        raise ValueError(f"inputs_embeds must be (batch, positions, {width}), not {tuple(inputs_embeds.shape)}")
    return inputs_embeds


def loops_chosen(num_loops: Any, iterations: Any, by_config: Any) -> Iterations | None:
    """What a call runs: what it asks for, or its config; ``None`` where neither says.

    Raises:
        ValueError: It is no loop count, or is given twice.
    """
    if num_loops is not None and iterations is not None:
        raise ValueError(f"num_loops={num_loops} and iterations={iterations} say the same; give one of them")
    if iterations is not None:
        # Counts of each position are told from those of each sequence by the loop.
        return iterations if isinstance(iterations, Tensor) and iterations.dim() == 2 else checked(iterations)
    count = by_config if num_loops is None else num_loops
    if count is None:
        return None
    try:
        whole = operator.index(count)
    except TypeError:
        whole = 0
    if whole < 1 or isinstance(count, bool):
        raise ValueError(f"num_loops={count!r} must be a whole number of at least 1, or None for what is declared")
    return whole


def exit_chosen(exit: Any, by_config: Any, model: LoopedTransformer) -> Exit | None:
    """The rule that stops positions where a call or its config says one; ``None`` takes the declared one.

    Raises:
        ValueError: There is no such rule, or it is learned.
    """
    declared = by_config if exit is None else exit
    if declared is None:
        return None
    try:
        rule = exit_rule(declared, model)
    except ValueError as error:
        errors = getattr(error, "errors", None)  # of pydantic, which takes several lines
        message = errors(include_url=False)[0]["msg"] if errors is not None else str(error)
        raise ValueError(f"exit={declared!r}: {message}") from None
    return rule.to(model.embedding.weight.device)


def layers_wanted(output_hidden_states: Any, count: int) -> set[int]:
    """The indices of the hidden states that are asked for, by a flag or by indices.

    Raises:
        ValueError: It is neither a flag nor indices, or there is no such hidden state.
    """
    if output_hidden_states is True:
        return set(range(count))
    single = isinstance(output_hidden_states, int)
    try:
        chosen = [operator.index(i) for i in ([output_hidden_states] if single else output_hidden_states)]
    except TypeError:
        raise ValueError(f"output_hidden_states={output_hidden_states!r} must be a flag, or indices") from None
    for i in chosen:
        if not -count <= i < count:
            raise ValueError(f"output_hidden_states={output_hidden_states}: there are {count} of them in this pass")
    return {i % count for i in chosen}
