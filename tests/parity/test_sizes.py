"""Published numbers of parameters, from a build without memory of what each published configuration declares."""

import importlib.util
import sys
import types
from pathlib import Path

import pytest
import torch

import mythos_blocks as mb
from mythos_blocks.checkpoints import huginn_translation, open_mythos_translation, parcae_translation
from tests.parity import open_mythos

PARCAE = {  # layers of each part, width, heads: parcae_lm/configs/parcae
    144_323_136: (2, 768, 6),
    388_003_328: (4, 1024, 8),
    776_655_680: (6, 1280, 10),
    1_338_591_744: (8, 1536, 12),
}
VARIANTS = ["1b", "3b", "10b", "50b", "100b", "500b", "1t"]


def size(translation):
    with torch.device("meta"):
        model = mb.Slot("model").resolve(translation.model).build(translation.vocab_size)
    return sum(p.numel() for p in model.parameters())


def test_huginn():
    assert size(huginn_translation({})) == 3_564_976_800


@pytest.mark.parametrize("wanted", PARCAE)
def test_parcae(wanted):
    depth, width, heads = PARCAE[wanted]
    config = {
        "block_size": 2048, "vocab_size": 32_768, "padding_multiple": 64, "n_embd": width,
        "num_attention_heads": heads, "num_key_value_heads": heads, "intermediate_size": 4 * width,
        "tie_embeddings": True, "norm_class_name": "RMSNorm", "nonlin_name": "ReLU2", "qk_norm": True,
        "prelude_norm": True, "init_strategy": "scaled-zero", "init_orthogonal": True,
        "recurrent_embedding_dimension": width, "recurrent_intermediation_embedding_dimension": 4 * width,
        "n_layers_in_recurrent_block": depth, "n_layers_in_prelude": depth, "n_layers_in_coda": depth,
        "mean_recurrence": 8, "mean_backprop_depth": 4, "recurrent_iteration_method": "per-sequence",
    }  # fmt: skip
    assert size(parcae_translation(config)) == wanted


@pytest.fixture(scope="module")
def variants():
    """The published package's ``variants``, alone, as its ``main``."""
    main = open_mythos.published()
    path = Path(main.__file__).with_name("variants.py")
    spec = importlib.util.spec_from_file_location("open_mythos_variants", path)
    module = importlib.util.module_from_spec(spec)
    package = types.ModuleType("open_mythos")
    before = {name: sys.modules.get(name) for name in ("open_mythos", "open_mythos.main")}
    sys.modules |= {"open_mythos": package, "open_mythos.main": main}
    try:
        spec.loader.exec_module(module)
    finally:
        for name, old in before.items():
            sys.modules.pop(name)
            if old is not None:
                sys.modules[name] = old
    return module


@pytest.mark.parametrize("variant", VARIANTS)
def test_open_mythos(variants, variant):
    config = getattr(variants, f"mythos_{variant}")()
    with torch.device("meta"):
        published = open_mythos.published().OpenMythos(config)
    assert size(open_mythos_translation(config)) == sum(p.numel() for p in published.parameters())
