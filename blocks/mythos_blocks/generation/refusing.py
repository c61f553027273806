"""Which models can be decoded with exits of each position's own."""

from __future__ import annotations

from mythos_blocks.core.state_site import StateSite
from mythos_blocks.declaring.component import Module
from mythos_blocks.model import LoopedTransformer
from mythos_blocks.tensors.plain import is_plain


def check_own_exits(model: LoopedTransformer) -> None:
    """Refuse a model whose positions cannot be read at exits of their own while their states go on.

    Raises:
        ValueError: Names the part, and what would do.
    """
    core = model.core
    if core.halting.kind != "none":
        raise ValueError(
            f"lazy depth reads a position's state at its exit, and halting {core.halting.kind!r} mixes several; use "
            "halting: none with an exit rule or loop counts"
        )
    if core.kv_policy.kind != "per_loop":
        raise ValueError(
            f"lazy depth fills each iteration's keys and values by themselves, and kv_policy {core.kv_policy.kind!r} "
            "shares them; use kv_policy: per_loop"
        )
    for module in core.layers.modules():
        if isinstance(module, Module) and module.reads_memory:
            raise ValueError(
                f"lazy depth computes an iteration of some positions alone, and {module.slot} {module.kind!r} reads "
                "all iterations; use depth_attention: none"
            )
    if core.tying == "sequence" and len(core.layers) > 1:
        raise ValueError(
            "tying 'sequence' runs all iterations of a layer before the next, and lazy depth has positions "
            "stop between iterations; use tying: cycle"
        )
    if not is_plain(core.state_site, StateSite):
        raise ValueError("lazy depth computes states out of order, and somebody replaces states; decode without it")
