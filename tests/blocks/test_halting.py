"""Every halting rule weighs its iterations by a distribution over them, whatever states it sees."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import mythos_blocks as mb
from tests.blocks.parts import WIDTH, declarations, deterministic, kinds, make, model, observed, randn, started, tokens

HALTING = [declared for _, declared in declarations("halting") if declared["kind"] in ("act", "none")]
POSITIONS = (2, 5)


def watch(halting, num_loops, seed=0):
    """The rule's state after it has seen random states, and those states."""
    states = randn(num_loops + 1, *POSITIONS, WIDTH, seed=seed)
    seen = [started(halting, states[0])]
    for i in range(1, num_loops + 1):
        seen.append(observed(halting, seen[-1], states[i], x=states[i - 1], last=i == num_loops))
    return seen, states[1:]


def with_bias(declared, bias, seed=0):
    halting = make("halting", declared, seed=seed)
    with torch.no_grad():
        for name, parameter in halting.named_parameters():
            if name.endswith("bias"):
                parameter.fill_(bias)
    return halting


@pytest.mark.parametrize("declared", HALTING, ids=str)
@deterministic
@given(bias=st.floats(-12, 12), num_loops=st.integers(1, 16), seed=st.integers(0, 2**16))
def test_the_weights_are_a_distribution_over_the_iterations(declared, bias, num_loops, seed):
    halting = with_bias(declared, bias, seed)
    with torch.no_grad():
        seen, states = watch(halting, num_loops, seed)
    end = seen[-1]
    weights = torch.stack(end.weights)

    assert weights.shape == (num_loops, *POSITIONS) and (weights >= 0).all()
    torch.testing.assert_close(weights.sum(0), torch.ones(POSITIONS), rtol=0, atol=1e-5)
    assert (end.depth_read() >= 1 - 1e-5).all() and (end.depth_read() <= num_loops + 1e-5).all()
    torch.testing.assert_close(end.readout, (weights.unsqueeze(-1) * states).sum(0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("num_loops", range(1, 17))
@pytest.mark.parametrize("kind", [kind for _, kind in kinds("halting")])
def test_mass_is_one_at_every_loop_count_as_initialised(kind, num_loops):
    out = model(16, halting=kind).eval()(tokens(), iterations=num_loops)

    mass = torch.stack(out.halting.weights).sum(0)
    torch.testing.assert_close(mass, torch.ones_like(mass), rtol=0, atol=1e-6)


@pytest.mark.parametrize("declared", HALTING, ids=str)
@deterministic
@given(bias=st.floats(-4, 2), seed=st.integers(0, 2**16))
def test_a_halted_position_stays_halted_and_weighs_nothing_more(declared, bias, seed):
    with torch.no_grad():
        seen, _ = watch(with_bias(declared, bias, seed), 12, seed)
    if seen[0].halted is None:
        assert all(state.halted is None for state in seen)
        return
    for before, after in zip(seen, seen[1:], strict=False):
        assert (after.halted | ~before.halted).all()
        assert not after.weights[-1][before.halted].any()
        assert torch.equal(after.readout[before.halted], before.readout[before.halted])


def test_mass_below_one_is_what_the_published_form_reads():
    halting = with_bias({"kind": "act", "final_remainder": False}, -6.0)
    torch.nn.init.zeros_(halting.probability.weight)
    with torch.no_grad():
        seen, _ = watch(halting, 4)

    wanted = 4 / (1 + 2.718281828**6)
    torch.testing.assert_close(torch.stack(seen[-1].weights).sum(0), torch.full(POSITIONS, wanted))


def test_a_position_halts_in_the_iteration_in_which_the_threshold_is_reached():
    halting = with_bias({"kind": "act", "threshold": 0.7}, 0.0)
    torch.nn.init.zeros_(halting.probability.weight)  # p = 0.5
    with torch.no_grad():
        seen, _ = watch(halting, 4)

    assert [bool(state.halted.all()) for state in seen] == [False, False, True, True, True]
    assert torch.stack(seen[-1].weights)[:, 0, 0].tolist() == [0.5, 0.5, 0.0, 0.0]
    assert (seen[-1].num_updates == 2).all() and (seen[-1].remainder == 0.5).all()
    assert (seen[-1].depth_read() == 1.5).all()


def test_the_ponder_loss_is_iterations_plus_remainder_and_favours_halting_early():
    late = with_bias({"kind": "act", "ponder_weight": 0.5, "threshold": 0.99}, -2.0)
    early = with_bias({"kind": "act", "ponder_weight": 0.5, "threshold": 0.99}, 1.0)
    for halting in (late, early):
        torch.nn.init.zeros_(halting.probability.weight)
    states = [watch(halting, 8)[0][-1] for halting in (late, early)]
    losses = [halting.loss(state) for halting, state in zip((late, early), states, strict=True)]

    remainder = 1 - 7 / (1 + 2.718281828**2)
    assert float(losses[0].detach()) == pytest.approx(0.5 * (8 + remainder), rel=1e-5)
    assert losses[1] < losses[0]
    losses[0].backward()
    assert late.probability.bias.grad < 0, "descent raises the halting probability"


def test_no_ponder_weight_adds_nothing_to_the_loss():
    assert make("halting", {"kind": "act", "ponder_weight": 0.0}).loss(None) is None
    assert model(halting="none")(tokens()).auxiliary_loss is None
    assert model(halting="act")(tokens()).auxiliary_loss > 0


@torch.no_grad()
@pytest.mark.parametrize("fused", [True, False], ids=["next index known", "next index unknown"])
@pytest.mark.parametrize("halted_state", ["frozen", "updating"])
def test_halted_states_stay_bit_equal_if_frozen_and_move_if_updating(halted_state, fused):
    built = model(injection="lti", halting={"kind": "act", "halted_state": halted_state, "initial_bias": -1.0})
    torch.nn.init.normal_(built.core.halting.probability.weight, generator=torch.Generator().manual_seed(0))
    e = built.embedding(tokens()) * 30
    state, kept, moved = built.core.start(e), 0, 0
    for t in range(8):
        halted, before = state.halting.halted, state.h
        state = built.core.step(state, mb.Step(t, next_t=t + 1 if fused else None))
        if bool(halted.all()):
            break
        same = (state.h == before).all(-1)
        kept, moved = kept + int((halted & same).sum()), moved + int((halted & ~same).sum())
        assert not (same & ~halted).any()

    assert (kept > 0, moved > 0) == ((True, False) if halted_state == "frozen" else (False, True))


@torch.no_grad()
@pytest.mark.parametrize("halted_state", ["frozen", "updating"])
def test_what_a_step_prepares_for_the_next_takes_no_state_that_halting_kept_back(halted_state):
    built = model(injection="lti", halting={"kind": "act", "halted_state": halted_state, "initial_bias": -1.0})
    torch.nn.init.normal_(built.core.halting.probability.weight, generator=torch.Generator().manual_seed(0))
    partly = False
    plain = fused = built.core.start(built.embedding(tokens()) * 30)
    for t in range(8):
        plain = built.core.step(plain, t)
        fused = built.core.step(fused, mb.Step(t, next_t=t + 1))
        torch.testing.assert_close(fused.h, plain.h, rtol=1e-4, atol=1e-4)
        partly |= 0 < int(plain.halting.halted.sum()) < plain.halting.halted.numel()

    assert partly


@torch.no_grad()
@pytest.mark.parametrize("halted_state", ["frozen", "updating"])
def test_leaving_the_loop_early_gives_the_logits_of_staying(halted_state):
    built = model(injection="lti", halting={"kind": "act", "halted_state": halted_state, "initial_bias": 0.5})
    ids = tokens()

    left = built.eval()(ids, iterations=16)
    state = built.core.start(built.prelude(built.embedding(ids)))
    for t in range(16):
        state = built.core.step(state, t, last=t == 15)
    stayed = built.read(state.halting.readout)

    assert 1 < left.num_loops < 16 and state.num_loops == (left.num_loops if halted_state == "frozen" else 16)
    torch.testing.assert_close(left.logits, stayed, rtol=1e-5, atol=1e-6)
    trained = built.train()(ids, iterations=16).num_loops
    assert trained == (left.num_loops if halted_state == "frozen" else 16)


@pytest.mark.parametrize("granularity, where", [("position", None), ("sequence", (1,)), ("global", (0, 1))])
@pytest.mark.parametrize("reads", ["after", "before"])
def test_one_probability_is_the_mean_over_those_that_run_of_what_is_halted_together(granularity, where, reads):
    rule = mb.ACT(4, granularity=granularity, reads=reads, initial_bias=0.3, threshold=1.0)
    generator = torch.Generator().manual_seed(0)
    before, after = (torch.randn(3, 5, 4, generator=generator) for _ in range(2))
    with torch.no_grad():
        rule.probability.weight.copy_(torch.randn(1, 4, generator=generator))
    running = torch.tensor([[1, 1, 1, 1, 1], [1, 0, 1, 0, 0], [0, 0, 0, 0, 0]]).bool()
    state = rule.start(after, torch.ones_like(running))
    t, last = torch.tensor(0), torch.zeros_like(running)
    mass = rule.observe(state, after, x=before, t=t, running=running, last=last).mass.detach()
    each = torch.sigmoid((before if reads == "before" else after) @ rule.probability.weight[0].detach() + 0.3)
    groups = {None: [[(b, p)] for b in range(3) for p in range(5)], (1,): [[(b, p) for p in range(5)] for b in range(3)],
              (0, 1): [[(b, p) for b in range(3) for p in range(5)]]}[where]  # fmt: skip
    for group in groups:
        counted = [float(each[at]) for at in group if running[at] or where is None]
        expected = sum(counted) / len(counted) if counted else 0.0
        for at in group:
            assert float(mass[at]) == pytest.approx(expected, rel=1e-5)
