"""A model whose weights, gradients and optimiser state are spread over the ranks: FSDP2.

What torch spreads with is imported where something is spread: it takes seconds, and most runs are on one device.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mythos_blocks import LoopedTransformer
from mythos_blocks.declaring.spec import as_spec
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.schema import Recipe

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh


def check_shards(recipe: Recipe, model: LoopedTransformer) -> None:
    """Refuse a model that shards would change.

    Raises:
        RecipeError: The recipe declares shards, and something in the model needs whole weights between steps.
    """
    if recipe.training.strategy != "fsdp2":
        return
    if model.core.stabilizer.kind != "none":
        raise RecipeError(
            f"{recipe.name}: training.strategy=fsdp2: model.core.stabilizer={model.core.stabilizer.kind} changes whole "
            "matrices after every step, and no rank has them; set training.strategy=ddp"
        )
    if recipe.training.rounding is not None:
        raise RecipeError(
            f"{recipe.name}: training.strategy=fsdp2: training.rounding rounds whole rows of weights, and no rank has "
            "them before a step; set training.strategy=ddp"
        )
    if (kind := as_spec(recipe.training.optimizer).kind) == "muon":
        raise RecipeError(
            f"{recipe.name}: training.strategy=fsdp2: training.optimizer={kind} makes whole matrices orthogonal, of "
            "which ranks have parts, and it is not shown to be the same from these; set training.strategy=ddp"
        )
    for name, parameter in model.named_parameters():
        if parameter.dim() == 0:
            raise RecipeError(
                f"{recipe.name}: training.strategy=fsdp2: {name} is a scalar, which cannot be spread; "
                "set training.strategy=ddp"
            )


def shard(model: LoopedTransformer, mesh: DeviceMesh) -> None:
    """Spread a model over a mesh, in place.

    Weights are gathered once a step, all together, and let go after the backward pass. Gathering the core anew for each
    iteration, as a stack of layers would be, multiplies what is sent by the loop count; and objectives and penalties
    read weights after the forward pass.
    """
    from torch.distributed.fsdp import fully_shard

    fully_shard(model, mesh=mesh, reshard_after_forward=False)


@contextmanager
def gathered(model: LoopedTransformer) -> Iterator[None]:
    """Within it, the weights can be read as those of a model that is not spread; all ranks enter."""
    spread: Any = model
    if not hasattr(model, "unshard"):  # which FSDP2 gives a module that it spreads
        yield
        return
    spread.unshard()
    try:
        yield
    finally:
        spread.reshard()


def copy_whole(model: LoopedTransformer, whole: LoopedTransformer) -> None:
    """Bring a spread model's state into one that is not, on rank 0; all ranks call it."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    state = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    if state:  # which the others do not get
        whole.load_state_dict(state)
