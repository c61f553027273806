"""Defects of OpenMythos 0.5.0: measured on the package, there in our form of it, absent from the repaired.

``test_open_mythos.py`` names the first ones; the numbers in brackets are those of the findings in the baselines.
"""

import pytest
import torch

from mythos_blocks import MixtureOfExperts
from tests.parity.open_mythos import ours, published_model, with_weights

TOKENS = torch.randint(0, 61, (2, 11), generator=torch.Generator().manual_seed(1))
LOOPS = 16
REPAIRED = {"final_remainder": True, "ponder_weight": 0.01, "initial_bias": -3.0}


def watched(module, forward):
    """What a module returned each time that the forward pass called it."""
    seen = []
    handle = module.register_forward_hook(lambda m, args, out: seen.append(out.detach()))
    try:
        with torch.no_grad():
            forward()
    finally:
        handle.remove()
    return seen


def published_mass(model, num_loops):
    """The sum of the weights with which the published loop reads its states, ``(batch, positions)``.

    Measured, not recomputed: one channel of the state is held at 1, so the same channel of the weighted sum of
    states is the sum of the weights.
    """

    def hold(module, args, state):
        return torch.cat((torch.ones_like(state[..., :1]), state[..., 1:]), dim=-1)

    handle = model.recurrent.injection.register_forward_hook(hold)
    try:
        (readout,) = watched(model.recurrent, lambda: model(TOKENS, num_loops))
    finally:
        handle.remove()
    return readout[..., 0]


@torch.no_grad()
def our_mass(model, num_loops):
    return torch.stack(model(TOKENS, iterations=num_loops).halting.weights).sum(0)


@torch.no_grad()
def test_defect_loops_beyond_the_third_are_bit_identical_at_initialisation():  # (1)
    theirs = published_model("mla").eval()
    published_form = with_weights(ours("mla"), theirs).eval()
    repaired = ours("mla", **REPAIRED).eval()

    at_4 = (
        theirs(TOKENS, 4),
        published_form(TOKENS, iterations=4).logits,
        repaired(TOKENS, iterations=4).logits,
    )

    for num_loops in (16, 64):
        assert torch.equal(theirs(TOKENS, num_loops), at_4[0])
        assert torch.equal(published_form(TOKENS, iterations=num_loops).logits, at_4[1])
        assert (repaired(TOKENS, iterations=num_loops).logits - at_4[2]).abs().max() > 1e-4


@torch.no_grad()
def test_defect_mean_loops_read_stay_below_two_whatever_is_asked_for():  # (1)
    published_form = with_weights(ours("gqa"), published_model("gqa"))
    repaired = ours("gqa", **REPAIRED)

    def read(model, num_loops):
        return float(model(TOKENS, iterations=num_loops).halting.depth_read().mean())

    assert read(published_form, 4) == pytest.approx(read(published_form, 64), abs=1e-6)
    assert read(published_form, 64) < 2
    assert read(repaired, 4) > 2.5 and read(repaired, 16) > 8


def test_defect_adapter_rows_beyond_the_third_loop_get_exactly_zero_gradient():  # (1)
    theirs = published_model("mla")
    models = {"published form": with_weights(ours("mla"), theirs), "repaired": ours("mla", **REPAIRED)}
    theirs(TOKENS, LOOPS).square().sum().backward()
    tables = {"published": theirs.recurrent.lora.scale.weight.grad}
    for name, model in models.items():
        model(TOKENS, iterations=LOOPS).logits.square().sum().backward()
        tables[name] = model.core.depth_adapter.table().grad

    touched = {name: (grad.abs().sum(1) > 0).tolist() for name, grad in tables.items()}

    assert touched["published"] == touched["published form"]
    assert touched["published"][0] and touched["published"][3:] == [False] * (LOOPS - 3)
    assert all(touched["repaired"])


def test_defect_nothing_prices_iterations():  # (2)
    published_form, repaired = ours("gqa"), ours("gqa", **REPAIRED)

    assert torch.is_tensor(published_model("gqa")(TOKENS, 2)), "logits and nothing else to add to a loss"
    assert published_form(TOKENS, iterations=2).auxiliary_loss is None
    assert repaired(TOKENS, iterations=2).auxiliary_loss.requires_grad


@pytest.mark.parametrize("bias, num_loops, mass", [(-6.0, 4, 0.01), (-3.0, 4, 0.19), (-3.0, 16, 0.76), (0.0, 1, 0.5)])
def test_defect_halting_mass_depends_on_the_loop_count(bias, num_loops, mass):  # (3)
    """The halting head's weights are zero here, so that p is sigmoid(bias) throughout."""
    theirs = published_model("gqa", halting_bias=bias)
    torch.nn.init.zeros_(theirs.recurrent.act.halt.weight)
    published_form, repaired = (with_weights(ours("gqa", final_remainder=f), theirs) for f in (False, True))

    measured = published_mass(theirs, num_loops)

    torch.testing.assert_close(measured, torch.full_like(measured, mass), rtol=0.02, atol=0)
    torch.testing.assert_close(our_mass(published_form, num_loops), measured)
    torch.testing.assert_close(our_mass(repaired, num_loops), torch.ones_like(measured))


