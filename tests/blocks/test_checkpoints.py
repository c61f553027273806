"""Our own files: a model from a file alone, and weights into a model."""

import json
import sys

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file, save_model

import mythos_blocks as mb
from mythos_blocks import checkpoints
from mythos_blocks.checkpoints.digest import DIGEST, digest_of
from mythos_blocks.checkpoints.weights import unshared
from tests.blocks.parts import EVERYTHING, VOCAB, WIDTH, randomise, tokens
from tests.blocks.test_contracts import CORE_SLOTS, IN_LAYER, kinds, mask_of, model_with

PARTS = sorted({*kinds(*CORE_SLOTS, *IN_LAYER, "core", "layer")})


def everything(**fields):
    core = {**EVERYTHING, "loops": {"kind": "fixed", "num_loops": 3}, "kv_policy": "per_loop"}
    model = mb.LoopedTransformer(VOCAB, width=WIDTH, prelude={"depth": 1}, core=core, coda={"depth": 2}, **fields)
    randomise(model)
    with torch.no_grad():
        model.core.layers[0].feedforward.bias.normal_()
    return model.eval()


def same(one, other):
    """Equal to the last bit, buffers that are not saved among them."""
    for mine, its in ((one.state_dict(), other.state_dict()), (dict(one.named_buffers()), dict(other.named_buffers()))):
        assert mine.keys() == its.keys()
        for name in mine:
            assert mine[name].dtype is its[name].dtype and torch.equal(mine[name], its[name]), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("tied", [True, False])
@torch.no_grad()
def test_a_file_alone_makes_the_model_again(tmp_path, dtype, tied):
    model = everything(tie_embeddings=tied).to(dtype)

    checkpoints.save(model, tmp_path / "model.safetensors")
    again = checkpoints.load_model(tmp_path / "model.safetensors")

    same(again, model)
    assert again.spec == model.spec and again.context == model.context and not again.training
    assert (again.head.weight is again.embedding.weight) is tied
    assert again.core.layers[0].feedforward.bias.any(), "a buffer that training moves"
    assert torch.equal(again(tokens()).logits, model(tokens()).logits)
    assert [name for name, _ in again.named_parameters()] == [name for name, _ in model.named_parameters()]


@pytest.mark.parametrize("slot, kind", PARTS)
@torch.no_grad()
def test_every_component_comes_back(tmp_path, slot, kind):
    model = model_with(slot, kind) if slot != "layer" else model_with("norm", "rms", layer=kind)
    randomise(model)
    batch = tokens(positions=9)

    checkpoints.save(model, tmp_path / "model.safetensors")
    again = checkpoints.load_model(tmp_path / "model.safetensors")

    same(again, model)
    wanted = model.eval()(batch, mask_of(slot, kind), iterations=2).logits
    assert torch.equal(again(batch, mask_of(slot, kind), iterations=2).logits, wanted)


@torch.no_grad()
def test_a_loaded_model_trains_and_shares_nothing_with_the_file(tmp_path):
    model, path = everything(), tmp_path / "model.safetensors"
    checkpoints.save(model, path)

    again = checkpoints.load_model(path).train()
    with torch.enable_grad():
        again(tokens()).logits.square().mean().backward()
    torch.optim.SGD(again.parameters(), lr=0.1).step()

    assert all(parameter.requires_grad for parameter in again.parameters())
    same(checkpoints.load_model(path), model)
    assert not torch.equal(again.embedding.weight, model.embedding.weight)


def test_a_model_is_loaded_without_drawing_weights(tmp_path, monkeypatch):
    checkpoints.save(everything(), tmp_path / "model.safetensors")
    monkeypatch.setattr(mb.LoopedTransformer, "initialize", lambda *args, **kwargs: pytest.fail("drawn"))

    model = checkpoints.load_model(tmp_path / "model.safetensors")

    assert {tensor.device.type for tensor in model.state_dict().values()} == {"cpu"}
    assert torch.nn.Linear(2, 2).weight.device.type == "cpu", "modules that are built later have weights again"


