"""Weights that are there in their own module's ``forward`` alone, as offloaders and FSDP2 have them, change nothing."""

import functools

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard

import mythos_blocks as mb
from tests.blocks.covering import POSITIONS, build, covering, mask_of, tokens

every_kind = pytest.mark.parametrize("core", covering(), ids=lambda core: f"{core['kind']}-{core['loops']['kind']}")


def owners(model):
    """The modules with parameters of their own, and what these hold."""
    return [(m, dict(own)) for m in model.modules() if (own := list(m.named_parameters(recurse=False)))]


def hook(module, here, gone):
    module.register_forward_pre_hook(lambda module, args: here())
    module.register_forward_hook(lambda module, args, out: gone())


def replace(module, here, gone):
    """As accelerate does: the module's own ``forward`` is another one."""
    forward = module.forward

    @functools.wraps(forward)
    def fetching(*args, **kwargs):
        here()
        try:
            return forward(*args, **kwargs)
        finally:
            gone()

    module.forward = fetching


def offload(model, how):
    """``hook``: between calls the weights are nothing; ``replace``: they are on the meta device."""
    for module, held in owners(model):
        numbers = {name: parameter.data for name, parameter in held.items()}

        def here(module=module, numbers=numbers):
            for name, value in numbers.items():
                module._parameters[name] = nn.Parameter(value, requires_grad=False)

        def gone(module=module, numbers=numbers):
            for name, value in numbers.items():
                empty = torch.full_like(value, torch.nan) if how is hook else value.to("meta")
                module._parameters[name] = nn.Parameter(empty, requires_grad=False)

        how(module, here, gone)
        gone()


@torch.no_grad()
@pytest.mark.parametrize("how", [hook, replace])
@every_kind
def test_weights_that_are_fetched_for_a_modules_forward_serve_every_path(core, how):
    plain, ids, mask = build(core).eval(), tokens(2), mask_of(core)
    offloaded = build(core).eval()
    offload(offloaded, how)
    for compact in (True, False):
        wanted = plain(ids, mask, compact=compact).logits
        torch.testing.assert_close(offloaded(ids, mask, compact=compact).logits, wanted, rtol=1e-4, atol=1e-5)
    if mask.causal:
        ours, theirs = mb.Decoder(offloaded, 2), mb.Decoder(plain, 2)
        for part in ids.split([POSITIONS - 2, 1, 1], 1):
            torch.testing.assert_close(ours.advance(part).logits, theirs.advance(part).logits, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def alone():
    """A process group of one, in which FSDP2 gathers and frees weights as among many."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def trained(model, core):
    """What a step leaves: the output, and the gradients."""
    torch.manual_seed(0)
    model.zero_grad()
    out = model(tokens(2), mask_of(core), 2, record=True)
    (out.logits.sin().sum() + (0 if out.auxiliary_loss is None else out.auxiliary_loss)).backward()
    return out, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@every_kind
def test_parts_that_are_sharded_one_by_one_do_what_the_whole_does(core, alone):
    plain, sharded = build(core).double().train(), build(core).double().train()
    for module, _ in reversed(owners(sharded)):
        if module not in (sharded.embedding, sharded.head):
            fully_shard(module)
    fully_shard(sharded)
    (out, wanted), (other, ours) = trained(plain, core), trained(sharded, core)
    assert other.tape.keys() == out.tape.keys() and ours.keys() == wanted.keys()
    torch.testing.assert_close(other.losses, out.losses)
    for name, gradient in wanted.items():
        torch.testing.assert_close(
            ours[name].full_tensor(), gradient, rtol=1e-6, atol=1e-8, msg=lambda m, name=name: f"{name}: {m}"
        )
