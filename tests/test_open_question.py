"""The arms of docs/open-question.md: equal parameters, and a positive control that is what it says."""

import pytest
import torch

from benchmarks.open_question.arms import DEPTHS, HERE, KINDS, _at_depths
from mythos_blocks import Frame
from mythos_lab.comparison.worth.arms import applied
from mythos_lab.recipe import load_recipe
from mythos_lab.recipe.assembled import assembled_once
from mythos_lab.recipe.compose import build_on_meta
from mythos_lab.recipe.cost import count


def test_every_kind_stores_as_many_parameters_and_the_untied_one_has_them_in_each_iteration():
    with assembled_once():
        base = load_recipe(str(HERE / "reachability.yaml"), [])
        params = count(build_on_meta(base)[0])
        for kind in KINDS:
            ((_, changes),) = _at_depths(base, kind, DEPTHS["reachability"][-1:])
            arm = applied(base.model_dump(mode="json"), changes, kind)
            assert count(build_on_meta(arm)[0]) == pytest.approx(params, rel=0.01), kind
    layer = arm.model_spec().build(8).core.layers[0]
    assert kind == "untied" and len(layer.layers) == 4
    x = torch.randn(2, 5, 24)
    out = [layer(x, Frame(t=t)) for t in range(5)]
    for t in range(4):
        assert torch.equal(out[t], layer.layers[t](x, Frame(t=t)))
        assert not any(torch.equal(out[t], other) for other in out[:t])
    assert torch.equal(out[4], out[3]), "beyond the trained ones the last runs on"
