"""A pass past the modules has the numbers of one that takes each iteration as a step: all ways, all kinds."""

from __future__ import annotations

import functools

import pytest
import torch

import mythos_blocks as mb
from mythos_blocks.frame.inlining import by_module
from tests.blocks.parts import VOCAB, WIDTH, kinds, randomise, tokens

LOOPS = 4
NEEDED = {"anchor": {"num_exact": 2}, "implicit": {"num_iterations": 4}}
IN_CORE = ("injection", "update", "depth_signal", "depth_adapter", "initial_state", "halting", "kv_policy", "gradient")
HEADS = [
    {"num_kv_heads": 2, "head_dim": 16, "qk_norm": "after_rope", "output_gate": True},
    {"qk_norm": "before_rope", "qk_bias": True, "clip_qkv": 0.5, "bias": True},
    {"rope_pairing": "halves"},
    {"rope_theta": None, "value_embeddings": VOCAB},
]
CORES = [
    *[{slot: {"kind": kind, **NEEDED.get(kind, {})}} for slot, kind in kinds(*IN_CORE)],
    *[{"layer": kind} for _, kind in kinds("layer")],
    *[{"layer": {slot: kind}} for slot, kind in kinds("attention", "feedforward", "norm") if kind != "mixer"],
    *[{"layer": {"attention": {"kind": "gqa", **fields}}} for fields in HEADS],
    {"layer": {"kind": "sandwich", "layer_scale": 0.3, "branch_scale": 0.5, "dropout": 0.2}},
    {"layer": {"kind": "pre_norm", "attention_loops": 2}},
    {"layer": {"kind": "post_norm", "residual_scale": 2.0}},
    {"depth": 2, "schedule": [0, 1, 0]},
    {"depth": 2, "tying": "sequence"},
]
every_core = pytest.mark.parametrize("core", CORES, ids=str)


def made(core, **loops):
    loops = {"kind": "fixed", "num_loops": LOOPS, **loops}
    injection = {"injection": "lti"} if "gradient" not in core else {"injection": "add"}
    core = {**injection, "depth_signal": "sinusoidal", "loops": loops, **core}
    model = mb.LoopedTransformer(VOCAB, width=WIDTH, core=core, coda={"depth": 1})
    randomise(model, std=0.2)
    return model


def both(run):
    """What ``run`` returns: past the modules, and by calls of each, iteration by iteration."""
    torch.manual_seed(0)  # for what drops, and for states that are drawn
    ours = run()
    torch.manual_seed(0)
    with by_module():
        return ours, run()


def assert_same(ours, wanted, model):
    # Among positions that stop, the reference adds what the core reads in another order (test_stopping).
    close = functools.partial(torch.allclose, rtol=1e-5, atol=1e-6)
    equal = close if model.core.halting.freezes else torch.equal
    assert equal(ours.logits, wanted.logits)
    assert equal(ours.state.h, wanted.state.h) and torch.equal(ours.executed, wanted.executed)
    assert ours.num_loops == wanted.num_loops == len(ours.halting.weights)
    for first, second in zip(ours.halting.weights, wanted.halting.weights, strict=True):
        assert equal(first, second) and first.dtype is second.dtype
    torch.testing.assert_close(ours.losses, wanted.losses)
    for name in ("carry", "x"):
        first, second = getattr(ours.state, name), getattr(wanted.state, name)
        assert (first is None) == (second is None) and (first is None or equal(first, second)), name


@every_core
def test_outputs_and_gradients_are_those_of_steps(core):
    model = made(core, gradient_window=None if "gradient" in core else 2).train()

    def step():
        model.zero_grad()
        out = model(tokens(2, 6))
        loss = out.logits.sin().sum() + sum((w * 0.1).sum() for w in out.halting.weights)
        (loss if out.auxiliary_loss is None else loss + out.auxiliary_loss).backward()
        return out, {name: p.grad for name, p in model.named_parameters()}

    (ours, gradients), (wanted, others) = both(step)
    assert_same(ours, wanted, model)
    for name, gradient in gradients.items():
        assert (gradient is None) == (others[name] is None), name
        if gradient is not None:
            torch.testing.assert_close(gradient, others[name], rtol=1e-4, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


@torch.no_grad()
@every_core
def test_evaluation_and_decoding_are_those_of_steps(core):
    model = made(core).eval()
    assert_same(*both(lambda: model(tokens(2, 6))), model)

    def decode():
        decoder = mb.Decoder(model, 2)
        return [decoder.advance(part) for part in tokens(2, 6).split([3, 1, 2], 1)], decoder.cache.num_bytes

    (ours, held), (wanted, others) = both(decode)
    assert held == others
    for first, second in zip(ours, wanted, strict=True):
        assert_same(first, second, model)


@torch.no_grad()
@pytest.mark.parametrize("core", CORES[:3] + [core for core in CORES if "layer" in core], ids=str)
def test_other_dtypes_and_autocast_have_the_bits_of_steps(core):
    model = made(core).eval()
    with torch.autocast("cpu", torch.bfloat16):
        assert_same(*both(lambda: model(tokens(2, 6))), model)
    for dtype in (torch.bfloat16, torch.float64):
        model.to(dtype)
        assert_same(*both(lambda: model(tokens(2, 6))), model)


@torch.no_grad()
@pytest.mark.parametrize("options", [{"iterations": [2, 0, 1]}, {"iterations": 9}, {"real": tokens(2, 6) > 9}], ids=str)
def test_other_orders_and_padding_are_those_of_steps(options):
    model = made({}).eval()
    assert_same(*both(lambda: model(tokens(2, 6), **options)), model)
