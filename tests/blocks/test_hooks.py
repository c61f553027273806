"""Hooks of those who watch: each kind fires once for each call of what a module is for, and changes nothing."""

from collections import Counter

import pytest
import torch
from torch import Tensor
from torch.nn.modules.module import register_module_forward_hook

import mythos_blocks as mb
from tests.blocks.covering import build, covering, mask_of, tokens
from tests.blocks.parts import VOCAB, WIDTH, kinds, randomise
from tests.blocks.parts import tokens as ids_of

every_core = pytest.mark.parametrize("core", covering(), ids=lambda core: f"{core['kind']}-{core['loops']['kind']}")
KINDS = ("pre", "pre with kwargs", "post", "post with kwargs", "always")
LOOPS = 3


def watch(model):
    """Counts of all kinds of hooks, by the name of the module."""
    counts = {kind: Counter() for kind in KINDS}
    for name, module in model.named_modules():

        def count(kind, name=name):
            counts[kind][name] += 1

        module.register_forward_pre_hook(lambda m, args, count=count: count("pre"))
        module.register_forward_pre_hook(
            lambda m, args, kwargs, count=count: count("pre with kwargs"), with_kwargs=True
        )
        module.register_forward_hook(lambda m, args, out, count=count: count("post"))
        module.register_forward_hook(lambda m, args, kw, out, count=count: count("post with kwargs"), with_kwargs=True)
        module.register_forward_hook(lambda m, args, out, count=count: count("always"), always_call=True)
    return counts


def trained(model, core):
    torch.manual_seed(0)
    out = model(tokens(2), mask_of(core), LOOPS)
    (out.logits.sin().sum() + (0 if out.auxiliary_loss is None else out.auxiliary_loss)).backward()
    return out, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def called(model, run):
    """How often each module is called while nobody has hooked it."""
    names, counts = {module: name for name, module in model.named_modules()}, Counter()
    handle = register_module_forward_hook(lambda m, args, out: counts.update([names[m]] if m in names else []))
    try:
        return run(), counts
    finally:
        handle.remove()


@every_core
def test_every_kind_of_forward_hook_fires_once_a_call_and_changes_nothing(core):
    plain, hooked = build(core).train(), build(core).train()
    (out, gradients), wanted = called(plain, lambda: trained(plain, core))
    counts = watch(hooked)
    other, ours = trained(hooked, core)
    torch.testing.assert_close(other.logits, out.logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours, gradients, rtol=1e-3, atol=1e-4)
    for kind in KINDS:
        assert counts[kind] == counts["pre"], kind
    for name, num in wanted.items():
        if not name.startswith(("core.injection", "core.depth_signal")):  # which are fused where nobody looks
            assert counts["pre"][name] == num, name
    assert counts["pre"]["core.injection"] == counts["pre"]["core.update"] == counts["pre"]["core.depth_signal"]


@pytest.mark.parametrize("slot, kind", kinds("injection", "depth_signal", "depth_adapter", "update"))
def test_a_hook_on_one_part_fires_once_an_iteration(slot, kind):
    core = {"injection": "lti", slot: kind, "loops": {"kind": "fixed", "num_loops": LOOPS}}
    model = mb.LoopedTransformer(VOCAB, width=WIDTH, core=core)
    randomise(model, std=0.2)
    counts = watch(getattr(model.core, slot))
    out = model(ids_of(2, 5))
    assert {counts[kind][""] for kind in KINDS} == {out.num_loops} == {LOOPS}


# An implicit gradient is solved for by going back through one iteration again and again.
@pytest.mark.parametrize("core", [core for core in covering() if core.get("gradient", {}).get("kind") != "implicit"])
def test_backward_hooks_fire_once_for_each_call_that_has_a_gradient(core):
    model, counts = build(core).train(), {"there": Counter(), "back": Counter(), "before": Counter()}

    def look(name):
        def seen(module, args, out):
            counts["there"][name] += isinstance(out, Tensor) and out.requires_grad

        return seen

    watched = ("core.injection", "core.update", "core.layers.0", "core.layers.0.attention", "core.layers.0.feedforward")
    for name, module in model.named_modules():
        if name in watched:
            module.register_forward_hook(look(name))
            module.register_full_backward_hook(lambda m, gi, go, name=name: counts["back"].update([name]))
            module.register_full_backward_pre_hook(lambda m, go, name=name: counts["before"].update([name]))
    trained(model, core)
    assert counts["back"]["core.layers.0"] > 0
    for name in watched:
        if name != "core.update":  # which returns a pair, with what it remembers
            assert counts["back"][name] == counts["before"][name] <= counts["there"][name], name
