"""No path reads past a module: what is adapted, hooked, parametrised or quantised acts on every path alike."""

import copy

import pytest
import torch
from torch import nn

import mythos_blocks as mb
from tests.blocks.covering import build, covering, mask_of
from tests.blocks.covering import tokens as ids_of
from tests.blocks.parts import VOCAB, WIDTH, kinds, randomise, tokens
from tests.blocks.wrapping import WAYS, leaves, mixed, wrap, wrap_all

CORE = {
    "layer": {"attention": {"kind": "mla", "kv_rank": 8, "q_rank": 8, "nope_dim": 8, "rope_dim": 8, "value_dim": 8}},
    "injection": "lti",
    "halting": {"kind": "act", "halted_state": "frozen", "initial_bias": -0.5},
    "loops": {"kind": "fixed", "num_loops": 4},
}
CORES = covering()
every_kind = pytest.mark.parametrize("core", CORES, ids=lambda core: f"{core['kind']}-{core['loops']['kind']}")


def made(**core):
    model = mb.LoopedTransformer(VOCAB, width=WIDTH, core={**CORE, **core}).eval()
    randomise(model, std=0.2)
    return model


def assert_alike(model, ids, mask=None):
    """Plain, compact and cached passes give the same; returns it."""
    whole = model(ids, mask).logits
    torch.testing.assert_close(model(ids, mask, compact=False).logits, whole, rtol=1e-4, atol=1e-4)
    decoder = mb.Decoder(model, len(ids))
    if decoder.exact and (mask is None or mask.causal):
        parts = [decoder.advance(part).logits for part in ids.split([ids.shape[1] - 1, 1], 1)]
        torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-4, atol=1e-4)
    return whole


@torch.no_grad()
@pytest.mark.parametrize("way", WAYS)
@every_kind
def test_wrapped_modules_act_on_every_path_alike(core, way):
    assert_alike(wrap_all(build(core).eval(), way), ids_of(2), mask_of(core))


@torch.no_grad()
def test_each_module_acts_by_itself_on_every_path():
    plain, ids = made(), tokens(2, 9)
    before = plain(ids).logits
    for i in range(len(leaves(plain, "hook"))):
        model = copy.deepcopy(plain)
        wrap(*leaves(model, "hook")[i], "hook")
        assert not torch.allclose(assert_alike(model, ids), before, atol=1e-4), leaves(plain, "hook")[i]


class Logits(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids):
        return self.model(ids, iterations=2).logits


@torch.no_grad()
@pytest.mark.parametrize("way", WAYS)
def test_wrapped_modules_act_in_graphs_too(way):
    torch._dynamo.reset()
    quantised = {"layer": {**CORE["layer"], "norm": "adaptive"}, "depth_adapter": "loop_lora"}
    model = Logits(wrap_all(made(halting="none", **(quantised if "quantised" in way else {})), way))
    model.model.core.layers[0].attention.absorb = True  # which it then does not
    ids = tokens(2, 5)
    whole = model(ids)
    exported = torch.export.export(model, (ids,), strict=False).module()
    for traced in (torch.compile(model, backend="eager"), exported):
        torch.testing.assert_close(traced(ids), whole, rtol=1e-4, atol=1e-5)


@torch.no_grad()
@every_kind
def test_linears_that_torch_quantises_act_on_every_path_alike(core):
    # To half precision: whole numbers have the range of all activations that come together, which paths change.
    model = torch.ao.quantization.quantize_dynamic(build(core).eval(), {nn.Linear}, torch.float16)
    assert type(model.head) is not nn.Linear
    assert_alike(model, ids_of(2), mask_of(core))


