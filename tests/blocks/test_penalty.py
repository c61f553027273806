"""Penalties against what they bound."""

import pytest
import torch

import mythos_blocks as mb
from mythos_blocks.objective import IGNORE
from mythos_blocks.penalty.jacobian_radius import jacobian_growth
from tests.blocks.parts import VOCAB, WIDTH, model, randomise, tokens

LAYER = {"attention": {"kind": "gqa", "num_heads": 2}}


def passed(std=0.2, **core):
    built = model(3, layer=LAYER, injection="add", **core)
    randomise(built, std=std)
    ids = tokens(2, 4)
    targets = ids.clone()
    targets[:, 0] = IGNORE
    return built, built(ids, record=True), targets


def test_z_loss_is_the_squared_log_normaliser_of_scored_tokens():
    built, out, targets = passed()
    wanted = torch.stack([torch.logsumexp(out.logits[b, i], 0) ** 2 for b in range(2) for i in range(1, 4)]).mean()

    term, quantity = mb.ZLoss(weight=0.5).loss(built, out, targets)

    torch.testing.assert_close(quantity, wanted)
    torch.testing.assert_close(term, 0.5 * wanted)


def test_the_fixed_point_residual_is_that_of_one_more_iteration():
    built, out, targets = passed()
    one_more = built.core(built.embedding(tokens(2, 4)), None, 4).h
    relative = (one_more - out.state.h).square().sum(-1) / out.state.h.square().sum(-1)

    term, quantity = mb.FixedPoint(weight=2.0).loss(built, out, targets)

    torch.testing.assert_close(term, 2 * relative.mean())
    torch.testing.assert_close(quantity, relative.mean().sqrt())


def test_minimising_the_fixed_point_residual_makes_the_loop_settle():
    built, out, targets = passed()
    optimizer = torch.optim.Adam(built.core.parameters(), lr=3e-3)
    first = mb.FixedPoint().loss(built, out, targets)[1]
    for _ in range(30):
        out = built(tokens(2, 4))
        term, last = mb.FixedPoint(weight=1.0).loss(built, out, targets)
        optimizer.zero_grad()
        term.backward()
        optimizer.step()
    assert last < 0.7 * first


def test_the_power_iteration_finds_the_norm_growth_of_the_dense_jacobian():
    built, out, _ = passed()
    h = out.state.h[:1].detach()
    single = built(tokens(2, 4)[:1], record=True)
    jacobian = torch.autograd.functional.jacobian(lambda x: built.core.next_state(single.state, x), h)
    jacobian = jacobian.reshape(h.numel(), h.numel())
    radius = torch.linalg.eigvals(jacobian).abs().max()

    torch.manual_seed(0)
    growth = jacobian_growth(built, single, h, 200)

    torch.testing.assert_close(growth[0], radius, rtol=0.05, atol=0)


def test_the_jacobian_penalty_acts_above_its_limit_only_and_lowers_the_radius():
    built, out, targets = passed(std=0.5)
    torch.manual_seed(0)
    radius = mb.JacobianRadius().loss(built, out, targets)[1].detach()
    assert mb.JacobianRadius(limit=float(radius) * 10).loss(built, out, targets)[0] == 0
    penalty = mb.JacobianRadius(limit=float(radius) / 4, weight=1.0)
    optimizer = torch.optim.Adam(built.core.parameters(), lr=1e-2)
    for _ in range(40):
        term, after = penalty.loss(built, built(tokens(2, 4)), targets)
        optimizer.zero_grad()
        term.backward()
        optimizer.step()
    assert after < 0.85 * radius


def test_weight_cosine_is_of_matrices_and_not_of_tables():
    layer = {"feedforward": {"kind": "moe", "depth_conditioned": True}, "norm": "per_loop"}
    built = model(3, depth=2, layer=layer)
    one, other = built.core.layers
    with torch.no_grad():
        other.load_state_dict(one.state_dict())
        other.feedforward.depth_logits.normal_()
        other.attention_norm.gain.neg_()

    quantity = mb.WeightCosine().loss(built, built(tokens()), tokens())[1]

    torch.testing.assert_close(quantity, torch.tensor(1.0))


def test_weight_cosine_is_the_mean_over_successive_blocks():
    built = model(1, depth=4)
    penalty = mb.WeightCosine(block=2, weight=3.0)
    penalty.check(built)
    with torch.no_grad():
        for i in range(2):
            built.core.layers[i + 2].load_state_dict(built.core.layers[i].state_dict())

    term, quantity = penalty.loss(built, built(tokens()), tokens())
    torch.testing.assert_close(quantity, torch.tensor(1.0))
    torch.testing.assert_close(term, torch.tensor(-3.0))

    with torch.no_grad():
        for parameter in built.core.layers[3].parameters():
            parameter.neg_()
    torch.testing.assert_close(penalty.loss(built, built(tokens()), tokens())[1], torch.tensor(0.0))
    for block in (3, 4):
        with pytest.raises(ValueError, match="must divide core.depth=4 at least twice"):
            mb.WeightCosine(block=block).check(built)


