"""Files, shards and folders: what is read, and what is refused in one line that says what was found."""

import json
import pickle
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from mythos_blocks.checkpoints import load, load_into, load_model, save
from tests.blocks.parts import model, randomise, tokens

INDEX = "model.safetensors.index.json"


def made():
    built = model(injection="lti", layer={"feedforward": "moe"}).eval()
    randomise(built)
    return built


@pytest.fixture
def path(tmp_path):
    save(made(), tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


@pytest.fixture
def shards(path):
    """The folder with the model in two shards and an index."""
    weights = load_file(path)
    path.unlink()
    names = sorted(weights)
    parts = {"model-1-of-2.safetensors": names[::2], "model-2-of-2.safetensors": names[1::2]}
    for file, held in parts.items():
        save_file({name: weights[name] for name in held}, path.with_name(file), {"format": "pt"})
    index(path.parent, {name: file for file, held in parts.items() for name in held})
    return path.parent


def index(folder, weight_map):
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))


def other():
    built = made()
    randomise(built, seed=1)
    return built


@torch.no_grad()
def test_shards_load_by_their_index_and_by_their_folder(shards):
    logits = made()(tokens()).logits
    for path in (shards, shards / INDEX, str(shards / INDEX)):
        into = other()
        load_into(into, path)
        assert torch.equal(into(tokens()).logits, logits)
    with pytest.raises(ValueError, match="holds weights and no declaration"):
        load_model(shards)


@torch.no_grad()
def test_a_folder_is_the_file_that_it_holds(path):
    (path.parent / "notes.txt").write_text("nothing")

    assert torch.equal(load_model(path.parent)(tokens()).logits, made()(tokens()).logits)
    into = other()
    load_into(into, path.parent)
    assert torch.equal(into(tokens()).logits, made()(tokens()).logits)


def refused(path, message, error=ValueError):
    for use in (load, load_model, lambda path: load_into(other(), path)):
        with pytest.raises(error, match=message) as caught:
            use(path)
        text = str(caught.value)
        assert "\n" not in text and "os error" not in text and "header too" not in text and str(path.name) in text


def test_a_folder_with_none_or_several_is_refused(path, tmp_path):
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", r"is a folder, where one .safetensors file or one .* is expected, and holds none$")
    save(made(), tmp_path / "other.safetensors")
    refused(tmp_path, "and holds model.safetensors, other.safetensors; name one$")


def test_a_folder_with_shards_and_another_file_is_refused(shards):
    save(made(), shards / "model.safetensors")

    refused(shards, f"and holds {INDEX}, model.safetensors; name one$")


def test_a_missing_file_is_named(tmp_path):
    refused(tmp_path / "none.safetensors", "none.safetensors: there is no such file or folder$", FileNotFoundError)


def of_torch(path):
    torch.save({"x": torch.zeros(2)}, path)


def of_old_torch(path):
    torch.save({"x": torch.zeros(2)}, path, _use_new_zipfile_serialization=False)


def header_of(length, text=b"{}"):
    return lambda path: path.write_bytes(struct.pack("<Q", length) + text)


def declares(shape, offsets, dtype="F32", size=8):
    header = json.dumps({"x": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}).encode()
    return lambda path: path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(size))


@pytest.mark.parametrize(
    "name, write, message",
    [
        ("model.pt", of_torch, r"but a zip archive, as torch.save writes it; read it with torch.load\(path, weights_only=T"),
        ("model.bin", of_old_torch, "but a pickle, as older versions of torch.save write it; read it with torch.load"),
        ("model.pkl", lambda path: path.write_bytes(pickle.dumps([1])), "is not a safetensors file, but a pickle"),
        ("model.gguf", lambda path: path.write_bytes(b"GGUF" + bytes(60)), "but a GGUF file$"),
        ("it.safetensors", lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid"), "LFS pointer"),
        ("it.safetensors", lambda path: path.touch(), "is not a safetensors file: it is empty$"),
        ("it.safetensors", lambda path: path.write_bytes(b"\1\0\0"), "is not a safetensors file: it is cut short$"),
        ("it.safetensors", lambda path: path.write_bytes(b"no tensors at all"), "it does not begin with a header$"),
        ("it.safetensors", header_of(2**63), "it does not begin with a header$"),
        ("it.safetensors", header_of(900_000), "is cut short: its header is 900,000 bytes, and 2 are there$"),
        ("it.safetensors", header_of(12, b'{"x": "y"}  '), "its header does not say which tensors it holds$"),
        ("it.safetensors", header_of(24, b'{"a": {}, "a": {}}      '), "its header does not say which tensors it holds$"),
        ("it.safetensors", header_of(12, b"{" * 12), "its header does not say which tensors it holds$"),
        ("it.safetensors", declares([2**40], [0, 2**42]), "is cut short: its tensors are 4,398,046,511,104 bytes, and 8 a"),
        ("it.safetensors", declares([2**40, 2**40], [0, 8]), "is not a safetensors file: "),
        ("it.safetensors", declares([2], [0, "8"]), "its header does not say which tensors it holds$"),
        ("it.safetensors", declares([2], [0, 8], "I5"), "is not a safetensors file: "),
        ("it.safetensors", declares([2], [0, 8], size=20), "is not a safetensors file: "),
        ("config.json", lambda path: path.write_text("{}"), "is no index of shards: expected JSON with a weight_map"),
        ("x.index.json", lambda path: path.write_text("no"), "is no index of shards: expected JSON with a weight_map"),
        ("x.index.json", lambda path: path.write_text('{"weight_map": [1]}'), "is no index of shards: expected JSON"),
    ],
)  # fmt: skip
def test_what_is_no_safetensors_file_is_refused(tmp_path, name, write, message):
    write(tmp_path / name)

    refused(tmp_path / name, message)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.999])
