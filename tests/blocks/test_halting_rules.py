"""Rules that stop positions: what they promise, and that stopped positions cost nothing and change nothing."""

import math

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import mythos_blocks as mb
from tests.blocks.parts import WIDTH, kinds, model, observed, randn, randomise, started, tokens

RULES = {
    "act": {"kind": "act", "halted_state": "frozen", "initial_bias": -1.0},
    "gate_cdf": {"kind": "gate_cdf", "quantile": 0.6},
    "ponder": "ponder",
    "q_head": {"kind": "q_head", "read": "position"},
    "q_head, two values": {"kind": "q_head", "read": "position", "head": "halt_continue"},
    "token_choice": {"kind": "token_choice", "num_depths": 6},
    "expert_choice": "expert_choice",
}
EXITS = {
    "kl": {"kind": "kl", "threshold": 0.004},
    "min_p_kl": {"kind": "min_p_kl", "threshold": 0.001},
    "entropy": {"kind": "entropy", "threshold": 0.004},
    "latent": {"kind": "latent", "threshold": 0.25},
    "cosine": {"kind": "cosine", "threshold": 0.03},
    "argmax": {"kind": "argmax", "patience": 2},
    "acceleration": {"kind": "acceleration", "threshold": 0.7},
}
STOPPING = [pytest.param({"halting": rule}, id=name) for name, rule in RULES.items()] + [
    pytest.param({"exit": rule}, id=f"exit {name}") for name, rule in EXITS.items()
]


def built(**core):
    made = model(8, injection="lti", depth_signal="sinusoidal", **core).eval()
    randomise(made, std=0.15)
    for name, parameter in made.core.halting.named_parameters():
        parameter.data.mul_(3)
        if name.endswith("bias"):
            parameter.data.zero_()
    return made


