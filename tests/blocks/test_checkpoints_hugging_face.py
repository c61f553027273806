"""Exported folders, loaded by transformers as a stranger would."""

import copy
import json

import pytest
import torch

import mythos_blocks as mb
from mythos_blocks.checkpoints import export_transformers
from mythos_blocks.generation import generate
from tests.blocks.parts import EVERYTHING, VOCAB, WIDTH, randomise, tokens

EOS, PAD = VOCAB - 1, VOCAB - 2
PROMPT = tokens(batch=3, positions=7) % PAD  # transformers takes a prompt with padding tokens for a padded one


@pytest.fixture(scope="module", autouse=True)
def offline(tmp_path_factory):
    """Modelling files are copied into a folder of this test's own, and nothing is asked of a server."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hugging_face")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield


def declared(**fields):
    core = {**EVERYTHING, "depth_signal": "sinusoidal", "loops": {"kind": "fixed", "num_loops": 3}, "injection": "lti"}
    model = mb.LoopedTransformer(
        VOCAB,
        width=WIDTH,
        prelude={"depth": 1, "layer": {"norm": "adaptive"}},
        core={**core, "initial_state": "truncated_normal"},
        coda={"depth": 1, "layer": {"attention": {"kind": "mla"}}},
        **fields,
    )
    randomise(model)
    with torch.no_grad():
        model.core.layers[0].feedforward.bias.normal_()
    return model.eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    model = declared()
    export_transformers(model, folder, eos_token_id=EOS, pad_token_id=PAD)
    return folder, model


def loaded(folder, **options):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True, **options)


@pytest.fixture(scope="module")
def theirs(exported):
    return loaded(exported[0])


@torch.no_grad()
def test_the_folder_gives_the_same_logits(exported, theirs):
    _, model = exported

    out = theirs(PROMPT)

    torch.testing.assert_close(out.logits, model(PROMPT).logits, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(theirs(PROMPT, iterations=1).logits, model(PROMPT, iterations=1).logits)
    assert not theirs.training and theirs.config.eos_token_id == EOS
    assert theirs.get_output_embeddings().weight is theirs.get_input_embeddings().weight
    assert type(theirs).__module__.startswith("transformers_modules"), "the folder's own file is meant to run"


@torch.no_grad()
def test_every_weight_and_every_computed_buffer_arrives(exported, theirs):
    _, model = exported

    looped = theirs.model.looped
    assert torch.equal(theirs.lm_head.weight, model.head.weight)
    for mine, its in (
        (model.state_dict(), looped.state_dict()),
        (dict(model.named_buffers()), dict(looped.named_buffers())),
    ):
        assert mine.keys() - {"head.weight"} == its.keys()
        for name in its:
            assert torch.equal(its[name], mine[name]), name
    assert "core.depth_signal.frequencies" not in model.state_dict(), "one of them is meant to be computed"


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("iterations", [None, 1])
def test_generate_is_ours(exported, theirs, use_cache, iterations):
    _, model = exported
    wanted = generate(model, PROMPT, max_new_tokens=6, temperature=0, iterations=iterations).tokens

    got = theirs.generate(
        PROMPT, max_new_tokens=6, do_sample=False, use_cache=use_cache, eos_token_id=None, iterations=iterations
    )

    assert torch.equal(got[:, : PROMPT.shape[1]], PROMPT) and torch.equal(got[:, PROMPT.shape[1] :], wanted)


def test_generate_computes_each_position_once(theirs, monkeypatch):
    sizes, looped = [], theirs.model.looped
    forward = looped.forward
    monkeypatch.setattr(looped, "forward", lambda x, *args, **kwargs: (sizes.append(x.shape[1]), forward(x, *args, **kwargs))[1])  # fmt: skip

    theirs.generate(PROMPT, max_new_tokens=4, do_sample=False, eos_token_id=None)

    assert sizes == [PROMPT.shape[1], 1, 1, 1]


def test_beams_are_the_same_with_the_cache_and_without(theirs):
    beams = [
        theirs.generate(PROMPT, max_new_tokens=5, num_beams=3, do_sample=False, eos_token_id=None, use_cache=use)
        for use in (True, False)
    ]

    assert torch.equal(*beams)


@pytest.mark.parametrize("use_cache", [True, False])
def test_padding_on_the_left_changes_nothing(theirs, use_cache):
    lengths = (7, 4, 6)
    padded = torch.full_like(PROMPT, PAD)
    mask = torch.zeros_like(PROMPT)
    for row, length in enumerate(lengths):
        padded[row, 7 - length :] = PROMPT[row, :length]
        mask[row, 7 - length :] = 1
    options = {"max_new_tokens": 5, "do_sample": False, "eos_token_id": None, "use_cache": use_cache}

    together = theirs.generate(padded, attention_mask=mask, **options)

    for row, length in enumerate(lengths):
        alone = theirs.generate(PROMPT[row : row + 1, :length], **options)
        assert torch.equal(together[row, 7:], alone[0, length:])


def test_padding_on_the_right_cannot_be_cached(theirs):
    mask = torch.ones_like(PROMPT)
    mask[0, -1] = 0

    with torch.no_grad(), pytest.raises(ValueError, match="padding must be on the left"):
        theirs(PROMPT, attention_mask=mask, use_cache=True)


def test_the_loss_is_that_of_the_next_token(theirs):
    labels = PROMPT.clone()
    labels[0, 3] = -100

    out = theirs(PROMPT, labels=labels)

    log_p = out.logits[:, :-1].log_softmax(-1).gather(-1, PROMPT[:, 1:, None]).squeeze(-1)
    scored = torch.ones_like(log_p, dtype=torch.bool)
    scored[0, 2] = False
    torch.testing.assert_close(out.loss, -log_p[scored].mean())
    assert out.loss.requires_grad and out.past_key_values is None


@torch.no_grad()
def test_an_untied_model_in_bfloat16(tmp_path):
    model = declared(tie_embeddings=False).to(torch.bfloat16)

    export_transformers(model, tmp_path)
    again = loaded(tmp_path)

    assert again.dtype is torch.bfloat16 and again.lm_head.weight is not again.get_input_embeddings().weight
    assert torch.equal(again.lm_head.weight, model.head.weight)
    for name, buffer in model.named_buffers():
        its = again.model.looped.get_buffer(name)
        assert torch.equal(its, buffer) and its.dtype is buffer.dtype
    torch.testing.assert_close(again(PROMPT).logits, model(PROMPT).logits, rtol=0.02, atol=0.02)
    assert loaded(tmp_path, dtype=torch.float32).dtype is torch.float32


@torch.no_grad()
def test_it_saves_itself_again(exported, theirs, tmp_path):
    theirs.save_pretrained(tmp_path)

    again = loaded(tmp_path)

    assert torch.equal(again(PROMPT).logits, theirs(PROMPT).logits)


def test_a_missing_weight_is_an_error(exported, tmp_path):
    from safetensors.torch import load_file, save_file

    folder, model = exported
    export_transformers(model, tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["model.looped.core.injection.log_A"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})

    with pytest.raises(ValueError, match="the checkpoint has no 'log_A' for LTI"):
        loaded(tmp_path)


def test_the_folder_holds_what_transformers_looks_for(exported):
    folder, model = exported

    config = json.loads((folder / "config.json").read_text())

    assert {path.name for path in folder.iterdir()} == {"config.json", "model.safetensors", "modeling_mythos.py"}
    assert config["auto_map"]["AutoModelForCausalLM"] == "modeling_mythos.MythosForCausalLM"
    assert config["declaration"] == json.loads(model.spec.model_dump_json())
    assert config["vocab_size"] == VOCAB and config["dtype"] == "float32"


@pytest.mark.parametrize(
    "token_ids, message",
    [({"end": 1}, "'end' is none of bos_token_id"), ({"eos_token_id": VOCAB}, f"must be between 0 and {VOCAB - 1}")],
)
def test_token_ids_are_checked_before_anything_is_written(tmp_path, token_ids, message):
    with pytest.raises(ValueError, match=message):
        export_transformers(declared(), tmp_path / "folder", **token_ids)

    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("tied", [True, False])
@torch.no_grad()
def test_what_transformers_saves_is_a_checkpoint_too(tmp_path, tied, dtype):
    model = declared(tie_embeddings=tied).to(dtype)
    export_transformers(model, tmp_path / "exported")
    theirs = loaded(tmp_path / "exported")
    theirs.lm_head.weight[0] += 1  # as training would
    theirs.save_pretrained(tmp_path / "saved")
    mb.checkpoints.save(theirs, tmp_path / "file.safetensors")
    export_transformers(theirs, tmp_path / "again")

    # Theirs lie where they lie in the file, and products of numbers at other addresses are rounded otherwise.
    wanted = copy.deepcopy(theirs)(PROMPT, use_cache=False).logits
    for path in ("saved", "file.safetensors", "again"):
        again = mb.checkpoints.load_model(tmp_path / path)
        assert torch.equal(again(PROMPT).logits, wanted), path
        assert again.spec == model.spec
    into = declared(tie_embeddings=tied).to(dtype)
    mb.checkpoints.load_into(into, tmp_path / "saved")
    assert torch.equal(into(PROMPT).logits, wanted)


@torch.no_grad()
def test_loops_and_exit_are_chosen_where_the_folder_is_loaded(exported, tmp_path):
    folder, model = exported
    theirs = loaded(folder, num_loops=1, exit={"kind": "latent", "threshold": 1e-9})

    torch.testing.assert_close(theirs(PROMPT).logits, model(PROMPT, iterations=1).logits)
    theirs.generation_config.num_loops = 2
    theirs.save_pretrained(tmp_path)
    again = loaded(tmp_path)
    assert again.config.num_loops == 1 and again.config.exit == {"kind": "latent", "threshold": 1e-9}
    assert again.generation_config.num_loops == 2


@torch.no_grad()
def test_a_pipeline_runs_the_loops_of_the_config(exported):
    from transformers import TextGenerationPipeline
    from transformers.tokenization_utils_base import PreTrainedTokenizerBase

    class Letters(PreTrainedTokenizerBase):
        """A token is a number."""

        def __call__(self, text, **options):
            ids = torch.tensor([[int(word) for word in text.split()]])
            return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

        def decode(self, ids, **options):
            return " ".join(str(int(token)) for token in ids)

    folder, model = exported
    pipeline = TextGenerationPipeline(model=loaded(folder, num_loops=1), tokenizer=Letters(), device="cpu")
    prompt = " ".join(str(int(token)) for token in PROMPT[0])

    (got,) = pipeline(prompt, max_new_tokens=4, do_sample=False, eos_token_id=None)

    wanted = generate(model, PROMPT[:1], max_new_tokens=4, temperature=0, iterations=1).tokens
    assert got["generated_text"].removeprefix(prompt).split() == [str(int(token)) for token in wanted[0]]


@torch.no_grad()
def test_the_backbone_is_a_model_of_its_own(exported):
    from transformers import AutoModel

    folder, model = exported
    backbone = AutoModel.from_pretrained(folder, trust_remote_code=True)

    states = backbone(PROMPT).last_hidden_state
    torch.testing.assert_close(states, model(PROMPT, head=False).logits, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model.head(states), model(PROMPT).logits, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_model_of_this_package_saves_folders_that_load_anywhere(tmp_path, monkeypatch):
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    from mythos_blocks import hugging_face

    config = hugging_face.MythosConfig(declaration={"width": 32}, vocab_size=VOCAB)
    mine = hugging_face.MythosForCausalLM(config).eval()
    mine.save_pretrained(tmp_path / "one")

    again = loaded(tmp_path / "one")
    again.save_pretrained(tmp_path / "two")
    assert torch.equal(loaded(tmp_path / "two")(PROMPT).logits, mine(PROMPT).logits)

    for known in (CONFIG_MAPPING, AutoModel._model_mapping, AutoModelForCausalLM._model_mapping):
        monkeypatch.setattr(known, "_extra_content", dict(known._extra_content))  # as it was, after the test
    hugging_face.register()
    untrusted = AutoModelForCausalLM.from_pretrained(tmp_path / "two")
    assert type(untrusted) is hugging_face.MythosForCausalLM
    assert type(AutoConfig.from_pretrained(tmp_path / "two")) is hugging_face.MythosConfig
    untrusted.save_pretrained(tmp_path / "three")
    monkeypatch.undo()
    assert torch.equal(loaded(tmp_path / "three")(PROMPT).logits, mine(PROMPT).logits)
