"""Models that are compiled, wrapped or changed, into files; and the names that wrappers leave in files, into models."""

import pytest
import torch
from safetensors.torch import load_file, save_file, save_model
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.optim.swa_utils import AveragedModel

import mythos_blocks as mb
from mythos_blocks.checkpoints import export_transformers, load, load_into, load_model, save
from tests.blocks.parts import VOCAB, model, randomise, tokens


class Parallel(nn.Module):
    """Holds a model as data-parallel wrappers do."""

    def __init__(self, module):
        super().__init__()
        self.module = module


class Lightning(nn.Module):
    """Holds a model as modules of Lightning and transformers do."""

    def __init__(self, model):
        super().__init__()
        self.model = model


def made(**core):
    core = {"depth_signal": "sinusoidal", "injection": "lti", "layer": {"feedforward": "moe"}, **core}
    built = model(**core).eval()
    randomise(built)
    return built


def layers_in_place(built):
    built.compile_layers(backend="eager")
    return built


def layers_wrapped(built):
    built.core.layers[0] = torch.compile(built.core.layers[0], backend="eager")
    return built


def layers_checkpointed(built):
    built.core.layers[0] = checkpoint_wrapper(built.core.layers[0])
    return built


WRAPPERS = [
    lambda built: torch.compile(built, backend="eager"),
    Parallel,
    lambda built: Parallel(torch.compile(built, backend="eager")),
    lambda built: torch.compile(Parallel(built), backend="eager"),
    AveragedModel,
    layers_in_place,
    layers_wrapped,
    layers_checkpointed,
]


@pytest.mark.parametrize("wrap", WRAPPERS)
@torch.no_grad()
def test_a_wrapped_model_is_saved_as_the_plain_one(tmp_path, wrap):
    plain, wrapped = made(), wrap(made())
    names = {name for name in plain.state_dict() if name != "head.weight"}

    save(wrapped, tmp_path / "model.safetensors")

    assert set(load_file(tmp_path / "model.safetensors")) == names
    again = load_model(tmp_path / "model.safetensors")
    assert torch.equal(again(tokens()).logits, plain(tokens()).logits)
    assert torch.equal(again.core.depth_signal.frequencies, plain.core.depth_signal.frequencies)


@pytest.mark.parametrize("wrap", WRAPPERS)
@torch.no_grad()
def test_weights_go_into_a_wrapped_model(tmp_path, wrap):
    plain, inner = made(), made()
    randomise(inner, seed=1)
    save(plain, tmp_path / "model.safetensors")
    wrapped = wrap(inner)

    load_into(wrapped, tmp_path / "model.safetensors")

    held = wrapped.module if isinstance(wrapped, AveragedModel) else inner  # which holds a copy
    torch.testing.assert_close(held(tokens()).logits, plain(tokens()).logits)  # compiled experts add in another order


@pytest.mark.parametrize("wrap", WRAPPERS[:5])
def test_a_wrapped_model_is_exported_as_the_plain_one(tmp_path, wrap):
    export_transformers(made(), tmp_path / "plain")
    export_transformers(wrap(made()), tmp_path / "wrapped")

    configs = [(tmp_path / folder / "config.json").read_text() for folder in ("plain", "wrapped")]
    plain, wrapped = (load(tmp_path / folder) for folder in ("plain", "wrapped"))
    assert configs[0] == configs[1] and plain.buffers == wrapped.buffers and plain.spec == wrapped.spec
    assert plain.tensors.keys() == wrapped.tensors.keys()
    assert all(torch.equal(tensor, wrapped.tensors[name]) for name, tensor in plain.tensors.items())


@torch.no_grad()
def test_an_exported_folder_is_a_checkpoint_too(tmp_path):
    plain = made()
    export_transformers(plain, tmp_path)

    assert torch.equal(load_model(tmp_path)(tokens()).logits, plain(tokens()).logits)
    assert load(tmp_path).spec == plain.spec


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod.", "model.module._orig_mod."])
@torch.no_grad()
def test_a_prefix_that_all_names_carry_is_taken_off(tmp_path, prefix):
    plain, other = made(), made()
    randomise(other, seed=1)
    path = tmp_path / "model.safetensors"
    save(plain, path)
    weights = load_file(path)
    save_file({prefix + name: tensor for name, tensor in weights.items()}, path)

    load_into(other, path)

    assert torch.equal(other(tokens()).logits, plain(tokens()).logits)


