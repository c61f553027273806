"""Two kinds of layers in turn, in stacks and in the core."""

import pytest

import mythos_blocks as mb

RELU2 = {"feedforward": "relu2"}


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_every_second_layer_is_the_alternate(depth):
    stack = mb.Stack(16, depth=depth, alternate=RELU2)
    core = mb.Loop(16, depth=depth, alternate=RELU2)

    for layers in (stack.layers, core.layers):
        assert [layer.feedforward.kind for layer in layers] == ["swiglu", "relu2", "swiglu", "relu2"][:depth]


@pytest.mark.parametrize("part, depth", [(mb.Stack, 1), (mb.Stack, 0), (mb.Loop, 1)])
def test_an_alternate_without_a_place_is_refused(part, depth):
    with pytest.raises(ValueError, match=f"alternate is every second layer, and depth={depth}"):
        part(16, depth=depth, alternate=RELU2)


def test_a_misspelt_alternate_names_its_path():
    with pytest.raises(ValueError, match="did you mean 'relu2'"):
        mb.Stack(16, depth=2, alternate={"feedforward": "relu3"})
