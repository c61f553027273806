"""From a deep model to a looped one: tied weights, and low-rank updates for what tying loses."""

from mythos_blocks.uptraining.low_rank import LoopLoRALinears, add_loop_lora
from mythos_blocks.uptraining.tying import relax, svd_residual, tie

__all__ = ["LoopLoRALinears", "add_loop_lora", "relax", "svd_residual", "tie"]
