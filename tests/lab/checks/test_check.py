"""The effect check as a whole."""

import torch

from mythos_lab.checks import Assembly, check
from mythos_lab.recipe import load_recipe
from mythos_lab.training.assembly import assemble


def test_it_leaves_the_model_as_it_was():
    recipe = load_recipe("gated_loop", ["model.width=16"])
    model, task = assemble(recipe)
    model.train().core.eval()  # modules need not all be in one mode
    modes = [module.training for module in model.modules()]
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    check(Assembly(recipe, model, task, task.batch("train", range(2))))
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
