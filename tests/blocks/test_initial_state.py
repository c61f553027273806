"""States before the first iteration, and what they promise at evaluation."""

import pytest
import torch

import mythos_blocks as mb
from tests.blocks.parts import WIDTH, make, randn

NOISE = ["normal", "truncated_normal", "unit"]


@pytest.mark.parametrize("kind", NOISE)
def test_a_position_starts_alike_whatever_the_batch_the_padding_and_the_chunk(kind):
    state, e = make("initial_state", kind).eval(), randn(3, 300, WIDTH)
    whole = state(e)
    assert torch.equal(whole[0], whole[2]) and not torch.equal(whole[0, 0], whole[0, 1])
    chunk = state(e[:1, 250:], mb.Frame(positions=torch.arange(250, 300)))
    assert torch.equal(chunk[0], whole[0, 250:])
    padded = torch.tensor([[0, 0, 0, 1, 2], [0, 1, 2, 3, 4]])
    rows = state(e[:2, :5], mb.Frame(positions=padded))
    assert torch.equal(rows[0, 2:], whole[0, :3]) and torch.equal(rows[1], whole[0, :5])
    other = make("initial_state", {"kind": kind, "seed": 1}).eval()
    assert not torch.equal(other(e), whole)


@pytest.mark.parametrize("kind", NOISE)
def test_training_draws_from_torchs_generator_and_fresh_ones_differ(kind):
    state, e = make("initial_state", kind).train(), randn(2, 4, WIDTH)
    torch.manual_seed(0)
    one = state(e)
    torch.manual_seed(0)
    assert torch.equal(state(e), one) and not torch.equal(state(e), one)
    fresh = make("initial_state", {"kind": kind, "at_evaluation": "fresh"}).eval()
    assert not torch.equal(fresh(e), fresh(e))


def test_distributions():
    torch.manual_seed(0)
    e = torch.zeros(64, 64, WIDTH)
    normal = make("initial_state", {"kind": "normal", "std": 0.5}).train()(e)
    assert float(normal.std()) == pytest.approx(0.5, rel=0.01)
    huginn = mb.TruncatedNormalState(5280, scale="sqrt_width").train()(torch.zeros(8, 8, 5280))
    assert float(huginn.std()) == pytest.approx(0.632, rel=0.02)
    std = (2 / (5 * 5280)) ** 0.5
    assert float(huginn.abs().max()) <= 3 * std * 5280**0.5 + 1e-6
    unit = make("initial_state", "unit").train()(e)
    torch.testing.assert_close(unit.mean(-1), torch.zeros(64, 64), rtol=0, atol=1e-6)
    torch.testing.assert_close(unit.square().sum(-1) / (WIDTH - 1), torch.ones(64, 64))


def test_deviations_that_are_not_declared_follow_the_width_of_the_input():
    torch.manual_seed(0)
    e = torch.zeros(32, 32, 50)
    for state, wanted in (
        (mb.NormalState(80, input_width=50, std=None), 50**-0.5),
        (mb.TruncatedNormalState(80, input_width=50), (2 / (5 * 50)) ** 0.5),
        (mb.TruncatedNormalState(80, input_width=50, scale="sqrt_width"), (2 / 5) ** 0.5),
    ):
        # A cut at three standard deviations leaves 0.9866 of one.
        assert float(state.train()(e).std()) == pytest.approx(wanted, rel=0.02)


def test_a_kept_state_has_the_declared_deviation_after_its_cut():
    state = mb.FixedState(100_000, std=0.5)
    state.reset_parameters(torch.Generator().manual_seed(0))
    assert float(state.vector.std()) == pytest.approx(0.5, rel=0.01)
    assert float(state.vector.abs().max()) == pytest.approx(2 * 0.5 / 0.87962566, rel=0.01)


def test_a_late_position_costs_no_draw_of_the_earlier_ones_and_none_twice(monkeypatch):
    state = make("initial_state", "normal").eval()
    drawn, draw = [], state.sample
    monkeypatch.setattr(state, "sample", lambda shape, *rest: drawn.append(shape) or draw(shape, *rest))
    for position in (100_000, 100_001):
        state(randn(2, 1, WIDTH), mb.Frame(positions=torch.tensor([position])))
    assert len(drawn) == 1


def test_kept_states_are_the_same_everywhere_and_one_of_them_learns():
    e = randn(2, 4, WIDTH)
    learned, fixed = mb.LearnedState(WIDTH), mb.FixedState(WIDTH)
    for state in (learned, fixed):
        state.reset_parameters(torch.Generator().manual_seed(0))
        h = state(e)
        assert h.shape == e.shape and torch.equal(h[0, 0], h[1, 3]) and h.any()
    assert len(list(learned.parameters())) == 1 and not list(fixed.parameters())
    assert set(fixed.state_dict()) == {"vector"}


def test_a_state_may_be_wider_than_its_input():
    for kind in (*NOISE, "zeros", "learned", "fixed"):
        state = mb.Slot("initial_state").resolve(kind).build(48, WIDTH)
        assert state(randn(2, 3, WIDTH)).shape == (2, 3, 48)
    core = {"state_width": 48, "initial_state": "normal", "injection": "lti_input", "interface": "projection"}
    model = mb.LoopedTransformer(29, width=WIDTH, core=core)
    assert model(torch.zeros(1, 4, dtype=torch.long)).logits.shape == (1, 4, 29)
    with pytest.raises(ValueError, match="needs a state as wide"):
        mb.LoopedTransformer(29, width=WIDTH, core={"state_width": 48})
