"""Models that are built without memory: whatever gives them memory and weights, nothing is left as it was found there."""

import copy

import pytest
import torch
from torch import nn

import mythos_blocks as mb
from mythos_blocks.checkpoints import assign, copy_into, load_into, save
from mythos_blocks.declaring.registry import slot_info
from tests.blocks.parts import CONTEXT, NEEDED, kinds, model, randomise, tokens
from tests.blocks.test_contracts import BLOCKS, TOKENS, learns, mask_of, model_with

MODELS = [one for one in BLOCKS if learns(*one) or one[0] == "exit"]


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    """Memory that nobody has written to holds NaN, or 7 where there is none."""
    plain = torch.empty_like

    def empty_like(*args, **options):
        tensor = plain(*args, **options)
        return tensor if tensor.is_meta else tensor.fill_(torch.nan if tensor.is_floating_point() else 7)

    monkeypatch.setattr(torch, "empty_like", empty_like)


def on_meta(made):
    with torch.device("meta"):
        return made.spec.build(*made.context).train(made.training)


def same(one, other):
    """Equal to the last bit, and shared alike."""
    mine, its = ([*m.named_parameters(), *m.named_buffers()] for m in (one, other))
    assert [name for name, _ in mine] == [name for name, _ in its]
    for (name, a), (_, b) in zip(mine, its, strict=True):
        assert a.dtype is b.dtype and a.device == b.device and torch.equal(a, b), name


def trained(slot, kind):
    made = model_with(slot, kind).eval()
    randomise(made)
    for name, buffer in made.named_buffers():
        if name in made.state_dict():
            buffer.normal_(generator=torch.Generator().manual_seed(0))
    return made


def emptied(made):
    return on_meta(made).to_empty(device="cpu")


def strictly(made, tmp_path):
    other = emptied(made)
    other.load_state_dict(made.state_dict())
    return other


def assigned(made, tmp_path):
    other = on_meta(made)
    other.load_state_dict(copy.deepcopy(made.state_dict()), assign=True)
    return other


def assigned_by_us(made, tmp_path):
    return assign(on_meta(made), copy.deepcopy(made.state_dict()))


def copied(made, tmp_path):
    other = emptied(made)
    copy_into(other, made.state_dict())
    return other


def from_a_file(made, tmp_path):
    other = emptied(made)
    save(made, tmp_path / "model.safetensors")
    load_into(other, tmp_path / "model.safetensors")
    return other


def in_a_wrapper(made, tmp_path):
    other = nn.Sequential(on_meta(made)).to_empty(device="cpu")
    other.load_state_dict(nn.Sequential(made).state_dict())
    return other[0]


def from_memory(made, tmp_path):
    other = copy.deepcopy(made).to_empty(device="cpu")
    other.load_state_dict(made.state_dict())
    return other


WAYS = [strictly, assigned, assigned_by_us, copied, from_a_file, in_a_wrapper, from_memory]


@pytest.mark.parametrize("slot, kind", MODELS)
@torch.no_grad()
def test_a_model_without_memory_becomes_the_one_whose_weights_it_gets(slot, kind, tmp_path):
    made, mask = trained(slot, kind), mask_of(slot, kind)
    logits = made(TOKENS, mask).logits
    for way in WAYS:
        other = way(made, tmp_path)

        same(other, made)
        assert torch.equal(other(TOKENS, mask).logits, logits), way.__name__
        assert other.core.loops.sample(torch.Generator().manual_seed(1)) == made.core.loops.sample(
            torch.Generator().manual_seed(1)
        )


@pytest.mark.parametrize("slot, kind", kinds())
@torch.no_grad()
def test_a_component_without_memory_becomes_the_one_whose_weights_it_gets(slot, kind):
    made = slot_info(slot).kinds[kind].Spec(**NEEDED.get((slot, kind), {})).build(*CONTEXT.get(slot, (32,)))
    if not isinstance(made, nn.Module):
        return
    randomise(made)

    other = emptied(made)
    other.load_state_dict(made.state_dict())

    same(other, made)


@pytest.mark.parametrize("slot, kind", MODELS)
def test_initial_values_do_not_depend_on_what_was_there(slot, kind):
    fresh = model_with(slot, kind)
    used = trained(slot, kind)

    for made in (emptied(fresh), used):
        made.initialize(seed=0)
        same(made, fresh)


