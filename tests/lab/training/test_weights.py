"""The weights that a run leaves: a model for whoever has the blocks, whatever version of the lab wrote them."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_model

import mythos_blocks as mb
from mythos_blocks.checkpoints import load_model
from mythos_lab.recipe import RecipeError
from mythos_lab.recipe.compose import load_recipe
from mythos_lab.search.feasibility import Infeasible
from mythos_lab.training.assembly import assemble
from mythos_lab.training.held import DATA, ENVIRONMENT, data_of
from mythos_lab.training.result import (
    RECIPE,
    RESULT,
    STATE,
    WEIGHTS,
    dump_recipe,
    load_run,
    save_weights,
    write_recipe,
    write_state,
    write_values,
)
from mythos_lab.training.stop_reasons import RankDied, Stopped

KEY = "0123456789abcdef" * 2


def ended(folder, *, sealed=True):
    """The folder of a run, as far as its readers look at it; and the model that it trained.

    Args:
        folder: The folder.
        sealed: Whether its files carry checksums, as those of older runs do not.
    """
    recipe = load_recipe("openmythos", ["model.width=32", "task.length=8"])
    model, task = assemble(recipe)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.add_(0.1 if name.endswith("weight") else 0.01)
        model.core.layers[0].feedforward.bias.add_(torch.arange(8))
    values = {
        DATA: data_of(recipe, task),
        ENVIRONMENT: {"device": "cpu"},
        RESULT: {"status": "finished", "metrics": {}},
    }
    if sealed:
        write_state(folder, {"key": KEY})
        write_recipe(recipe, folder, KEY)
        for name, held in values.items():
            write_values(folder, name, held)
    else:
        dump_recipe(recipe, folder / RECIPE)
        for name, held in {STATE: {"key": KEY}, **values}.items():
            (folder / name).write_text(json.dumps(held))
    return model.eval()


def same(one, other):
    return one.state_dict().keys() == other.state_dict().keys() and all(
        torch.equal(tensor, other.state_dict()[name]) for name, tensor in one.state_dict().items()
    )


def test_the_blocks_load_the_model_of_a_run(tmp_path):
    model = ended(tmp_path)
    save_weights(model, tmp_path)

    for path in (tmp_path / WEIGHTS, tmp_path):
        again = load_model(path)
        assert same(again, model) and again.spec == model.spec and again.head.weight is again.embedding.weight
    mb.Distillation(teacher=str(tmp_path)).check(model)


@pytest.mark.parametrize("sealed", [True, False])
def test_a_run_is_read_with_its_declaration_in_the_weights_and_without(tmp_path, sealed):
    model = ended(tmp_path, sealed=sealed)
    if sealed:
        save_weights(model, tmp_path)
    else:
        save_model(model, str(tmp_path / WEIGHTS))

    recipe, again, _ = load_run(tmp_path)

    assert same(again, model) and again.head.weight is again.embedding.weight


def test_weights_that_are_cut_short_or_another_model_s_are_one_line(tmp_path):
    model = ended(tmp_path)
    path = save_weights(model, tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RecipeError, match="model.safetensors is cut short: .*$"):
        load_run(tmp_path)

    save_weights(mb.LoopedTransformer(9, width=16), tmp_path)
    with pytest.raises(RecipeError, match=r"model.safetensors: .*$") as caught:
        load_run(tmp_path)
    assert len(caught.value.lines) == 1


@pytest.mark.parametrize(
    "ending",
    [Stopped(Path("run"), 3), RankDied(1, 2, Path("none")), Infeasible("too large", {"x": 1.5}), RecipeError("a", "b")],
    ids=lambda ending: type(ending).__name__,
)
def test_how_a_run_ended_can_be_told_to_another_process(ending):
    again = pickle.loads(pickle.dumps(ending))

    assert type(again) is type(ending) and str(again) == str(ending)
    assert {n: x for n, x in vars(again).items() if n[0] != "_"} == {
        n: x for n, x in vars(ending).items() if n[0] != "_"
    }
