"""No path reads past a module: what is adapted, hooked, parametrised or quantised acts on every path alike."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

import mythos_blocks as mb
from tests.blocks.parts import VOCAB, WIDTH, kinds, randomise, tokens

CORE = {
    "layer": {"attention": {"kind": "mla", "kv_rank": 8, "q_rank": 8, "nope_dim": 8, "rope_dim": 8, "value_dim": 8}},
    "injection": "lti",
    "halting": {"kind": "act", "halted_state": "frozen", "initial_bias": -0.5},
    "loops": {"kind": "fixed", "num_loops": 4},
}


class Adapted(nn.Module):
    """A linear with a term of its own, as adapters wrap them."""

    def __init__(self, linear):
        super().__init__()
        self.linear = linear
        self.term = nn.Linear(linear.in_features, linear.out_features, bias=False)
        nn.init.normal_(self.term.weight, std=0.3, generator=torch.Generator().manual_seed(1))

    @property
    def weight(self):
        return self.linear.weight

    def forward(self, x):
        return self.linear(x) + self.term(x)


def mixed(x, dim=-1):
    """Another vector, not a multiple of it, which norms would take out."""
    return x + 0.5 * x.roll(1, dim)


class Mixed(nn.Module):
    def forward(self, weight):
        return mixed(weight, 0)


def wrap(parent, name, how):
    module = getattr(parent, name)
    if how == "adapter":
        setattr(parent, name, Adapted(module))
    elif how == "hook":
        module.register_forward_hook(lambda module, args, out: mixed(out))
    elif how == "forward":
        original = module.forward
        module.forward = lambda *args: mixed(original(*args))
    else:
        parametrize.register_parametrization(module, "weight", Mixed())


def leaves(model):
    return [
        (name.rpartition(".")[0], name.rpartition(".")[2])
        for name, module in model.named_modules()
        if name.startswith("core.") and isinstance(module, nn.Linear | mb.RMSNorm)
    ]


def made(**core):
    model = mb.LoopedTransformer(VOCAB, width=WIDTH, core={**CORE, **core}).eval()
    randomise(model, std=0.2)
    return model


@torch.no_grad()
@pytest.mark.parametrize("how", ["adapter", "hook", "forward", "parametrization"])
@pytest.mark.parametrize("parent, name", leaves(made()))
def test_a_wrapped_module_acts_on_every_path_alike(parent, name, how):
    model, ids = made(), tokens(2, 9)
    before = model(ids).logits
    module = model.get_submodule(parent)
    if how == "adapter" and not isinstance(getattr(module, name), nn.Linear):
        return
    wrap(module, name, how)
    whole = model(ids).logits
    assert not torch.allclose(whole, before, atol=1e-4), "it acts"
    torch.testing.assert_close(model(ids, compact=False).logits, whole, rtol=1e-4, atol=1e-5)
    decoder = mb.Decoder(model, 2)
    assert decoder.exact
    parts = [decoder.advance(part).logits for part in ids.split([6, 1, 1, 1], 1)]
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("absorb", [False, True])
@pytest.mark.parametrize("how", ["adapter", "hook", "forward", "parametrization"])
def test_a_wrapped_expansion_acts_in_graphs_too(how, absorb):
    torch._dynamo.reset()
    model, ids = made(), tokens(2, 5)
    attention = model.core.layers[0].attention
    wrap(attention, "kv_up", how)
    attention.absorb = absorb  # which it then does not
    whole = model(ids, iterations=1).logits

    class Logits(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, ids):
            return self.model(ids, iterations=1).logits

    compiled = torch.compile(model, backend="eager")(ids, iterations=1).logits
    exported = torch.export.export(model, (ids, None, 1), strict=False).module()(ids, None, 1).logits
    for logits in (compiled, exported, torch.jit.trace(Logits(), (ids,), check_trace=False)(ids)):
        torch.testing.assert_close(logits, whole, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_quantised_linears_act_on_every_path_alike():
    model, ids = made(), tokens(2, 9)
    before = model(ids).logits
    torch.ao.quantization.quantize_dynamic(model.core, {nn.Linear}, torch.qint8, inplace=True)
    whole = model(ids).logits
    assert type(model.core.layers[0].attention.kv_up) is not nn.Linear and not torch.equal(whole, before)
    decoder = mb.Decoder(model, 2)
    parts = [decoder.advance(part).logits for part in ids.split([6, 1, 1, 1], 1)]
    # Activations are quantised by the range of what comes together, so parts are near the whole and not equal to it.
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=0, atol=0.1 * float(whole.std()))


@torch.no_grad()
def test_low_rank_updates_of_the_latents_expansion_act_in_decoding():
    model, ids = made(depth_adapter={"kind": "loop_lora", "on": ["attention.kv_up"]}), tokens(2, 9)
    with mb.knocked_out(model.core, "depth_adapter"):
        without = model(ids).logits
    whole, decoder = model(ids).logits, mb.Decoder(model, 2)
    assert not torch.allclose(whole, without, atol=1e-3)
    parts = [decoder.advance(part).logits for part in ids.split([6, 1, 1, 1], 1)]
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-4, atol=1e-5)


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
