"""A looped transformer's keys and values inside of a cache of transformers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import CacheLayerMixin, DynamicCache, DynamicLayer

from mythos_blocks.generation.cache import Cache


class MythosCacheLayer(CacheLayerMixin):
    """All that a looped transformer keeps, as the one layer of a :class:`~transformers.DynamicCache`.

    A layer of the core has keys and values for each of its iterations, and a position that has stopped reads on as it
    was: so the model writes them itself, and this passes on what transformers does to a cache.

    Attributes:
        cache: The keys and values; ``None`` before the first call.
    """

    is_compileable = False
    is_croppable = True
    is_sliding = False
    supports_early_init = False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.cache: Cache | None = None

    def get_seq_length(self) -> int:
        """Columns so far, padding included."""
        return 0 if self.cache is None else self.cache.length

    def get_max_length(self) -> int:
        """No largest one."""
        return -1

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Columns that so many new positions can read, and the first of them."""
        return self.get_seq_length() + query_length, 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        raise ValueError("a looped transformer's cache is written by its model alone")

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        raise ValueError("a looped transformer's cache is written by its model alone")

    def offload(self) -> None:
        raise ValueError("a looped transformer's cache stays on its device; use a DynamicCache() without offloading")

    def prefetch(self) -> None:
        """Nothing: it is where it is read."""

    def reset(self) -> None:
        """Forget everything."""
        self.cache = None

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last columns, so many as ``-tokens_to_remove``.

        Raises:
            ValueError: It is positive, or there are fewer.
        """
        if tokens_to_remove > 0:
            raise ValueError(f"crop({tokens_to_remove}): give how many columns to forget as a negative number")
        if self.cache is not None:
            self.cache.truncate(self.cache.length + tokens_to_remove)

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Go on with these rows, ``(rows,)``."""
        if self.cache is not None:
            self.cache.keep_rows(beam_idx)

    def batch_select_indices(self, indices: Tensor) -> None:
        """Go on with these rows: their indices, or booleans."""
        rows = torch.as_tensor(indices)
        self.reorder_cache(rows.nonzero().flatten() if rows.dtype == torch.bool else rows)

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Go on with each row so many times."""
        if self.cache is not None:
            self.reorder_cache(torch.arange(self.cache.batch).repeat_interleave(repeats))


def layer_of(past_key_values: Any) -> MythosCacheLayer:
    """The layer of a user's cache; an empty one is given it.

    Raises:
        ValueError: It is a cache of another kind, or holds what another model wrote.
    """
    name = type(past_key_values).__name__
    if type(past_key_values) is not DynamicCache:
        raise ValueError(f"past_key_values must be a DynamicCache, empty or of an earlier call, not a {name}")
    if getattr(past_key_values, "offloading", False):
        raise ValueError("past_key_values is offloaded; use a DynamicCache() without offloading")
    layers = past_key_values.layers
    if len(layers) == 1 and isinstance(layers[0], MythosCacheLayer):
        return layers[0]
    if any(type(layer) is not DynamicLayer for layer in layers):
        kinds = sorted({type(layer).__name__ for layer in layers if type(layer) is not DynamicLayer})
        raise ValueError(f"past_key_values has a {kinds[0]}, which this model cannot fill; use an empty DynamicCache()")
    if past_key_values.get_seq_length():
        raise ValueError(
            "past_key_values holds keys and values that this model has not written; use an empty DynamicCache(), and "
            "for a learned prefix prompt tuning by inputs_embeds"
        )
    made = MythosCacheLayer()
    past_key_values.layers, past_key_values.layer_class_to_replicate = [made], None
    return made
