"""A sealed file is read as it was written, or not at all."""

import random

import pytest
import torch
from safetensors.torch import load_file, save_file

from mythos_blocks import LoopedTransformer
from mythos_blocks.checkpoints import load, load_model, save
from mythos_lab.recipe import RecipeError
from mythos_lab.training import sealed
from mythos_lab.training.sealed import Damaged, read_json, read_yaml, seal, verify, write_json, write_yaml

VALUES = {"status": "finished", "metrics": {"val/loss": 0.5, "é": None}, "sealed": "a word of the user's"}


def make(path, kind, owner="a", values=VALUES):
    """A sealed file of a kind, and how it is read as a run's."""
    if kind == "json":
        write_json(path, values, owner)
        return lambda of="a": read_json(path, of)
    if kind == "yaml":
        write_yaml(path, "name: x\n# sealed: not yet\nseed: 3\n", owner)
        return lambda of="a": read_yaml(path, of)
    torch.save({"weights": torch.arange(500.0), "step": 3}, path)
    seal(path, path.name, owner)
    return lambda of="a": verify(path, of)


@pytest.mark.parametrize("kind", ["json", "yaml", "ckpt"])
def test_any_bit_any_end_and_any_owner_is_found(tmp_path, kind):
    path = tmp_path / f"file.{kind}"
    read = make(path, kind)
    written = path.read_bytes()
    read()
    with pytest.raises(Damaged, match="belongs to run"):
        read("b")
    draw = random.Random(0)
    for place in {*draw.sample(range(len(written)), min(300, len(written))), *range(len(written) - 120, len(written))}:
        damaged = bytearray(written)
        damaged[place] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(Damaged):
            read()
    for end in {0, 1, *draw.sample(range(len(written)), 40), *range(len(written) - 100, len(written))}:
        path.write_bytes(written[:end])
        with pytest.raises(Damaged):
            read()
    path.write_bytes(written)
    path.rename(tmp_path / f"renamed.{kind}")
    with pytest.raises(RecipeError, match="no such file"):
        read()
    (tmp_path / f"renamed.{kind}").rename(path)
    read()


def test_what_is_sealed_reads_as_what_was_written(tmp_path):
    assert make(tmp_path / "a.json", "json")() == VALUES
    assert make(tmp_path / "a.yaml", "yaml")() == "name: x\n# sealed: not yet\nseed: 3"
    make(tmp_path / "a.ckpt", "ckpt")()
    for mapped in (False, True):
        state = torch.load(tmp_path / "a.ckpt", weights_only=True, mmap=mapped)
        assert state["step"] == 3 and torch.equal(state["weights"], torch.arange(500.0))


def test_a_file_of_another_name_is_found(tmp_path):
    make(tmp_path / "data.json", "json")
    (tmp_path / "data.json").rename(tmp_path / "environment.json")
    with pytest.raises(Damaged, match="its checksum is another"):
        read_json(tmp_path / "environment.json", "a")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_what_was_there_and_no_other_file(tmp_path, monkeypatch, step):
    read = make(tmp_path / "a.json", "json")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sealed.os, "fsync", full) if step == "fsync" else monkeypatch.setattr(
        sealed.Path, "replace", full
    )
    with pytest.raises(OSError, match="No space"):
        write_json(tmp_path / "a.json", {"other": 1}, "a")
    assert read() == VALUES and [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_weights_of_which_a_bit_or_a_place_is_another_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    save(LoopedTransformer(16, width=16), path, {"run": "a"})
    assert load(path).notes == {"run": "a"}
    written = path.read_bytes()
    header = 8 + int.from_bytes(written[:8], "little")
    for place in random.Random(0).sample(range(header, len(written)), 50):
        damaged = bytearray(written)
        damaged[place] ^= 4
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="does not hold what was written"):
            load_model(path)
    path.write_bytes(written)
    tensors, metadata = load_file(path), _metadata(path)
    by_shape = {}
    for name, tensor in tensors.items():
        by_shape.setdefault(tuple(tensor.shape), []).append(name)
    one, other = next(names for names in by_shape.values() if len(names) > 1)[:2]
    tensors[one], tensors[other] = tensors[other] + 1, tensors[one].clone()
    save_file(tensors, path, metadata)
    with pytest.raises(ValueError, match="does not hold what was written"):
        load_model(path)


def _metadata(path):
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return file.metadata()