@torch.no_grad()
def test_linears_that_torch_quantises_act_in_compiled_models():
    torch._dynamo.reset()
    model, ids = Logits(made(halting="none")), tokens(2, 5)
    torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, torch.qint8, inplace=True)
    torch.testing.assert_close(torch.compile(model, backend="eager")(ids), model(ids), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_low_rank_updates_of_the_latents_expansion_act_in_decoding():
    model, ids = made(depth_adapter={"kind": "loop_lora", "on": ["attention.kv_up"]}), tokens(2, 9)
    with mb.knocked_out(model.core, "depth_adapter"):
        without = model(ids).logits
    assert not torch.allclose(assert_alike(model, ids), without, atol=1e-3)


@torch.no_grad()
def test_low_rank_updates_by_loop_act_on_what_replaces_a_linear():
    model, ids = made(depth_adapter={"kind": "loop_lora", "on": ["attention.kv_up"]}), tokens(2, 9)
    wrap(model.core.layers[0].attention, "kv_up", "quantised module")
    with mb.knocked_out(model.core, "depth_adapter"):
        without = model(ids).logits
    assert not torch.allclose(assert_alike(model, ids), without, atol=1e-3)
    del model.core.layers[0].attention.kv_up
    with pytest.raises(ValueError, match="'0.attention.kv_up', which has updates by loop, is not there"):
        model(ids)


@torch.no_grad()
@pytest.mark.parametrize("replaced", ["before compiling", "after compiling", "after a compiled pass"])
def test_low_rank_updates_by_loop_act_in_a_compiled_model_whose_linear_was_replaced(replaced):
    torch._dynamo.reset()
    model, ids = made(depth_adapter={"kind": "loop_lora", "on": ["attention.kv_up"]}), tokens(2, 9)
    plain = copy.deepcopy(model)
    compiled = torch.compile(model, backend="eager")
    if replaced == "after a compiled pass":
        compiled(ids)
    for each in (model, plain):
        wrap(each.core.layers[0].attention, "kv_up", "quantised module")
    if replaced == "before compiling":
        compiled = torch.compile(model, backend="eager")
    torch.testing.assert_close(compiled(ids).logits, plain(ids).logits, rtol=1e-4, atol=1e-5)


OWN_HOOKS = ("injection", "update", "depth_signal", "depth_adapter", "halting")


@torch.no_grad()
@pytest.mark.parametrize("slot, kind", [(s, k) for s, k in kinds(*OWN_HOOKS) if k not in ("token_choice",)])
def test_hooks_on_a_part_of_the_loop_fire_in_every_iteration(slot, kind):
    model = mb.LoopedTransformer(
        VOCAB, width=WIDTH, core={"loops": {"kind": "fixed", "num_loops": 3}, slot: kind}
    ).eval()
    randomise(model, std=0.2)
    seen = []
    before = model(tokens(2, 5)).logits
    getattr(model.core, slot).register_forward_hook(lambda module, args, out: seen.append(out))
    out = model(tokens(2, 5))
    assert len(seen) == out.num_loops
    torch.testing.assert_close(out.logits, before)


@torch.no_grad()
@pytest.mark.parametrize("kind", [kind for _, kind in kinds("injection")])
def test_a_hook_on_an_injection_changes_what_the_core_reads_on_every_path(kind):
    model, ids = made(injection=kind), tokens(2, 9)
    before = model(ids).logits
    model.core.injection.register_forward_hook(lambda module, args, out: mixed(out))
    whole = model(ids).logits
    assert not torch.allclose(whole, before, atol=1e-4)
    torch.testing.assert_close(model(ids, compact=False).logits, whole, rtol=1e-4, atol=1e-5)
    decoder = mb.Decoder(model, 2)
    parts = [decoder.advance(part).logits for part in ids.split([6, 1, 1, 1], 1)]
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_hooks_on_an_exit_fire_in_every_iteration():
    model = mb.LoopedTransformer(
        VOCAB, width=WIDTH, core={"exit": "kl", "loops": {"kind": "fixed", "num_loops": 3}}
    ).eval()
    seen = []
    model.core.exit.register_forward_hook(lambda module, args, out: seen.append(out))
    assert model(tokens(2, 5)).num_loops == len(seen) > 0
