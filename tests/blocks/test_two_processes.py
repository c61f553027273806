"""Two processes that share a model have what one has: initial values, and weights after some steps."""

import copy
import itertools

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import mythos_blocks as mb
from mythos_blocks.declaring.registry import slot_info
from mythos_blocks.objective import Blended
from tests.blocks import covering

CORE = {
    "injection": "lti_input",
    "depth_signal": {"kind": "learned", "std": 0.1},
    "depth_adapter": {"kind": "depth_lora", "rank": 2},
    "initial_state": "learned",
    "update": "lstm",
    "halting": "act",
    "state_width": 24,
    "interface": "projection",
    "loops": {"kind": "fixed", "num_loops": 3},
}
VOCAB = 41


def made(device="cpu"):
    with torch.device(device):
        return mb.LoopedTransformer(
            VOCAB, width=32, prelude={"depth": 1}, core=CORE, initialization="orthogonal"
        ).double()


def gathered(value):
    value = getattr(value, "data", value)
    return value.full_tensor() if hasattr(value, "full_tensor") else value


def assert_same(model, wanted, **tolerance):
    state = {name.removeprefix("module."): gathered(value) for name, value in model.state_dict().items()}
    assert state.keys() == wanted.state_dict().keys()
    for name, value in wanted.state_dict().items():
        torch.testing.assert_close(state[name], value, msg=lambda m, name=name: f"{name}: {m}", **tolerance)
    unsaved = dict(wanted.named_buffers())
    for name, value in model.named_buffers():
        torch.testing.assert_close(gathered(value), unsaved[name.removeprefix("module.")])


def trained(model, batch):
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(3):
        optimizer.zero_grad()
        out = model(batch[:, step : step + 9])
        loss = F.cross_entropy(out.logits.flatten(0, 1), batch[:, step + 1 : step + 10].flatten())
        (loss + out.auxiliary_loss).backward()
        optimizer.step()
    return model


def gradients_of_all_readouts(model, tokens):
    out = model(tokens[:, :-1], record="states")
    Blended().loss(model, out, tokens[:, 1:]).backward()
    return {name: None if p.grad is None else gathered(p.grad) for name, p in model.named_parameters()}


def check_readouts(tokens):
    """Objectives read states after the forward pass, when layers that are spread by themselves have let weights go."""
    core = {"injection": "lti", "loops": {"kind": "fixed", "num_loops": 3}}
    whole, at_once, by_layer = (
        mb.LoopedTransformer(VOCAB, width=32, prelude={"depth": 1}, core=core, coda={"depth": 2}).double()
        for _ in range(3)
    )
    fully_shard(at_once, reshard_after_forward=False)
    for layer in by_layer.coda.layers:
        fully_shard(layer)
    fully_shard(by_layer)
    for model in (whole, at_once, by_layer):
        model.initialize(3)
    wanted = gradients_of_all_readouts(whole, tokens)
    for model in (at_once, by_layer):
        found = gradients_of_all_readouts(model, tokens)
        for name, gradient in wanted.items():
            torch.testing.assert_close(found[name], gradient, msg=lambda m, name=name: f"{name}: {m}")


def check(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    try:
        wanted = made()
        wanted.initialize(3)

        spread = fully_shard(made())
        spread.initialize(3)
        assert_same(spread, wanted, rtol=0, atol=0)

        for core, initialization in zip(covering.covering(), itertools.cycle(slot_info("initialization").kinds)):
            fields = {"width": covering.WIDTH, "core": core, "initialization": initialization}
            whole, spread = (mb.LoopedTransformer(covering.VOCAB, **fields) for _ in range(2))
            fully_shard(spread).initialize(5)
            whole.initialize(5)
            assert_same(spread, whole, rtol=0, atol=0)

        empty = fully_shard(made("meta"))
        empty.to_empty(device="cpu")
        empty.initialize(3)
        assert_same(empty, wanted, rtol=0, atol=0)

        tokens = torch.randint(VOCAB, (4, 12), generator=torch.Generator().manual_seed(0))
        alone, share = trained(copy.deepcopy(wanted), tokens), tokens[2 * rank : 2 * rank + 2]
        for model in (
            DistributedDataParallel(copy.deepcopy(wanted)),
            DistributedDataParallel(copy.deepcopy(wanted), static_graph=True),
            empty,
        ):
            assert_same(trained(model, share), alone, rtol=1e-6, atol=1e-6)
        check_readouts(tokens)
    finally:
        dist.destroy_process_group()


@pytest.mark.skipif(not dist.is_available(), reason="torch was built without torch.distributed")
def test_two_processes_have_what_one_has(tmp_path):
    torch.multiprocessing.spawn(check, (str(tmp_path),), nprocs=2)
