"""HRM-Text's weights in our model, against transformers' own: logits, gradients, cached decoding, every field."""

import pytest
import torch

import mythos_blocks as mb
from mythos_blocks.checkpoints import from_hrm_text, hrm_text_config, hrm_text_translation
from tests.parity.from_state import error, randomised

transformers = pytest.importorskip("transformers")

CONFIG = {
    "vocab_size": 37, "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 2, "num_attention_heads": 4,
    "head_dim": 12, "H_cycles": 2, "L_cycles": 3, "initializer_range": 0.1, "attn_implementation": "sdpa",
}  # fmt: skip
OTHERS = {
    "vocab_size": [50], "hidden_size": [64], "intermediate_size": [48], "num_hidden_layers": [1],
    "num_attention_heads": [2], "head_dim": [8], "initializer_range": [0.02], "rms_norm_eps": [0.1],
    "tie_word_embeddings": [True], "rope_parameters": [{"rope_type": "default", "rope_theta": 50.0}],
    "attention_bias": [True], "mlp_bias": [True], "H_cycles": [1, 3], "L_cycles": [1],
    "L_bp_cycles": [[1], [3, 1], [2, 2, 2], [0]], "embedding_scale": [2.0],
}  # fmt: skip
CASES = [{}, *({name: value} for name, values in OTHERS.items() for value in values)]
REFUSED = {
    "model_type": "llama",
    "hidden_act": "gelu",
    "attention_dropout": 0.1,
    "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10_000.0},
    "num_layers_per_stack": 3,
    "L_bp_cycles": ["1"],
}
TOKENS = torch.randint(0, 30, (2, 9), generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def float64(monkeypatch):
    """Transformers casts to float32 here and there, which is float64 meanwhile."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)


def pair(changes):
    config = transformers.HrmTextConfig(**{**CONFIG, **changes})
    theirs = transformers.HrmTextForCausalLM(config).eval()
    randomised(theirs, gain=0.7)
    theirs.double()
    frequencies = config.rope_parameters["rope_theta"] ** -(
        torch.arange(0, config.head_dim, 2).double() / config.head_dim
    )

    def rotations(x, position_ids):  # theirs rounds to float32
        angles = (position_ids[..., None].double() * frequencies).repeat(1, 1, 2)
        return angles.cos(), angles.sin()

    theirs.model.rotary_emb.forward = rotations
    return config, theirs, from_hrm_text(theirs.state_dict(), config)


@torch.no_grad()
@pytest.mark.parametrize("changes", CASES, ids=str)
def test_logits_and_gradients_are_those_of_transformers(changes):
    config, theirs, mine = pair(changes)
    with torch.enable_grad():
        logits = theirs.train()(input_ids=TOKENS, use_cache=False).logits
        got = mine.train()(TOKENS).logits
        assert error(got, logits) <= 1e-12
        direction = torch.randn(logits.shape, generator=torch.Generator().manual_seed(2)).double()
        for x in (logits, got):
            (x * direction).sum().backward()
    gradients = {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in theirs.named_parameters()}
    wanted = hrm_text_translation(config).apply(gradients, partial=True)
    for name, parameter in mine.named_parameters():
        assert (parameter.grad - wanted[name]).abs().max() <= 1e-10 * wanted[name].abs().max() + 1e-13, name


@torch.no_grad()
def test_cached_decoding_and_instructions_that_are_read_both_ways():
    _, theirs, mine = pair({})
    wanted = theirs(input_ids=TOKENS, use_cache=False).logits
    decoder = mb.Decoder(mine, 2)
    assert error(torch.cat([decoder.advance(part).logits for part in TOKENS.split([5, 1, 3], 1)], 1), wanted) <= 1e-11
    kinds = (torch.arange(9) < torch.tensor([[4], [2]])).long()
    wanted = theirs(input_ids=TOKENS, token_type_ids=kinds, use_cache=False).logits
    both = (kinds[:, :, None] & kinds[:, None, :]).bool()
    allowed = both | torch.ones(9, 9, dtype=torch.bool).tril()
    assert error(mine(TOKENS, mb.AttentionMask(causal=False, allowed=allowed)).logits, wanted) <= 1e-12


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_rendered_is_refused_by_name_in_one_line(name):
    config = {name: value for name, value in CONFIG.items() if name != "attn_implementation"}
    named = "num_hidden_layers" if name == "num_layers_per_stack" else name
    with pytest.raises(ValueError, match=f"the HRM-Text config has {named}=") as refusal:
        hrm_text_translation({**config, name: REFUSED[name]})
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 300


def test_the_cases_are_of_every_field_and_the_fields_and_their_defaults_are_those_of_transformers():
    known, inert = hrm_text_config.DEFAULTS, hrm_text_config.INERT
    # Older configurations have rope_theta of its own, which the class moves into rope_parameters.
    assert known.keys() - inert.keys() == OTHERS.keys() | REFUSED.keys() | {"rope_theta"}
    published = transformers.HrmTextConfig()
    assert published.to_diff_dict().keys() <= known.keys()
    for name in known.keys() - inert.keys() - {"rope_theta", "rope_parameters", "num_hidden_layers"}:
        if name not in ("num_layers_per_stack", "embedding_scale", "model_type"):
            assert getattr(published, name) == known[name], name
    assert published.num_layers_per_stack == known["num_hidden_layers"]


def test_the_config_may_be_what_its_file_holds():
    config = transformers.HrmTextConfig(**CONFIG)
    assert hrm_text_translation(config.to_dict()).model == hrm_text_translation(config).model
