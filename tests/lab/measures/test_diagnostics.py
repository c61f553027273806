"""Descriptions of states, attention and experts, of loops that are known."""

import pytest
import torch

import mythos_blocks as mb
from mythos_lab.measures import Samples, measure
from mythos_lab.measures.attention import _Watched
from mythos_lab.measures.state import cka, effective_rank
from tests.lab.measures import planted

mb.load_plugins()
N = planted.NUM_TOKENS
ALIKE = {"kind": "fixed", "num_loops": 3}


def found(model, samples, measure_of):
    (outcome,) = measure(model, samples, [measure_of])
    return {(v.quantity, v.of, v.loop): v.value for v in outcome.values}, outcome.finding


def test_rank_and_similarity_are_those_of_known_states():
    x = torch.eye(8).repeat(4, 1) - 1 / 8
    assert effective_rank(x) == pytest.approx(7, rel=1e-5) and effective_rank(torch.zeros(4, 3)) is None
    turn = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(0)))[0]
    assert cka(x, 3 * x @ turn) == pytest.approx(1) and cka(x, 0 * x) is None
    one, other = torch.zeros(2, 4, 1)
    one[:, 0], other[:, 0] = torch.tensor([1.0, -1, 1, -1]), torch.tensor([1.0, 1, -1, -1])
    assert cka(one, other) == pytest.approx(0, abs=1e-12)


def test_states_of_a_collapsing_loop_lose_their_directions():
    down = torch.diag(torch.tensor([1.0] * 2 + [1e-3] * (N - 2)))
    values, said = found(planted.model(down.repeat(3, 1, 1)), planted.samples(200), "state")
    assert values["state/effective_rank", "", 0] > 9 > 4 > values["state/effective_rank", "", 1]
    assert values["state/cka_last", "", 3] == pytest.approx(1) and values["state/noise", "", 3] == 0
    assert ("state/norm", "untrained", 3) in values and "no evidence" in said
    one = torch.zeros(20, 1, dtype=torch.long)
    assert ("state/effective_rank", "", 1) not in found(planted.permuting("--"), Samples.of_tokens(one, one), "state")[
        0
    ]
    values, _ = found(planted.permuting("---"), planted.samples(50), "state")
    assert all(values["state/cka", "", t] == pytest.approx(1) for t in (1, 2, 3))


def looped(**core):
    core = {"layer": {"feedforward": {"kind": "moe", "num_experts": 4}}, "loops": ALIKE, **core}
    model = mb.LoopedTransformer(N, width=16, core=core)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=parameter.shape[-1] ** -0.5, generator=generator)
    return model.eval()


def some(num=20, length=6):
    tokens = torch.randint(N, (num, length), generator=torch.Generator().manual_seed(0))
    return Samples.of_tokens(tokens, tokens)


def test_a_map_is_what_attention_multiplies_values_with():
    q, k, v = torch.randn(3, 2, 4, 5, 8, generator=torch.Generator().manual_seed(0))
    for causal, kv_heads in ((True, 4), (False, 2)):
        mask = _Watched(causal, None)
        out = mask.attend(q, k[:, :kv_heads], v[:, :kv_heads], 0.3)
        values = v[:, :kv_heads].repeat_interleave(4 // kv_heads, 1)
        assert (mask.into[0] @ values - out).abs().max() < 1e-5


def test_a_state_that_stays_has_the_same_map_and_one_that_moves_has_not():
    still = looped()
    with torch.no_grad():
        for name, parameter in still.core.named_parameters():
            if name.endswith(("out.weight", "down", "down.weight")):
                parameter.zero_()
    values, _ = found(still, some(), "attention")
    assert values["attention/change", "layer_0", 2] == values["attention/change", "layer_0", 3] == 0
    values, said = found(looped(), some(), "attention")
    assert 0 < values["attention/change", "layer_0", 2] <= 1 and "no evidence" in said
    assert ("attention/untrained_change", "layer_0", 2) in values


def test_routing_changes_with_the_state_and_the_router_only_where_it_is_told_the_iteration():
    values, said = found(looped(), some(), "experts")
    assert values["experts/change", "layer_0", 2] > 0 and values["experts/transplanted", "layer_0", 2] == 0
    assert 2 <= values["experts/visited", "layer_0", None] <= 4 and "of 4 experts, 2 at a time" in said
    told = {"layer": {"feedforward": {"kind": "moe", "num_experts": 4, "depth_conditioned": True}}}
    model = looped(**told)
    with torch.no_grad():
        model.core.layers[0].feedforward.depth_logits.copy_(20 * torch.eye(4)[:3])
        model.core.layers[0].feedforward.router.weight.mul_(1e-3)
    values, _ = found(model, some(), "experts")
    assert values["experts/transplanted", "layer_0", 2] == pytest.approx(torch.tensor(2.0).log().item(), abs=1e-3)
    assert values["experts/visited", "layer_0", None] >= 3 and values["experts/kept", "layer_0", 2] < 0.8


def test_a_router_that_sends_all_to_the_same_experts_has_their_number_of_effective_ones():
    model = looped()
    with torch.no_grad():
        model.core.layers[0].feedforward.bias.copy_(torch.tensor([100.0, 100, 0, 0]))
    values, _ = found(model, some(), "experts")
    for t in (1, 2, 3):
        assert values["experts/effective", "layer_0", t] == pytest.approx(2)
        assert values["experts/load_cv", "layer_0", t] == pytest.approx(1)
    assert values["experts/kept", "layer_0", 3] == 1 and values["experts/visited", "layer_0", None] == 2


def test_what_has_no_experts_is_refused():
    with pytest.raises(ValueError, match="no layer of the core has experts"):
        found(planted.permuting("ab"), planted.samples(10), "experts")
    with pytest.raises(ValueError, match="no layer of the core has attention"):
        found(planted.permuting("ab"), planted.samples(10), "attention")