def test_the_file_is_plain_safetensors_with_the_declaration_in_its_metadata(tmp_path):
    model, path = everything(), tmp_path / "model.safetensors"
    checkpoints.save(model, path, {"step": "300"})

    with safe_open(path, framework="pt") as file:
        names, declared = set(file.keys()), json.loads(file.metadata()["mythos_blocks"])

    assert names == set(unshared(model)) and "head.weight" not in names and "embedding.weight" in names
    assert declared["model"] == json.loads(model.spec.model_dump_json()) and declared["context"] == [VOCAB]
    read = checkpoints.load(path)
    assert read.notes == {"step": "300"} and read.spec == model.spec and set(read.tensors) == names
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.safetensors"]


@torch.no_grad()
def test_weights_go_into_a_model_that_is_there_and_keep_its_dtype(tmp_path):
    model, path = everything(), tmp_path / "model.safetensors"
    other = model.spec.build(VOCAB)
    for written in (lambda: checkpoints.save(model, path), lambda: save_model(model, path)):
        randomise(other, seed=9)
        written()

        checkpoints.load_into(other, path)

        same(other, model)
    half = other.to(torch.bfloat16)
    checkpoints.load_into(half, path)
    assert half.embedding.weight.dtype is torch.bfloat16
    torch.testing.assert_close(half.embedding.weight.float(), model.embedding.weight, rtol=1e-2, atol=1e-3)


def altered(path, change):
    """The file with other tensors and the same metadata, as whoever wrote it so would have."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, {**metadata, DIGEST: digest_of(tensors, metadata)})


@pytest.mark.parametrize("load", ["model", "into"])
@pytest.mark.parametrize(
    "change, message",
    [
        (lambda x: x.pop("norm.weight"), "'norm.weight' is missing; nearest: .*norm.weight"),
        (
            lambda x: x.update({"norm.weigth": torch.ones(WIDTH)}),
            "the model has no 'norm.weigth'; nearest: norm.weight",
        ),
        (
            lambda x: x.update({"core.layers.0.feedforward.bias": torch.zeros(3)}),
            r"'core.layers.0.feedforward.bias' has shape \(3,\), and the model's is \(8,\)",
        ),
        (
            lambda x: x.update({"head.weight": x["embedding.weight"] + 1}),
            "'embedding.weight' and 'head.weight' are one tensor in the model, and differ here",
        ),
    ],
)
def test_every_name_is_accounted_for(tmp_path, load, change, message):
    model, path = everything(), tmp_path / "model.safetensors"
    checkpoints.save(model, path)
    altered(path, change)

    with pytest.raises(ValueError, match=message):
        checkpoints.load_model(path) if load == "model" else checkpoints.load_into(model, path)


def test_files_that_hold_no_model_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=r"holds weights and no declaration; build the model, then load_into"):
        checkpoints.load_model(path)
    save_file({"x": torch.zeros(1)}, path, {"mythos_blocks": json.dumps({"version": 2})})
    with pytest.raises(ValueError, match="is of version 2; this package reads up to 1"):
        checkpoints.load_model(path)
    path.write_bytes(b"no tensors")
    with pytest.raises(ValueError, match="is not a safetensors file"):
        checkpoints.load_model(path)
    with pytest.raises(FileNotFoundError):
        checkpoints.load_model(tmp_path / "none.safetensors")


def test_an_unknown_component_is_named(tmp_path):
    path = tmp_path / "model.safetensors"
    checkpoints.save(everything(), path)
    with safe_open(path, framework="pt") as file:
        text = file.metadata()["mythos_blocks"].replace('"lti"', '"ltx"')
    save_file(load_file(path), path, {"mythos_blocks": text})

    with pytest.raises(ValueError, match="unknown injection 'ltx'; did you mean 'lti'"):
        checkpoints.load_model(path)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    model, path = everything(), tmp_path / "model.safetensors"
    checkpoints.save(model, path)
    before = path.read_bytes()

    with monkeypatch.context() as patched:
        patched.setattr("os.replace", lambda *args: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            checkpoints.save(model, path)

    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_without_safetensors_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)

    with pytest.raises(ImportError, match=r"pip install 'mythos-blocks\[checkpoints\]'"):
        checkpoints.save(everything(), tmp_path / "model.safetensors")