def test_the_gate_learns_to_go_on_exactly_where_the_next_iteration_gains():
    built, out, targets = passed(halting={"kind": "act", "initial_bias": -1.0, "ponder_weight": 0.0, "threshold": 1.0})
    penalty = mb.GateImprovement(slope=50.0, gain=0.0)

    term, quantity = penalty.loss(built, out, targets)
    term.backward()

    losses = torch.stack([torch.nn.functional.cross_entropy(built.read(h).transpose(1, 2), targets, reduction="none")
                          for h in out.states])[:, targets != IGNORE]  # fmt: skip
    gains = (losses[:-1] - losses[1:]).clamp_min(0)
    assert (gains > 0.01).any() and (gains == 0).any()
    q = torch.stack(out.halting.weights)[:, targets != IGNORE]
    wanted = torch.sigmoid(50 * gains)
    going_on = torch.stack([1 - q[0], 1 - q[1] / (1 - q[0])]).clamp(1e-6, 1 - 1e-6)
    entropy = -(wanted * going_on.log() + (1 - wanted) * (1 - going_on).log()).mean()
    torch.testing.assert_close(quantity, entropy, rtol=1e-4, atol=1e-5)
    assert built.core.halting.probability.weight.grad.any()


def test_every_penalty_names_its_metric():
    from mythos_blocks.declaring.registry import slots
    from mythos_lab.metrics import METRICS

    kinds = slots()["penalty"].kinds.values()
    assert {cls.metric for cls in kinds if cls.__module__.startswith("mythos_blocks")} <= set(METRICS)


def test_every_penalty_and_objective_is_finite_at_one_loop():
    built = model(1, injection="add", halting="gate_cdf", depth=2).train()
    randomise(built, std=0.2)
    ids = tokens(2)
    out = built(ids, record=True)
    terms = [mb.ZLoss(), mb.FixedPoint(), mb.JacobianRadius(), mb.WeightCosine(), mb.GateImprovement()]
    values = [value for term in terms for value in term.loss(built, out, ids)]
    values += [
        objective.loss(built, out, ids) for objective in (mb.Final(), mb.Blended(), mb.PowerWeighted(), mb.Expected())
    ]
    assert all(value.isfinite() for value in values)


def test_distillation_is_the_divergence_from_the_teacher(tmp_path):
    from mythos_blocks.checkpoints import save

    teacher = model(2, injection="add").eval()
    randomise(teacher, std=0.3, seed=9)
    save(teacher, tmp_path / "teacher.safetensors")
    built, out, targets = passed()
    penalty = mb.Distillation(teacher=str(tmp_path / "teacher.safetensors"), weight=0.5, temperature=2.0)
    penalty.check(built)

    term, quantity = penalty.loss(built, out, targets)

    scored = targets != IGNORE
    p = (teacher(tokens(2, 4)).logits[scored] / 2).softmax(-1)
    q = (out.logits[scored] / 2).softmax(-1)
    wanted = (p * (p / q).log()).sum(-1).mean()
    torch.testing.assert_close(quantity, wanted, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(term, 0.5 * 4 * wanted, rtol=1e-4, atol=1e-6)
    term.backward()
    with pytest.raises(ValueError, match="is not a file"):
        mb.Distillation(teacher="nowhere.safetensors").check(built)
    (tmp_path / "teacher.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="^penalty 'distillation': teacher .*teacher.safetensors is not a safetensors"):
        mb.Distillation(teacher=str(tmp_path)).check(built)


@pytest.mark.parametrize(
    "cycles, gradient, refused",
    [(2, "last_cycle", True), (2, "full", False), (1, "last_cycle", False), (1, "last_update", True)],
)
def test_what_differentiates_whole_iterations_refuses_a_core_that_cuts_them(cycles, gradient, refused):
    core = {"kind": "hierarchical", "num_high_cycles": cycles, "cycle_gradient": gradient}
    penalty = mb.Slot("penalty").resolve("jacobian_radius").build()
    made = mb.LoopedTransformer(VOCAB, width=WIDTH, core=core)
    if refused:
        with pytest.raises(ValueError, match=f"core.cycle_gradient='{gradient}'"):
            penalty.check(made)
        with pytest.raises(ValueError, match=f"cycle_gradient='{gradient}'"):
            mb.LoopedTransformer(VOCAB, width=WIDTH, core={**core, "gradient": "implicit"})
        return
    penalty.check(made)
    out = made.train()(tokens())
    penalty.loss(made, out, tokens())[0].backward()
    mb.LoopedTransformer(VOCAB, width=WIDTH, core={**core, "gradient": "implicit"}).train()(
        tokens()
    ).logits.sum().backward()