@torch.no_grad()
@pytest.mark.parametrize("core", STOPPING)
def test_leaving_stopped_positions_out_changes_nothing_and_saves_their_products(core):
    made, ids = built(**core), tokens(4, 12)

    def run(compact):
        with FlopCounterMode(display=False) as counter:
            out = made(ids, compact=compact)
        return out, counter.get_total_flops()

    (compact, spent), (plain, whole) = run(True), run(False)

    assert torch.equal(compact.executed, plain.executed)
    assert 1 <= compact.executed.min() < compact.executed.max() <= 8, compact.executed
    torch.testing.assert_close(compact.logits, plain.logits, rtol=1e-4, atol=1e-5)
    assert spent < whole
    mass = torch.stack(compact.halting.weights).sum(0)
    torch.testing.assert_close(mass, torch.ones_like(mass), rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("core", STOPPING)
def test_a_sequence_stops_alike_in_any_batch(core):
    made, ids = built(**core), tokens(4, 12)
    together = made(ids)
    for row in range(4):
        alone = made(ids[row : row + 1])
        assert torch.equal(alone.executed[0], together.executed[row])
        torch.testing.assert_close(alone.logits[0], together.logits[row], rtol=1e-4, atol=1e-5)


def test_the_gate_makes_a_distribution_and_the_last_iteration_takes_the_rest():
    gate = mb.GateCDF(WIDTH).train()
    states = randn(5, 2, 3, WIDTH)
    state = started(gate, states[0])
    for t, h in enumerate(states):
        state = observed(gate, state, h, last=t == 4)
    chances = [torch.sigmoid(gate.probability(h)).squeeze(-1) for h in states]
    left = torch.ones(2, 3)
    for t in range(5):
        wanted = left if t == 4 else chances[t] * left
        torch.testing.assert_close(state.weights[t], wanted)
        left = left * (1 - chances[t])
    assert torch.equal(state.readout, states[-1])


@torch.no_grad()
def test_a_position_exits_where_its_cumulative_chance_reaches_the_quantile():
    gate = mb.GateCDF(WIDTH, quantile=0.7).eval()
    gate.probability.weight.zero_()
    gate.probability.bias.fill_(math.log(0.4 / 0.6))
    h = randn(1, 1, WIDTH)
    state, halted = started(gate, h), []
    for _ in range(4):
        state = observed(gate, state, h, last=False)
        halted.append(bool(state.halted))
    assert halted[:3] == [False, False, True], "0.4, 0.64, 0.784"


def test_ponders_loss_is_the_divergence_from_a_cut_geometric_prior():
    ponder = mb.Ponder(WIDTH, prior=0.3, kl_weight=2.0).train()
    states = randn(4, 1, 2, WIDTH)
    state = started(ponder, states[0])
    for t, h in enumerate(states):
        state = observed(ponder, state, h, last=t == 3)
    prior = [0.3 * 0.7**t / (1 - 0.7**4) for t in range(4)]
    wanted = sum(w * (w / p).log() for w, p in zip(state.weights, prior, strict=True)).mean()
    torch.testing.assert_close(ponder.loss(state), 2 * wanted)


@torch.no_grad()
def test_a_token_runs_the_depth_that_it_chose():
    made = built(halting={"kind": "token_choice", "num_depths": 6})
    out = made(tokens(4, 12))
    h = made.core.start(made.embedding(tokens(4, 12))).h
    choice = made.core.halting.router(h).argmax(-1) + 1
    assert torch.equal(out.executed, choice) and len(choice.unique()) > 2
    assert torch.equal(made(tokens(4, 12), iterations=2).executed, choice.clamp_max(2))


def test_token_choice_reads_the_chosen_state_and_its_router_learns_from_it():
    made = built(halting={"kind": "token_choice", "num_depths": 6, "balance_weight": 0.0}).train()
    out = made(tokens(4, 12))
    out.logits.square().mean().backward()
    assert made.core.halting.router.weight.grad.any() and out.auxiliary_loss is None
    balanced = built(halting={"kind": "token_choice", "num_depths": 6, "balance_weight": 0.5}).train()(tokens(4, 12))
    shares = torch.bincount(balanced.executed.flatten() - 1, minlength=6) / 48
    chances = balanced.halting.scores[0].mean((0, 1))
    torch.testing.assert_close(balanced.auxiliary_loss, 0.5 * 6 * (shares * chances).sum())


def test_expert_choice_keeps_its_share_in_training_and_decides_each_token_alone_outside():
    made = built(halting={"kind": "expert_choice", "capacity": 0.5})
    trained = made.train()(tokens(4, 12))
    alive = [(trained.executed > t).sum(1).tolist() for t in range(1, 5)]
    assert alive == [[6] * 4, [3] * 4, [2] * 4, [1] * 4]
    changed = tokens(4, 12)
    changed[:, 9] = (changed[:, 9] + 1) % 29
    with torch.no_grad():
        before, after = (made.eval()(ids).executed for ids in (tokens(4, 12), changed))
    assert torch.equal(before[:, :9], after[:, :9])
    trained.auxiliary_loss.backward()
    assert made.core.halting.router.weight.grad.any()


def test_the_value_of_halting_learns_whether_the_answer_is_right():
    made = model(3, injection="add", halting={"kind": "q_head", "head": "halt_continue"}).train()
    randomise(made, std=0.2)
    ids = tokens(3)
    out = made(ids, record=True)
    loss = mb.SupervisedHalting(weight=0.5).loss(made, out, ids)

    wanted = torch.stack(
        [torch.nn.functional.cross_entropy(made.read(h).transpose(1, 2), ids) for h in out.states]
    ).mean()
    for t, h in enumerate(out.states):
        right = (made.read(h).argmax(-1) == ids).all(1).float()
        q = made.core.halting.value(h[:, 0])
        later = made.core.halting.value(out.states[min(t + 1, 2)][:, 0]).detach()
        target = torch.sigmoid(later[:, 0] if t + 1 >= 2 else later.amax(-1))
        for value, label in ((q[:, 0], right), (q[:, 1], target)):
            wanted = wanted + 0.5 / 3 * torch.nn.functional.binary_cross_entropy_with_logits(value, label)
    torch.testing.assert_close(loss, wanted)
    with pytest.raises(ValueError, match="trains core.halting 'q_head'"):
        mb.SupervisedHalting().check(model())


def exit_of(kind, states, logits, **fields):
    rule = mb.Slot("exit").resolve({"kind": kind, **fields}).build(WIDTH)
    state = rule.start(states[0])
    stopped = []
    for t in range(1, len(states)):
        state = rule.observe(state, states[t - 1], states[t], lambda h, t=t: logits[t], t - 1)
        stopped.append(state.stopped.clone())
    return torch.stack(stopped)


@pytest.mark.parametrize("kind", [k for k in EXITS if k not in ("argmax", "acceleration")])
def test_an_exit_stops_where_its_difference_first_falls_below_the_threshold(kind):
    generator = torch.Generator().manual_seed(0)
    steps = [torch.randn(2, 3, WIDTH, generator=generator) * 0.5**t for t in range(9)]
    states = [sum(steps[: t + 1]) for t in range(9)]
    logits = [h[..., :7] * 2 for h in states]
    p = [x.softmax(-1) for x in logits]

    def likely(x):
        kept = torch.where(x >= 0.1 * x.amax(-1, keepdim=True), x, 1 / x.shape[-1])
        return kept / kept.sum(-1, keepdim=True)

    difference = {
        "kl": lambda a, b: (p[a] * (p[a] / p[b]).log()).sum(-1),
        "min_p_kl": lambda a, b: (likely(p[a]) * (likely(p[a]) / likely(p[b])).log()).sum(-1),
        "entropy": lambda a, b: ((p[b] * p[b].log()).sum(-1) - (p[a] * p[a].log()).sum(-1)).abs(),
        "latent": lambda a, b: (states[b] - states[a]).norm(dim=-1) / states[b].norm(dim=-1),
        "cosine": lambda a, b: 1 - torch.cosine_similarity(states[a], states[b], dim=-1),
    }[kind]
    threshold = 0.01
    stopped = exit_of(kind, states, logits, threshold=threshold)
    wanted = torch.zeros(2, 3, dtype=torch.bool)
    for t in range(1, 9):
        if t >= 2:  # what the first is held against, tests/parity/test_huginn_exits.py says
            wanted = wanted | (difference(t - 1, t) < threshold)
        assert torch.equal(stopped[t - 1], wanted), (kind, t)
    assert wanted.any()


def test_the_argmax_must_stay_for_as_long_as_is_asked():
    best = [0, 1, 1, 2, 2, 2, 2, 1]
    logits = [torch.nn.functional.one_hot(torch.tensor([[b]]), 4).float() for b in [0, *best]]
    states = [torch.zeros(1, 1, WIDTH)] * len(logits)
    assert exit_of("argmax", states, logits, patience=3).flatten().tolist() == [False] * 6 + [True] * 2


def test_acceleration_looks_at_the_change_of_the_step():
    steps = [4.0, 2.0, 1.0, 0.95, 0.2]
    states = [torch.full((1, 1, WIDTH), v) for v in (0.0, 4.0, 6.0, 7.0, 7.95, 8.15)]
    stopped = exit_of("acceleration", states, [None] * 6, threshold=0.1)
    assert stopped.flatten().tolist() == [False, False, False, abs(steps[3] - steps[2]) / steps[2] < 0.1, True]
    plain = exit_of("acceleration", states, [None] * 6, threshold=1.5, relative=False, patience=2)
    root = WIDTH**0.5
    small = [root * abs(b - a) < 1.5 for a, b in zip(steps, steps[1:], strict=False)]
    assert small == [False, False, True, False]
    assert not plain.any()
    assert exit_of("acceleration", states, [None] * 6, threshold=1.5, relative=False).flatten().tolist() == [
        False, False, False, True, True]  # fmt: skip


@pytest.mark.parametrize("kind", ["entropy", "kl", "min_p_kl"])
def test_predictions_without_a_doubt_stop(kind):
    """Whose other probabilities are 0: no logarithm of one is taken that does not exist."""
    sure = torch.zeros(1, 1, 16)
    sure[..., 0] = 200.0
    states = [torch.zeros(1, 1, WIDTH)] * 4
    stopped = exit_of(kind, states, [sure] * 4, threshold=1e-3)
    assert stopped.flatten().tolist() == [False, True, True]


LIMITS = {"argmax": ("patience", 1)}
"""What makes a rule stop as soon as it may; elsewhere a threshold that everything is below."""


@torch.no_grad()
@pytest.mark.parametrize("kind", [kind for _, kind in kinds("exit") if kind != "none"])
def test_every_min_loops_that_is_accepted_is_one_more_iteration_or_is_refused(kind):
    field, value = LIMITS.get(kind, ("threshold", 1e9))
    ran = {}
    for min_loops in range(1, 6):
        try:
            made = built(exit={"kind": kind, field: value, "min_loops": min_loops})
        except ValueError as refused:
            assert f"min_loops={min_loops}" in str(refused)
            continue
        if kind == "argmax":
            made.head.weight.zero_()  # one token throughout
        ran[min_loops] = set(made(tokens()).executed.flatten().tolist())
    late = 1 if kind == "argmax" else 0
    assert len(ran) >= 4
    assert ran == {min_loops: {min_loops + late} for min_loops in ran}


def test_exits_are_for_inference_and_need_logits_where_they_read_them():
    made = built(exit={"kind": "latent", "threshold": 100.0, "min_loops": 2})
    assert (made(tokens()).executed == 2).all()
    assert (made.train()(tokens()).executed == 8).all()
    with pytest.raises(ValueError, match="reads logits"):
        built(exit="kl").core(made.embedding(tokens()))


@pytest.mark.parametrize("bias", [-200.0, 200.0])
@pytest.mark.parametrize("kind", ["gate_cdf", "ponder", "act"])
def test_a_saturated_gate_has_finite_gradients(kind, bias):
    made = model(5, injection="add", halting=kind).train()
    randomise(made, std=0.2)
    made.core.halting.probability.bias.data.fill_(bias)
    ids = tokens(3)
    out = made(ids, record=True)
    loss = mb.Expected(beta=0.1).loss(made, out, ids) + mb.GateImprovement().loss(made, out, ids)[0]
    (loss if out.auxiliary_loss is None else loss + out.auxiliary_loss).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in made.parameters())