def test_defect_a_position_that_has_halted_goes_on_moving():  # (4)
    theirs = published_model("gqa", std=0.2, halting_bias=0.0)
    states = torch.stack(watched(theirs.recurrent.injection, lambda: theirs(TOKENS, 4)))
    assert len(states) >= 3
    moved = (states[1:] != states[:-1]).any(-1)
    assert moved.all(), "every position moves in every loop, the halted ones among them"

    for halted_state, still in (("updating", False), ("frozen", True)):
        mine, kept = with_weights(ours("gqa", halted_state=halted_state), theirs), []
        state = mine.core.start(mine.prelude(mine.embedding(TOKENS)))
        for t in range(4):
            halted, before = state.halting.halted, state.h
            state = mine.core.step(state, t)
            kept.append((state.h == before).all(-1)[halted])
        kept = torch.cat(kept)
        assert kept.numel() > 0 and bool(kept.all()) is still and bool(kept.any()) is still


@pytest.mark.parametrize(
    "dtype, log_sum",
    [(torch.float32, -18.0), (torch.bfloat16, -10.0), (torch.bfloat16, -7.0), (torch.float16, -10.0)],
)
@torch.no_grad()
def test_defect_A_is_one_as_computed_in_the_dtype_of_the_model(dtype, log_sum):  # (6)
    theirs = published_model("gqa").recurrent.injection
    published_form, repaired = ours("gqa").core.injection, ours("gqa").core.injection
    repaired.margin = 2**-8
    for injection in (theirs, published_form, repaired):
        injection.log_A.fill_(log_sum)
        injection.to(dtype)

    assert theirs.get_A().dtype is dtype and theirs.get_A().max() == 1
    assert published_form.rho() == 1
    assert repaired.rho().dtype is dtype and repaired.rho() < 1


@pytest.mark.parametrize("log_sum", [-30.0, 30.0])
def test_defect_A_is_frozen_beyond_the_clamp(log_sum):  # (6)
    """Ours shares it: the repaired form keeps rho below one there, and lets no gradient lead back."""
    gradients = []
    for injection, a in (
        (published_model("gqa").recurrent.injection, "get_A"),
        (ours("gqa").core.injection, "A"),
    ):
        with torch.no_grad():
            injection.log_A.fill_(log_sum)
        getattr(injection, a)().sum().backward()
        gradients.append(injection.log_A.grad)

    assert all(not gradient.any() for gradient in gradients)


def test_defect_the_router_bias_stays_where_it_is_and_experts_starve():  # (7)
    """One optimiser's steps on a router that prefers one expert."""
    theirs = published_model("gqa")
    moes = {rate: MixtureOfExperts(64, num_experts=4, num_active=1, bias_update_rate=rate) for rate in (0.0, 0.05)}
    x = torch.randn(4, 16, 64, generator=torch.Generator().manual_seed(0)) + 1
    shares = {}
    for rate, moe in moes.items():
        with torch.no_grad():
            moe.router.weight.zero_()
            moe.router.weight[0] = 0.01
        for _ in range(100):
            moe(x)
            shares[rate] = moe.load / moe.load.sum()
            moe.after_step()
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1)
    for _ in range(3):
        theirs(TOKENS, 2).square().sum().backward()
        optimizer.step()

    assert not theirs.recurrent.block.ffn.router_bias.any()
    assert shares[0.0].max() == 1 and not moes[0.0].bias.any()
    assert shares[0.05].max() < 0.6 and moes[0.05].bias.any()


def test_defect_zero_loops_silently_mean_the_default():  # (13)
    theirs = published_model("gqa", halting_bias=-6.0, num_loops=5)

    assert len(watched(theirs.recurrent.injection, lambda: theirs(TOKENS, 0))) == 5
    with pytest.raises(ValueError, match="at least one iteration"):
        ours("gqa")(TOKENS, iterations=0)


def test_defect_an_expert_without_tokens_has_no_gradient_at_all():  # (15)
    theirs = published_model("gqa")
    with torch.no_grad():
        theirs.recurrent.block.ffn.router_bias[0] = -100
    mine = with_weights(ours("gqa"), theirs)
    theirs(TOKENS, 2).sum().backward()
    mine(TOKENS, iterations=2).logits.sum().backward()

    assert theirs.recurrent.block.ffn.routed_experts[0].up.weight.grad is None
    gradient = mine.core.layers[0].feedforward.up.grad
    assert not gradient[0].any() and gradient[1:].flatten(1).any(1).all()


@pytest.mark.filterwarnings("ignore:Casting complex")
@torch.no_grad()
def test_defect_a_bfloat16_model_does_not_run():  # (1.1)
    """The published rotations are a complex buffer, which the cast strips of its sines; then dtypes clash."""
    theirs = published_model("gqa").to(torch.bfloat16)
    assert not theirs.freqs_cis.is_complex()

    with pytest.raises(RuntimeError):
        theirs(TOKENS, 2)
    for halting in ({}, REPAIRED):
        logits = ours("gqa", **halting).to(torch.bfloat16)(TOKENS, iterations=2).logits
        assert logits.dtype is torch.bfloat16 and logits.isfinite().all()
