"""What evaluation does where a rule would stop a position: whichever rule has the choice."""

import math

import pytest
import torch

import mythos_blocks as mb
from mythos_blocks.declaring.registry import lookup
from tests.blocks.parts import WIDTH, kinds, model, observed, randn, randomise, started, tokens

RULES = [kind for _, kind in kinds("halting") if "evaluation" in lookup("halting", kind).Spec.model_fields]
FIELDS = {"gate_cdf": {"quantile": 0.6}, "q_head": {"read": "position"}}
LOOPS = 8


def built(kind, evaluation):
    halting = {"kind": kind, "evaluation": evaluation, **FIELDS.get(kind, {})}
    made = model(LOOPS, injection="lti", halting=halting).eval()
    randomise(made, std=0.15)
    for name, parameter in made.core.halting.named_parameters():
        if name.endswith("bias"):
            parameter.data.fill_(0.0 if kind == "q_head" else -1.0)
        else:
            parameter.data.mul_(6)
    return made


def without_halting(made):
    plain = model(LOOPS, injection="lti").eval()
    plain.load_state_dict({n: x for n, x in made.state_dict().items() if not n.startswith("core.halting")})
    return plain


def test_every_rule_that_stops_positions_in_evaluation_alone_has_the_choice():
    stops = [
        kind for _, kind in kinds("halting") if isinstance(lookup("halting", kind).__dict__.get("freezes"), property)
    ]
    assert {"gate_cdf", "ponder", "q_head"} <= set(RULES) and set(stops) <= set(RULES)


@torch.no_grad()
@pytest.mark.parametrize("kind", RULES)
def test_select_reads_each_position_where_it_would_have_stopped_of_a_pass_that_stops_none(kind):
    made, ids = built(kind, "select"), tokens(4, 12)
    out = made(ids, record=True)
    plain = without_halting(made)(ids, record=True)

    assert out.executed.eq(out.num_loops).all(), "none runs fewer; all end where all have been selected"
    chosen = torch.stack(out.halting.weights)
    assert torch.equal(chosen.sum(0), torch.ones(4, 12)) and len(chosen.argmax(0).unique()) > 1
    for t, (mine, theirs) in enumerate(zip(out.states, plain.states, strict=False)):
        assert torch.equal(mine, theirs), t
    every = torch.stack([made.read(h) for h in plain.states])
    wanted = every.gather(0, chosen.argmax(0)[None, :, :, None].expand(1, -1, -1, every.shape[-1]))[0]
    torch.testing.assert_close(out.logits, wanted, rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("kind", RULES)
def test_run_on_is_the_model_without_the_rule(kind):
    made, ids = built(kind, "run_on"), tokens(4, 12)
    out = made(ids)
    assert torch.equal(out.logits, without_halting(made)(ids).logits)
    assert out.executed.eq(LOOPS).all()


@torch.no_grad()
@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("evaluation", ["select", "run_on"])
def test_decoding_with_a_cache_gives_the_logits_of_the_whole_pass(kind, evaluation):
    made, ids = built(kind, evaluation), tokens(2, 8)
    decoder = mb.Decoder(made, 2)
    steps = torch.cat([decoder.advance(part).logits for part in ids.split([5, 1, 2], 1)], 1)
    torch.testing.assert_close(steps, made(ids).logits, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_at_a_quantile_of_one_a_position_exits_where_nothing_is_left_and_nowhere_else():
    gate = mb.GateCDF(WIDTH, quantile=1.0, evaluation="select").eval()
    gate.probability.weight.zero_()
    states = randn(4, 1, 2, WIDTH)
    gate.probability.bias.fill_(math.log(3))
    state = started(gate, states[0])
    for t, h in enumerate(states):
        state = observed(gate, state, h, last=t == 3)
    assert torch.equal(state.readout, states[-1])
    gate.probability.bias.fill_(200.0)
    state = started(gate, states[0])
    for t, h in enumerate(states):
        state = observed(gate, state, h, last=t == 3)
    assert torch.equal(state.readout, states[0])