@pytest.mark.parametrize("wrap", [*WRAPPERS[:4], Lightning, lambda built: Lightning(Parallel(built)), layers_wrapped])
@torch.no_grad()
def test_what_the_format_s_own_library_saves_of_a_wrapped_model_loads(tmp_path, wrap):
    plain, other = made(), made()
    randomise(other, seed=1)
    save_model(wrap(made()), str(tmp_path / "model.safetensors"))

    load_into(other, tmp_path / "model.safetensors")

    assert torch.equal(other(tokens()).logits, plain(tokens()).logits)


@pytest.mark.parametrize(
    "rename, message",
    [
        (
            lambda name: f"module.{name}x" if name == "norm.weight" else f"module.{name}",
            r"the model has no 'norm.weightx'; nearest: norm.weight.* \(without 'module.', which all names begin with\)$",
        ),
        (
            lambda name: f"module.{name}" if name == "norm.weight" else name,
            "the model has no 'module.norm.weight'; .*'module.' is what a wrapper leaves, and not all names begin with it$",
        ),
        (lambda name: f"module.{name[::-1]}", "the model has no 'module.*'module.' is what a wrapper leaves"),
    ],
)
def test_a_prefix_that_does_not_help_is_named(tmp_path, rename, message):
    path = tmp_path / "model.safetensors"
    save(made(), path)
    save_file({rename(name): tensor for name, tensor in load_file(path).items()}, path)

    with pytest.raises(ValueError, match=message):
        load_into(made(), path)


def test_a_module_that_is_no_looped_transformer_is_refused(tmp_path):
    for write in (save, export_transformers):
        with pytest.raises(ValueError, match="^expected a LoopedTransformer, wrapped or not, and got a Linear$"):
            write(nn.Linear(2, 2), tmp_path / "it")
        with pytest.raises(ValueError, match="got a Lightning; it holds one as 'model'$"):
            write(Lightning(made()), tmp_path / "it")
    assert not list(tmp_path.iterdir())


def parametrized(built):
    nn.utils.parametrizations.weight_norm(built.core.layers[0].attention.q)


def another_vocabulary(built):
    built.embedding = nn.Embedding(VOCAB + 1, built.embedding.embedding_dim)
    built.head.weight = built.embedding.weight


def untied(built):
    built.head.weight = nn.Parameter(built.head.weight + 1)


def with_more(built):
    built.core.extra = nn.Linear(2, 2)


def without_memory(built):
    built.to("meta")


class Extra(nn.Module):
    def get_extra_state(self):
        return 3

    def set_extra_state(self, state):
        assert state == 3


def with_extra_state(built):
    built.core.extra = Extra()


@pytest.mark.parametrize(
    "change, message",
    [
        (
            parametrized,
            "no longer as it declares: the model has no 'core.layers.0.attention.q.parametrizations.*remove_",
        ),
        (
            another_vocabulary,
            r"no longer as it declares: 'embedding.weight' has shape \(30, 32\), and the model's is \(29",
        ),
        (
            untied,
            "no longer as it declares: 'embedding.weight' and 'head.weight' are one tensor in the model, and differ",
        ),
        (with_more, "no longer as it declares: the model has no 'core.extra.weight'"),
        (with_extra_state, "'core.extra._extra_state' of the state dict is a int, and only tensors are saved"),
        (without_memory, "cannot save 'embedding.weight': it is on the meta device, and has no values"),
    ],
)
def test_what_could_not_be_loaded_is_not_saved(tmp_path, change, message):
    built = made()
    change(built)

    for write in (save, export_transformers):
        with pytest.raises(ValueError, match=message) as caught:
            write(built, tmp_path / "it")
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@torch.no_grad()
def test_weights_in_one_memory_are_saved_apart(tmp_path):
    built = mb.LoopedTransformer(VOCAB, width=32, tie_embeddings=False).eval()
    both = torch.randn(2, VOCAB, 32)
    built.embedding.weight.data, built.head.weight.data = both[0], both[0]

    save(built, tmp_path / "model.safetensors")

    again = load_model(tmp_path / "model.safetensors")
    assert torch.equal(again(tokens()).logits, built(tokens()).logits)
    assert again.head.weight.data_ptr() != again.embedding.weight.data_ptr()


def test_each_model_of_a_checkpoint_has_weights_of_its_own(tmp_path):
    save(made(), tmp_path / "model.safetensors")
    checkpoint = load(tmp_path / "model.safetensors")

    one, other = checkpoint.model(), checkpoint.model()
    with torch.no_grad():
        one.embedding.weight.zero_()

    assert other.embedding.weight.any() and checkpoint.tensors["embedding.weight"].any()


def test_a_saved_model_keeps_the_wrapper_it_was_in(tmp_path):
    wrapped = torch.compile(made(), backend="eager")
    save(wrapped, tmp_path / "model.safetensors")

    assert all(name.startswith("_orig_mod.") for name in wrapped.state_dict())
