"""Nanbeige's weights in our model, against a plain rendering of the equations, and the published file if it is there.

The published file is that of ``MYTHOS_PUBLISHED``'s folder ``nanbeige``: ``modeling_nanbeige.py`` and
``configuration_nanbeige.py``, as they lie beside the weights of Nanbeige4.2-3B.
"""

import importlib
import json
import sys
from pathlib import Path

import pytest
import torch

import mythos_blocks as mb
from mythos_blocks.checkpoints import from_nanbeige, nanbeige_config, nanbeige_translation
from tests.parity.from_state import error, randomised
from tests.parity.judges import PUBLISHED
from tests.parity.nanbeige import CONFIG, Nanbeige
from tests.parity.shards import write_shards

TOKENS = torch.randint(0, 30, (2, 9), generator=torch.Generator().manual_seed(1))
SPLIT = {"enable_double_loop_split": True}
CASES = [
    {},
    *({name: value} for name, value in {
        "vocab_size": 50, "hidden_size": 64, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 8,
        "num_key_value_heads": 1, "head_dim": 8, "rms_norm_eps": 0.1, "rope_theta": 50.0, "num_loops": 3,
        "loop_loss_weights": [0.2, 0.2], "skip_loop_final_norm": True, "tie_word_embeddings": True,
        "attention_bias": True, "mlp_bias": True, "enable_double_loop_split": True, "loop_middle_layers": 2,
    }.items()),
    {"head_dim": None, "num_key_value_heads": None},
    {**SPLIT, "loop_middle_layers": 1},
    {**SPLIT, "loop_middle_layers": 4, "loop_loss_weights": [0.5]},
    {**SPLIT, "loop_share_kv": True},
    {**SPLIT, "loop_share_kv": True, "loop_middle_layers": 1, "skip_loop_final_norm": True},
]  # fmt: skip
REFUSED = {
    "model_type": "llama",
    "hidden_act": "gelu",
    "rope_scaling": {"type": "linear", "factor": 2.0},
    "attention_dropout": 0.1,
    "qk_layernorm": True,
    "loop_loss_weights": [0.7, 0.7],
    "loop_share_kv": True,
    "emb_neighbor_num": 3,
    "insert_ngram_layer_idx": [0],
    "ngram_insert_all_layers": True,
    "enable_hyper_connection": True,
    "enable_mhc": True,
    "enable_h_res_identity": True,
    "mhc_diff_for_loop": True,
    "mhc_identity_nohresparam": True,
    "enable_depth_attention": True,
}


def published(config, patch):
    """The published model in float64, made for a transformers of another age, which is patched meanwhile."""
    from transformers import PretrainedConfig

    patch.setattr(torch, "float32", torch.float64)
    patch.setattr(torch.Tensor, "float", torch.Tensor.double)
    patch.setattr(PretrainedConfig, "use_return_dict", True, raising=False)
    sys.path.insert(0, str(Path(PUBLISHED)))
    try:
        file = importlib.import_module("nanbeige.modeling_nanbeige")
        settings = importlib.import_module("nanbeige.configuration_nanbeige")
    finally:
        sys.path.pop(0)
    file.NanbeigeForCausalLM._tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}
    made = settings.NanbeigeConfig(**config, attn_implementation="sdpa", use_cache=False)
    made.rope_scaling, made.rope_theta = None, config["rope_theta"]  # transformers 5 writes both anew
    return file.NanbeigeForCausalLM(made).double().eval()


def pair(changes, model=Nanbeige):
    config = {**CONFIG, **changes}
    theirs = randomised(model(config).double(), gain=0.7)
    return theirs, from_nanbeige(theirs.state_dict(), config)


@pytest.mark.parametrize("changes", CASES, ids=str)
def test_logits_and_gradients_are_equal(changes):
    theirs, mine = pair(changes)
    wanted, got = theirs(TOKENS), mine(TOKENS).logits
    assert error(got, wanted) <= 1e-12
    direction = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(2)).double()
    (wanted * direction).sum().backward()
    (got * direction).sum().backward()
    translation = nanbeige_translation({**CONFIG, **changes})
    gradients = translation.apply({n: p.grad for n, p in theirs.named_parameters()}, partial=True)
    for name, parameter in mine.named_parameters():
        assert error(parameter.grad, gradients[name]) <= 1e-10, name


@pytest.mark.skipif(not PUBLISHED, reason="MYTHOS_PUBLISHED names no folder with the published files")
@torch.no_grad()
@pytest.mark.parametrize("changes", CASES, ids=str)
def test_the_published_file_gives_these_logits(changes, monkeypatch):
    theirs, mine = pair(changes, lambda config: published(config, monkeypatch))
    assert error(mine(TOKENS).logits, theirs(input_ids=TOKENS).logits) <= 1e-12


def test_a_folder_of_shards_is_read_with_its_config(tmp_path):
    theirs, mine = pair({})
    write_shards(theirs, tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, "kv_channels": 16, "architectures": ["Nanbeige"]}))
    assert torch.equal(from_nanbeige(tmp_path)(TOKENS).logits, mine(TOKENS).logits)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_rendered_is_refused_by_name_in_one_line(name):
    more = {"emb_split_num": 2, "ngram_vocab_size_ratio": 2.0} if name == "emb_neighbor_num" else {}
    with pytest.raises(ValueError, match=f"the Nanbeige config has {name}=") as refusal:
        nanbeige_translation({**CONFIG, name: REFUSED[name], **more})
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 300


def test_a_split_of_an_odd_stack_needs_its_middle_named():
    with pytest.raises(ValueError, match=r"loop_middle_layers=None \(its default\); only a divisor"):
        nanbeige_translation({**CONFIG, **SPLIT, "num_hidden_layers": 3})
    with pytest.raises(ValueError, match="loop_middle_layers=3; only divisors of 4"):
        nanbeige_translation({**CONFIG, **SPLIT, "loop_middle_layers": 3})


def test_the_cases_are_of_every_field_that_is_read():
    own = nanbeige_config.DEFAULTS.keys() - nanbeige_config.INERT.keys()
    tried = {name for case in CASES for name in case} | REFUSED.keys()
    assert own == tried | {"initializer_range", "emb_split_num", "ngram_vocab_size_ratio"}
    translation = nanbeige_translation({**CONFIG, "initializer_range": 0.3, "emb_split_num": 2})
    assert translation.model["initialization"]["value"] == 0.3


def test_the_published_size():
    """Nanbeige4.2-3B as its config.json says it: 22 layers of width 3072, counted without memory."""
    config = {
        "hidden_size": 3072, "intermediate_size": 10_752, "num_hidden_layers": 22, "num_attention_heads": 48,
        "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 166_144, "rope_theta": 70_000_000, "num_loops": 2,
    }  # fmt: skip
    translation = nanbeige_translation(config)
    with torch.device("meta"):
        model = mb.Slot("model").resolve(translation.model).build(translation.vocab_size)
    layer = 2 * 3072 * (48 + 8) * 128 + 3 * 3072 * 10_752 + 2 * 3072
    assert sum(p.numel() for p in model.parameters()) == 22 * layer + 2 * 166_144 * 3072 + 3072
