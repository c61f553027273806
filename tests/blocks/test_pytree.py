"""What a forward pass returns, as pytrees: nothing of it is lost, and every gradient is found."""

import io
from dataclasses import dataclass, fields, is_dataclass

import pytest
import torch
import torch.multiprocessing as multiprocessing
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils import _pytree as pytree

import mythos_blocks as mb
from tests.blocks.parts import model, randomise, tokens
from tests.blocks.test_contracts import BLOCKS, TOKENS, learns, mask_of, model_with

MODELS = [one for one in BLOCKS if learns(*one) or one[0] == "exit"]
REST = (mb.Frame, mb.frame.Memory)


def walk(value, path=()):
    """Every tensor in dataclasses, lists, tuples and mappings, by path; frames and memories aside."""
    if isinstance(value, Tensor):
        yield path, value
    elif is_dataclass(value) and not isinstance(value, REST):
        for field in fields(value):
            yield from walk(getattr(value, field.name), (*path, field.name))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from walk(item, (*path, key))
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from walk(item, (*path, i))


@pytest.mark.parametrize("slot, kind", MODELS)
@pytest.mark.parametrize("training", [True, False])
def test_flattening_finds_every_tensor_and_unflattening_puts_it_back(slot, kind, training):
    out = model_with(slot, kind).train(training)(TOKENS, mask_of(slot, kind), 3, record=True)

    leaves, structure = pytree.tree_flatten(out)
    again = pytree.tree_unflatten(leaves, structure)

    found = dict(walk(out))
    assert all(isinstance(leaf, Tensor) for leaf in leaves)
    assert {id(leaf) for leaf in leaves} == {id(tensor) for tensor in found.values()}
    assert len(leaves) > 5 and any(leaf.requires_grad for leaf in leaves)
    assert {path: id(tensor) for path, tensor in walk(again)} == {path: id(tensor) for path, tensor in found.items()}
    assert type(again) is type(out) and type(again.state) is type(out.state)
    assert again.num_loops == out.num_loops and again.frame is out.frame and again.state.memory is out.state.memory


def test_outputs_of_one_shape_are_of_one_structure():
    made = model(halting="act")
    one, other = made(tokens(seed=0)), made(tokens(seed=1))

    together = pytree.tree_map(torch.add, one, other)

    assert (
        pytree.tree_structure(one)
        == pytree.tree_structure(other)
        != pytree.tree_structure(made(tokens(), iterations=1))
    )
    assert hash(pytree.tree_structure(one)) == hash(pytree.tree_structure(other))
    assert torch.equal(together.state.halting.mass, one.state.halting.mass + other.state.halting.mass)


def test_parts_are_known_by_their_names():
    paths = [pytree.keystr(path) for path, _ in pytree.tree_flatten_with_path(model()(tokens()))[0]]

    assert ".logits" in paths and ".state.halting.readout" in paths


def test_a_state_of_somebody_else_s_class_is_looked_into():
    @dataclass
    class Sequel(mb.HaltingState):
        more: Tensor | None = None

    out = model()(tokens())
    out.halting = Sequel(**vars(out.halting), more=torch.ones(2, requires_grad=True))

    leaves, structure = pytree.tree_flatten(out)

    assert any(leaf is out.halting.more for leaf in leaves)
    assert type(pytree.tree_unflatten(leaves, structure).halting) is Sequel


@torch.no_grad()
def test_an_exported_program_is_saved_with_what_it_returns():
    made = model(depth_signal="learned").eval()
    program, file = torch.export.export(made, (tokens(), None, 2)), io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)

    out = torch.export.load(file).module()(tokens(seed=1), None, 2)

    wanted = made(tokens(seed=1), None, 2)
    assert type(out) is mb.ModelOutput and out.num_loops == 2 and out.frame is None
    torch.testing.assert_close(out.logits, wanted.logits)
    torch.testing.assert_close(out.halting.readout, wanted.halting.readout)


def train_apart(rank, made, batches, store, gradients):
    """One of two ranks, each with a batch of its own."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    parallel = DistributedDataParallel(made, static_graph=True)
    out = parallel(batches[rank])
    out.logits.square().mean().backward()
    if rank == 0:
        torch.save([parameter.grad for parameter in made.parameters()], gradients)
    torch.distributed.destroy_process_group()


def test_a_spawned_process_gets_the_model_and_a_static_graph_its_first_gradients(tmp_path):
    made = model(injection="lti", layer={"feedforward": "moe"}, depth_adapter="loop_lora").train()
    randomise(made)
    batches = tokens(seed=1), tokens(seed=2)

    multiprocessing.spawn(train_apart, (made, batches, tmp_path / "store", tmp_path / "gradients"), nprocs=2)

    for batch in batches:
        (made(batch).logits.square().mean() / 2).backward()
    together = torch.load(tmp_path / "gradients")
    for (name, parameter), gradient in zip(made.named_parameters(), together, strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-4, atol=1e-6, msg=name)
