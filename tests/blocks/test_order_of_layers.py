"""Layers in another order than once each: schedules of a stack and of a core, and sublayers that run again."""

import pytest
import torch

import mythos_blocks as mb
from tests.blocks.parts import VOCAB, WIDTH, make, randn, randomise, tokens

ORDER = [0, 1, 2, 1, 2, 3]


def built(**fields):
    model = mb.LoopedTransformer(VOCAB, width=WIDTH, **fields).eval()
    randomise(model, std=0.15)
    return model


def unrolled(stack, like):
    """Every place of the schedule a layer of its own, with that layer's weights."""
    plain = mb.Stack(WIDTH, depth=len(ORDER))
    for place, i in enumerate(ORDER):
        plain.layers[place].load_state_dict(like.layers[i].state_dict())
    return plain


@torch.no_grad()
def test_a_stacks_schedule_is_the_stack_of_so_many_layers_with_the_same_weights():
    model = built(prelude={"depth": 4, "schedule": ORDER})
    x = randn(2, 6, WIDTH)
    assert torch.equal(model.prelude(x), unrolled(model.prelude, model.prelude)(x))


@torch.no_grad()
def test_a_cores_schedule_runs_in_every_iteration_and_decodes_with_a_cache():
    core = {"depth": 4, "schedule": ORDER, "injection": "add", "loops": {"kind": "fixed", "num_loops": 3}}
    model = built(core=core, coda={"depth": 2, "schedule": [1, 0, 1]})
    ids = tokens()
    h = e = model.embedding(ids)
    plain = unrolled(None, model.core)
    for _ in range(3):
        h = plain(model.core.injection.combine(h, e))
    torch.testing.assert_close(model(ids).state.h, h)
    decoder = mb.Decoder(model, 2)
    steps = torch.cat([decoder.advance(part).logits for part in ids.split([3, 1, 4], 1)], 1)
    torch.testing.assert_close(steps, model(ids).logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "schedule, message", [([0, 1], "leaves out layer 2"), ([0, 1, 2, 3], "names layer 3"), ([], "leaves out layer 0")]
)
def test_a_schedule_names_every_layer_and_no_other(schedule, message):
    for slot in ("stack", "core"):
        with pytest.raises(ValueError, match=rf"{message}, and depth=3 has layers 0 to 2"):
            make(slot, {"kind": {"stack": "sequence", "core": "loop"}[slot], "depth": 3, "schedule": schedule})
    with pytest.raises(ValueError, match="which tying 'sequence' runs one by one"):
        make("core", {"kind": "loop", "depth": 2, "schedule": [0, 1, 0], "tying": "sequence"})


@torch.no_grad()
def test_a_sublayer_may_run_again_before_the_next_and_decodes_with_a_cache():
    layer = {"kind": "pre_norm", "attention_loops": 3, "feedforward_loops": 2, "branch_scale": 0.5}
    model = built(core={"layer": layer, "loops": {"kind": "fixed", "num_loops": 2}})
    part, x = model.core.layers[0], randn(2, 6, WIDTH)
    wanted = x
    for _ in range(3):
        wanted = wanted + 0.5 * part.attention(part.attention_norm(wanted))
    for _ in range(2):
        wanted = wanted + 0.5 * part.feedforward(part.feedforward_norm(wanted))
    torch.testing.assert_close(part(x), wanted)
    decoder = mb.Decoder(model, 2)
    steps = torch.cat([decoder.advance(p).logits for p in tokens().split([3, 1, 4], 1)], 1)
    torch.testing.assert_close(steps, model(tokens()).logits, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_post_norm_may_weigh_what_a_branch_is_added_to():
    part, x = make("layer", {"kind": "post_norm", "residual_scale": 3.0}), randn(2, 6, WIDTH)
    y = part.attention_norm(3 * x + part.attention(x))
    torch.testing.assert_close(part(x), part.feedforward_norm(3 * y + part.feedforward(y)))


@pytest.mark.parametrize("progress, count", [(0.0, 1), (0.34, 1), (0.36, 4), (1.0, 4)])
def test_loops_may_be_switched_on_at_a_share_of_training(progress, count):
    sampler = mb.Curriculum(base={"kind": "fixed", "num_loops": 4}, share=0.35, shape="step")
    sampler.progress = progress
    assert sampler.sample(torch.Generator()) == count
