"""What a training begins with instead of weights of its own: those of another run, or all that it had come to."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mythos_blocks import LoopedTransformer
from mythos_blocks.checkpoints import Checkpoint, copy_into, load
from mythos_blocks.declaring.spec import as_spec
from mythos_lab.recipe.errors import Misplaced, RecipeError
from mythos_lab.recipe.schema import Recipe
from mythos_lab.recipe.step import optimizer_of
from mythos_lab.tasks.base import Task
from mythos_lab.training.result import CHECKPOINT, DATA, STATE, key_of, read_recipe, read_values, read_weights
from mythos_lab.training.sealed import verify

START, STEPS = "start", "start_steps"
"""Entries of ``data.json``: a hash of what training began with, and the steps that it had behind it."""

_TOKENIZER = "tokenizer_sha256"


def begin_with_start(model: LoopedTransformer, recipe: Recipe, task: Task) -> None:
    """Give a model the weights that its recipe starts with.

    Raises:
        RecipeError: There are none, they are another model's, or of a model that read other tokens.
    """
    said = recipe.training.start
    if said is None:
        return
    folder, where = Path(said), f"{recipe.name}: training.start"
    if (folder / STATE).is_file():
        was, now = read_values(folder, DATA).get(_TOKENIZER), task.identity().get(_TOKENIZER)
        if was != now:
            raise RecipeError(f"{where}: {said} read the tokens of another tokenizer ({was}) than this task's ({now})")
    try:
        copy_into(model, _weights(folder).tensors)
    except RecipeError:
        raise
    except (ValueError, OSError) as error:
        raise RecipeError(f"{where}: {error}") from None
    if recipe.training.start_with == "everything":
        _check_goes_on(model, recipe, folder)


def _check_goes_on(model: LoopedTransformer, recipe: Recipe, folder: Path) -> None:
    """Refuse what another run's training does not go on to.

    Raises:
        RecipeError: It has no step left, another optimiser, no average to go on with, or would go on elsewhere in the
            data.
    """
    from mythos_lab.training.checkpoint import num_steps_of  # which imports Lightning

    done, asked = num_steps_of(checkpoint_of(recipe)), recipe.training.max_steps
    where, or_weights = f"{recipe.name}: training", "or start_with=weights"
    if done >= asked:
        raise RecipeError(
            f"{where}.max_steps={asked}: {folder} has {done:,} steps behind it, which count; expected more"
        )
    was = read_recipe(folder, assembled=False)
    kinds = [as_spec(each.training.optimizer).kind for each in (was, recipe)]
    if kinds[0] != kinds[1]:
        raise RecipeError(
            f"{where}.optimizer={kinds[1]}: {folder} was trained by {kinds[0]}; declare that, {or_weights}"
        )
    if _divided(was, model) != _divided(recipe, model):
        raise RecipeError(
            f"{where}.groups: divide the parameters otherwise than those of {folder}, and what an optimiser keeps is "
            f"told by places in them; declare groups of the same slots with factors that differ, {or_weights}"
        )
    if recipe.training.ema is not None and was.training.ema is None:
        raise RecipeError(f"{where}.ema: {folder} has no average to go on with; leave it out, {or_weights}")
    read, reads = (each.training.samples(done).start for each in (was, recipe))
    if read != reads:
        raise RecipeError(
            f"{where}.batch_size: {folder} has read {read:,} samples in its {done:,} steps, and this recipe reads "
            f"{reads:,} in as many, so that it would go on elsewhere in the data; declare the same batch_size and "
            f"batch_warmup, {or_weights}"
        )


def _divided(recipe: Recipe, model: LoopedTransformer) -> list[list[str]]:
    """The names of the parameters of each of an optimiser's groups, in their order there."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    try:
        groups = optimizer_of(recipe, model)[0].param_groups
    except ValueError as error:  # a group without effect, which the effect check has not seen yet
        raise RecipeError(f"{recipe.name}: {error}") from None
    return [[names[id(parameter)] for parameter in group["params"]] for group in groups]


def goes_on_from(recipe: Recipe, *, resumed: bool) -> Path | None:
    """The checkpoint of another run from which a training goes on; ``None`` where it begins, or has one of its own."""
    return checkpoint_of(recipe) if recipe.training.start_with == "everything" and not resumed else None


def checkpoint_of(recipe: Recipe) -> Path:
    """The checkpoint of the run with which all of a recipe's training starts.

    Raises:
        RecipeError: There is no such run, or it has kept none.
        Damaged: It is not as it was written.
    """
    path = Path(recipe.training.start or "") / CHECKPOINT
    if not path.is_file():
        raise RecipeError(
            f"{recipe.name}: training.start_with=everything: {recipe.training.start} has no {CHECKPOINT}; expected the "
            "folder of a run, or start_with=weights"
        )
    if (key := key_of(path.parent)) is not None:
        verify(path, key)
    return path


def identity_of_start(recipe: Recipe) -> dict[str, str]:
    """What ``data.json`` says of what training began with; nothing of weights that the seed has made."""
    if recipe.training.start is None:
        return {}
    if recipe.training.start_with == "everything":
        from mythos_lab.training.checkpoint import num_steps_of  # which imports Lightning

        path = checkpoint_of(recipe)
        with path.open("rb") as file:
            return {START: hashlib.file_digest(file, "sha256").hexdigest(), STEPS: str(num_steps_of(path))}
    digest = hashlib.sha256()
    for name, tensor in sorted(_weights(Path(recipe.training.start)).tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        digest.update(tensor.contiguous().flatten().view(-1).numpy(force=True).tobytes())
    return {START: digest.hexdigest()}


def hold_start(folder: Path, recipe: Recipe) -> None:
    """Refuse to begin again with other weights than those that a run's folder names.

    Raises:
        Misplaced: There are others now where the run started.
    """
    was = read_values(folder, DATA)
    if any(was.get(name) != value for name, value in identity_of_start(recipe).items()):
        raise Misplaced(
            f"{folder}: what training.start={recipe.training.start} holds has changed since the run was begun, which "
            "has no checkpoint yet; put it back, or begin another run"
        )


def _weights(place: Path) -> Checkpoint:
    return read_weights(place) if (place / STATE).is_file() else load(place)
