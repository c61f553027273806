"""A model cast to half precision keeps what half precision would lose."""

import pytest
import torch

import mythos_blocks as mb

SIGNALS = ["sinusoidal", "rotary", "coordinates"]
LAYERS = {"adaptive": {"norm": "adaptive"}, "expert_attention": {"feedforward": "expert_attention"}}


def model_with(kind, seed=0):
    core = {"loops": {"kind": "fixed", "num_loops": 4}, "injection": "add"}
    core |= {"depth_signal": kind} if kind in SIGNALS else {"layer": LAYERS[kind]}
    model = mb.LoopedTransformer(11, width=32, core=core)
    model.initialize(seed)
    return model.eval()


def with_frequencies(model):
    return [module for module in model.modules() if "frequencies" in getattr(module, "exact_buffers", ())]


@pytest.mark.parametrize("kind", [*SIGNALS, *LAYERS])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_frequencies_stay_exact_and_the_model_runs(kind, dtype):
    model, cast = model_with(kind), model_with(kind).to(dtype)
    pairs = list(zip(with_frequencies(model), with_frequencies(cast), strict=True))
    assert pairs
    for exact, kept in pairs:
        assert kept.frequencies.dtype is torch.float32 and torch.equal(kept.frequencies, exact.frequencies)
    out = cast(torch.zeros(2, 5, dtype=torch.long))
    assert out.logits.dtype is dtype and out.logits.isfinite().all()
    assert all(state.dtype is dtype for state in (out.state.h,))


@pytest.mark.parametrize("kind", SIGNALS)
def test_a_far_iteration_has_the_angle_of_its_own(kind):
    """In bfloat16, 301 * f and 300 * f are one number; as frequencies they would be rounded before."""
    signal = model_with(kind).to(torch.bfloat16).core.depth_signal
    exact = model_with(kind).core.depth_signal
    h = torch.randn(1, 3, 32, generator=torch.Generator().manual_seed(0))
    for t in (300, 301):
        if kind == "rotary":
            found, wanted = (s.transform(h.bfloat16(), t).float() for s in (signal, exact))
        else:
            found, wanted = (s(t, torch.arange(3)).float() for s in (signal, exact))
        torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)


def test_float64_is_not_held_back():
    model = model_with("sinusoidal").double()
    assert model.core.depth_signal.frequencies.dtype is torch.float64
    assert model(torch.zeros(1, 3, dtype=torch.long)).logits.dtype is torch.float64


def test_casting_goes_down_and_up_again_and_over_meta():
    model = model_with("sinusoidal")
    before = model.core.depth_signal.frequencies.clone()
    assert torch.equal(model.to(torch.bfloat16).float().core.depth_signal.frequencies, before)
    assert model.to("meta").core.depth_signal.frequencies.is_meta


def test_the_selection_bias_is_exact_too():
    model = mb.LoopedTransformer(11, width=32, core={"layer": {"feedforward": "moe"}}).to(torch.bfloat16)
    assert model.core.layers[0].feedforward.bias.dtype is torch.float32


def test_negative_iterations_are_refused_by_adaptive_norms_too():
    norm = model_with("adaptive").core.layers[0].attention_norm
    with pytest.raises(ValueError, match="count from 0"):
        norm(torch.zeros(1, 2, 32), -1)