def test_experts_have_had_no_tokens_after_initialisation():
    made = model(layer={"feedforward": "moe"}).train()
    made(tokens())
    experts = made.core.layers[0].feedforward
    experts.bias += 1
    assert experts.load.any()

    made.initialize(seed=0)

    assert not experts.load.any() and not experts.bias.any()


def test_a_model_that_moves_keeps_what_its_experts_have_had():
    made = model(layer={"feedforward": "moe"}).train()
    made(tokens())
    load = made.core.layers[0].feedforward.load.clone()

    moved = made.to(torch.bfloat16).cpu()

    assert load.any() and torch.equal(moved.core.layers[0].feedforward.load, load)


@pytest.mark.parametrize("recurse", [True, False])
def test_a_part_that_gets_memory_alone_computes_its_own(recurse):
    made = model(depth_signal="sinusoidal")
    other = on_meta(made)

    other.core.depth_signal.to_empty(device="cpu", recurse=recurse)

    assert torch.equal(other.core.depth_signal.frequencies, made.core.depth_signal.frequencies)
    assert other.embedding.weight.is_meta


def test_exact_buffers_are_computed_exactly_where_memory_is_half():
    other = on_meta(model(depth_signal="sinusoidal"))

    other._apply(
        lambda x: torch.empty_like(x, device="cpu", dtype=torch.bfloat16 if x.is_floating_point() else x.dtype)
    )

    assert other.embedding.weight.dtype is torch.bfloat16
    assert torch.equal(
        other.core.depth_signal.frequencies, model(depth_signal="sinusoidal").core.depth_signal.frequencies
    )


def test_only_the_parts_that_get_weights_leave_the_meta_device():
    made = model(depth_signal="sinusoidal", layer={"norm": "adaptive"})
    other = on_meta(made)
    weights = {name: x for name, x in made.state_dict().items() if name.startswith("core.layers.")}

    other.load_state_dict(weights, strict=False, assign=True)

    assert other.embedding.weight.is_meta
    norm = made.core.layers[0].attention_norm.frequencies
    assert torch.equal(other.core.layers[0].attention_norm.frequencies, norm)


@pytest.mark.parametrize("assign", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_weights_that_are_one_stay_one(tied, assign):
    made = mb.LoopedTransformer(40, width=32, tie_embeddings=tied)
    other = on_meta(made) if assign else emptied(made)

    other.load_state_dict(made.state_dict(), assign=assign)

    assert (other.head.weight is other.embedding.weight) is tied
    assert len(list(other.parameters())) == len(list(made.parameters()))


def test_layers_that_are_one_stay_one():
    made = mb.LoopedTransformer(40, width=32, core={"kind": "hierarchical", "shared": True}).eval()
    randomise(made)
    weights = {name: x for name, x in made.state_dict().items() if ".high_layers." not in name}
    other = on_meta(made)

    other.load_state_dict(weights, assign=True)

    assert other.core.high_layers[0].attention.q.weight is other.core.layers[0].attention.q.weight
    assert torch.equal(other(TOKENS).logits, made(TOKENS).logits)


def test_one_name_of_a_shared_weight_is_enough_and_two_must_agree():
    made, other = model(), model()
    randomise(made)
    weights = made.state_dict()
    head = weights.pop("head.weight")

    other.load_state_dict(weights)

    assert torch.equal(other.head.weight, head)
    with pytest.raises(
        RuntimeError, match=r"'embedding.weight' and 'head.weight' are one tensor in the model, and differ"
    ):
        other.load_state_dict({**weights, "head.weight": head + 1})


def test_diverged_weights_load():
    made, other = model(), model()
    with torch.no_grad():
        made.embedding.weight.fill_(torch.nan)

    other.load_state_dict(copy.deepcopy(made.state_dict()))

    assert other.embedding.weight.isnan().all()


def test_weights_do_not_go_into_a_model_without_memory():
    made = model()

    with pytest.raises(
        ValueError, match=r"'embedding.weight' is on the meta device, .* call model.to_empty\(device=...\)"
    ):
        copy_into(on_meta(made), made.state_dict())


def test_a_buffer_that_the_declaration_does_not_make_is_refused():
    made = model(depth_signal="sinusoidal")
    made.core.depth_signal.register_buffer("seen", torch.zeros(3), persistent=False)

    with pytest.raises(
        ValueError, match=r"depth_signal 'sinusoidal': the buffer 'seen' is not saved, and its constructor"
    ):
        made.to_empty(device="cpu")
