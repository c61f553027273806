"""What compilers, checkpointing and accelerators make of every layer: one graph, equal gradients, no waiting."""

from __future__ import annotations

import copy
import functools

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter
from torch.utils.checkpoint import checkpoint

import mythos_blocks as mb
from tests.blocks.parts import randomise
from tests.blocks.test_contracts import TOKENS, VOCAB, kinds, mask_of, model_with

IN_ITERATION = kinds(
    "layer",
    "attention",
    "feedforward",
    "norm",
    "depth_attention",
    "depth_signal",
    "depth_adapter",
    "injection",
    "update",
    "halting",
    "kv_policy",
    "initial_state",
    "core",
)

# What a compiled layer sees something of.
IN_LAYER = kinds("layer", "attention", "feedforward", "norm", "depth_attention", "depth_adapter", "kv_policy", "core")

# Further graphs of a layer, by what asks for them; how many does not depend on the loop counts.
MORE_GRAPHS = {
    ("depth_attention", "own_token"): "the first iteration makes the buffer of depths, whose size then varies",
    ("depth_attention", "all_tokens"): "the first iteration makes the buffer of depths, whose size then varies",
    ("layer", "mixture"): "it reads over depth",
    ("core", "hierarchical"): "its nets run at several places of a segment",
    ("kv_policy", "first"): "iterations that write and iterations that read",
    ("kv_policy", "blocks"): "iterations that write and iterations that read",
    ("kv_policy", "modulo"): "iterations that write and iterations that read",
    ("kv_policy", "anchor"): "iterations that write and iterations that read",
}


@torch.no_grad()
@pytest.mark.parametrize("slot, kind", IN_LAYER)
def test_one_graph_of_a_layer_serves_all_loop_counts(slot, kind):
    torch._dynamo.reset()
    model, mask = model_with(slot, kind, num_loops=3).train(), mask_of(slot, kind)
    counts = (1, 2, 3, 7, 12)
    plain = [model(TOKENS, mask, n).logits for n in counts]
    counter, seen = CompileCounter(), []
    for layer in model.core.layers:
        layer.compile(backend=counter)
    for n, logits in zip(counts, plain, strict=True):
        torch.testing.assert_close(model(TOKENS, mask, n).logits, logits)
        seen.append(counter.frame_count)
    assert seen[0] >= 1
    if (slot, kind) in MORE_GRAPHS:
        assert seen[-1] == seen[-2], seen
    else:
        assert seen[-1] == seen[0] == len(model.core.layers), seen


@torch.no_grad()
def test_models_of_one_process_do_not_share_a_limit_of_graphs():
    torch._dynamo.reset()
    counter, seen = CompileCounter(), []
    for width in (8, 16, 24):
        core = {"kind": "hierarchical", "depth": 1, "num_low_cycles": 1, "loops": {"kind": "fixed", "num_loops": 2}}
        model = mb.LoopedTransformer(VOCAB, width=width, core=core).eval()
        model.compile_layers(backend=counter, recompile_limit=1)
        model(TOKENS)
        seen.append(counter.frame_count)
    assert seen == [2, 4, 6]  # both nets of each


@torch.no_grad()
@pytest.mark.parametrize("slot, kind", kinds("attention", "depth_attention", "feedforward", "kv_policy"))
def test_decoding_compiles_nothing_anew_once_it_is_under_way(slot, kind):
    if not mask_of(slot, kind).causal:
        return
    torch._dynamo.reset()
    model = model_with(slot, kind).eval()
    plain, compiled = mb.Decoder(model, 2), copy.deepcopy(model)
    counter = CompileCounter()
    for layer in compiled.core.layers:
        layer.compile(backend=counter)
    decoder = mb.Decoder(compiled, 2)
    torch.testing.assert_close(decoder.prefill(TOKENS), plain.prefill(TOKENS))
    seen = []
    for i in range(6):
        torch.testing.assert_close(decoder.step(TOKENS[:, i]), plain.step(TOKENS[:, i]))
        seen.append(counter.frame_count)
    assert seen[-1] == seen[-4], seen


def gradients(model, mask):
    model.zero_grad()
    out = model(TOKENS, mask, torch.tensor([4, 2]) if model.core.tying == "cycle" else 4)
    loss = out.logits.sin().sum()
    (loss if out.auxiliary_loss is None else loss + out.auxiliary_loss).backward()
    loads = [m.load.tolist() for m in model.modules() if isinstance(m, mb.RoutedExperts)]
    return {name: p.grad for name, p in model.named_parameters()}, loads


def wrapped(layer, form, use_reentrant):
    """A layer that is computed again in the backward pass, in the two ways in which people say so."""
    if form == "forward":
        layer.forward = functools.partial(checkpoint, layer.forward, use_reentrant=use_reentrant)
        return layer

    class Wrapper(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = layer

        def forward(self, x, frame):
            return checkpoint(self.inner, x, frame, use_reentrant=use_reentrant)

    return Wrapper()


@pytest.mark.parametrize("form", ["forward", "module"])
@pytest.mark.parametrize("use_reentrant", [False, True])
@pytest.mark.parametrize("slot, kind", IN_LAYER)
def test_checkpointed_layers_have_the_gradients_of_plain_ones(slot, kind, use_reentrant, form):
    plain, mask = model_with(slot, kind).train(), mask_of(slot, kind)
    if (slot, kind) == ("feedforward", "moe"):
        declared = {"kind": "moe", "balance_weight": 0.1, "z_weight": 0.1}
        core = {"layer": {"feedforward": declared}, "loops": {"kind": "fixed", "num_loops": 3}}
        plain = mb.LoopedTransformer(VOCAB, width=32, core=core).train()
    randomise(plain, std=0.2)
    again = copy.deepcopy(plain)
    for layers in {id(x): x for x in (again.core.layers, getattr(again.core, "high_layers", None)) if x}.values():
        for i, layer in enumerate(layers):
            layers[i] = wrapped(layer, form, use_reentrant)
    wanted, loads = gradients(plain, mask)
    try:
        ours, again_loads = gradients(again, mask)
    except ValueError as error:
        # What leaves a layer otherwise than by its output has no gradient in the reentrant form, which is said.
        assert use_reentrant and "use_reentrant=False" in str(error)
        return
    assert again_loads == loads
    for (name, gradient), other in zip(wanted.items(), ours.values(), strict=True):
        torch.testing.assert_close(other, gradient, rtol=1e-4, atol=1e-5, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("by", ["sequence", "position"])
@pytest.mark.parametrize("window", [None, 2])
@pytest.mark.parametrize("slot, kind", IN_ITERATION)
def test_counts_that_the_host_has_are_not_asked_of_the_device(slot, kind, window, by):
    """On the meta device there is nobody to ask: whoever waits for a number fails."""
    loops = {"kind": "fixed", "num_loops": 3, "gradient_window": window}
    with torch.device("meta"):
        model = model_with(slot, kind, loops=loops).train()
    if not mask_of(slot, kind).causal and by == "position":
        return
    counts = torch.tensor([3, 1]) if by == "sequence" else torch.arange(18).view(2, 9) % 4 + 1
    out = model(TOKENS.to("meta"), mask_of(slot, kind), counts)
    assert out.num_loops == int(counts.max()) == len(out.halting.weights)
    out.logits.sum().backward()