def test_a_cut_file_is_refused(path, share):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])

    refused(path, "is cut short: its (header is|tensors are) [0-9,]+ bytes, and [0-9,]+ are there$")


@pytest.mark.parametrize(
    "file", ["../x.safetensors", "/etc/passwd", "a/../../x.safetensors", "..\\x.safetensors", "C:x", "", ".", 3, "a\0b"]
)
def test_an_index_names_files_of_its_own_folder_only(shards, file):
    weight_map = json.loads((shards / INDEX).read_text())["weight_map"]
    index(shards, {**weight_map, "norm.weight": file})

    refused(shards / INDEX, "'norm.weight' is in .*, and an index may name files in its own folder only$")


def test_shards_hold_what_the_index_says(shards):
    weight_map = json.loads((shards / INDEX).read_text())["weight_map"]
    one, two = sorted(set(weight_map.values()))
    index(shards, {**weight_map, "another": one})
    with pytest.raises(ValueError, match=f"{one}: 'another' is not as the index says: the index has it in this shard$"):
        load_into(other(), shards)
    moved = next(name for name, file in weight_map.items() if file == one)
    index(shards, {name: file for name, file in weight_map.items() if name != moved})
    with pytest.raises(ValueError, match=f"{one}: '{moved}' is not as the index says: the index has it elsewhere$"):
        load_into(other(), shards)
    index(shards, {**weight_map, moved: "model-3-of-2.safetensors"})
    with pytest.raises(ValueError, match="names the shard 'model-3-of-2.safetensors', and there is no such file$"):
        load_into(other(), shards)
    index(shards, weight_map)
    (shards / two).write_bytes(b"")
    with pytest.raises(ValueError, match=f"{two} is not a safetensors file: it is empty$"):
        load_into(other(), shards)


def redeclared(path, change):
    """The file with another declaration."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        declared = json.loads(file.metadata()["mythos_blocks"])
    weights = load_file(path)
    changed = change(declared)
    save_file(weights, path, {"mythos_blocks": changed if isinstance(changed, str) else json.dumps(changed)})


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda x: "{", "its declaration is not one that save writes$"),
        (lambda x: [1], "its declaration is not one that save writes$"),
        (lambda x: {**x, "context": 3}, "its declaration is not one that save writes$"),
        (lambda x: {**x, "version": "new"}, "its declaration is not one that save writes$"),
        (lambda x: {name: x[name] for name in x if name != "buffers"}, "its declaration is not one that save writes$"),
        (lambda x: {**x, "buffers": {"core.x": "float32"}}, "has no computed buffer 'core.x' of dtype 'float32'$"),
        (lambda x: {**x, "buffers": {"core.x": "load"}}, "has no computed buffer 'core.x' of dtype 'load'$"),
        (lambda x: {**x, "context": [10**15]}, r"'embedding.weight' has shape \(29, 32\), and the model's is \(1000000000000000"),
        (lambda x: {**x, "model": {**x["model"], "width": 10**5}}, r"has shape .*, and the model's is "),
        (lambda x: {**x, "model": {**x["model"], "width": 10**9}}, "width: input should be at most 1048576$"),
        (lambda x: {**x, "model": {**x["model"], "coda": {"depth": 4096}}}, "more than [0-9]+ parameters are declared$"),
        (lambda x: {**x, "model": {**x["model"], "coda": {"depth": 10**9}}}, "coda.depth: input should be at most 4096$"),
    ],
)  # fmt: skip
def test_a_declaration_that_the_weights_do_not_fit_is_refused(path, change, message):
    redeclared(path, change)

    with pytest.raises(ValueError, match=f"{path.name}.*: .*{message}") as caught:
        load_model(path)
    assert "\n" not in str(caught.value)
