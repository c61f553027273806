"""Ouro's weights in our model, against a plain rendering of the equations, and the published file if it is there.

The published file is that of ``MYTHOS_PUBLISHED``'s checkout ``ouro_rl`` (LoopedLMs/ouro_rl, 531187b), a copy of the one
beside the weights, which no registry of packages has.
"""

import importlib
import json
import sys
from pathlib import Path

import pytest
import torch

import mythos_blocks as mb
from mythos_blocks.checkpoints import from_ouro, ouro_config, ouro_translation
from tests.parity.from_state import error, randomised
from tests.parity.judges import PUBLISHED
from tests.parity.ouro import CONFIG, Ouro
from tests.parity.shards import write_shards

TOKENS = torch.randint(0, 30, (2, 9), generator=torch.Generator().manual_seed(1))
OTHERS = {
    "vocab_size": [50], "hidden_size": [64], "intermediate_size": [48], "num_hidden_layers": [1, 3],
    "num_attention_heads": [8], "num_key_value_heads": [2, 1], "rms_norm_eps": [0.1], "rope_theta": [50.0],
    "total_ut_steps": [1, 3], "early_exit_threshold": [0.3, 0.6, 0.9], "tie_word_embeddings": [True], "head_dim": [8],
}  # fmt: skip
CASES = [{}, *({name: value} for name, values in OTHERS.items() for value in values)]
REFUSED = {
    "model_type": "llama",
    "hidden_act": "gelu",
    "rope_scaling": {"rope_type": "yarn", "factor": 2.0},
    "use_sliding_window": True,
    "layer_types": ["sliding_attention", "full_attention"],
    "attention_dropout": 0.1,
    "early_exit_step": 2,
    "early_exit_threshold": 1.5,
    "num_key_value_heads": 3,
    "head_dim": 7,
}


def published(config, patch):
    """The published model in float64, made for a transformers of another age, which is patched meanwhile."""
    from transformers import modeling_rope_utils as rope
    from transformers.utils import generic

    def plain(config, device=None):
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        return config.rope_theta ** -(torch.arange(0, size, 2).double() / size), 1.0

    patch.setitem(rope.ROPE_INIT_FUNCTIONS, "default", plain)
    patch.setattr(rope, "rope_config_validation", lambda config: None)
    patch.setattr(generic, "check_model_inputs", lambda forward: forward)
    sys.path.insert(0, str(Path(PUBLISHED) / "ouro_rl"))
    try:
        file = importlib.import_module("ouro_rl.modeling.modeling_ouro")
        settings = importlib.import_module("ouro_rl.modeling.configuration_ouro")
    finally:
        sys.path.pop(0)

    def rms(self, x):  # theirs rounds to float32
        return self.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.variance_epsilon)

    file.OuroRMSNorm.forward = rms
    file.create_causal_mask = lambda **kwargs: None  # where there is no padding, its attention is causal without
    file.OuroForCausalLM._tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}
    made = settings.OuroConfig(**config, attn_implementation="sdpa", pad_token_id=None)
    made.rope_theta = config["rope_theta"]
    return file.OuroForCausalLM(made).double().eval()


def pair(changes, model=Ouro):
    config = {**CONFIG, **changes}
    theirs = randomised(model(config).double(), gain=0.7)
    with torch.no_grad():
        theirs.model.early_exit_gate.weight.mul_(3)
        theirs.model.early_exit_gate.bias.fill_(-0.5)
    return theirs, from_ouro(theirs.state_dict(), config)


@torch.no_grad()
@pytest.mark.parametrize("changes", CASES, ids=str)
def test_all_passes_run_and_each_position_is_read_where_its_chance_reaches_the_threshold(changes):
    theirs, mine = pair(changes)
    out = mine(TOKENS)
    assert error(out.logits, theirs(TOKENS)) <= 1e-12
    if 0.3 < theirs.config["early_exit_threshold"] < 1:
        chosen = torch.stack(out.halting.weights).argmax(0)
        assert len(chosen.unique()) > 1, "the case is meant to choose"


@torch.no_grad()
def test_a_pass_of_fewer_loops_is_the_published_exit_at_a_step():
    theirs, mine = pair({"early_exit_threshold": 1.0})
    for t, state in enumerate(theirs.states(TOKENS)):
        assert error(mine(TOKENS, iterations=t + 1).logits, theirs.lm_head(state)) <= 1e-12


def test_the_expected_loss_has_the_gradients():
    theirs, mine = pair({})
    states = theirs.states(TOKENS)
    left, total = 1.0, 0.0
    targets = TOKENS.roll(-1, 1)
    for t, state in enumerate(states):
        chance = torch.sigmoid(theirs.model.early_exit_gate(state))[..., 0]
        weight = left if t == len(states) - 1 else chance * left
        left = left * (1 - chance)
        nll = torch.nn.functional.cross_entropy(theirs.lm_head(state).mT, targets, reduction="none")
        total = total + (weight * nll).mean()
    total.backward()
    out = mine.train()(TOKENS, record=True)
    loss = mb.Expected(beta=0.0).loss(mine, out, targets)
    assert float(loss) == pytest.approx(float(total), rel=1e-12)
    loss.backward()
    wanted = ouro_translation(CONFIG).apply({n: p.grad for n, p in theirs.named_parameters()}, partial=True)
    for name, parameter in mine.named_parameters():
        assert error(parameter.grad, wanted[name]) <= 1e-9, name


@pytest.mark.skipif(not PUBLISHED, reason="MYTHOS_PUBLISHED names no folder with the published files")
@torch.no_grad()
@pytest.mark.parametrize("changes", CASES, ids=str)
def test_the_published_file_gives_these_logits(changes, monkeypatch):
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    theirs, mine = pair(changes, lambda config: published(config, monkeypatch))
    wanted = theirs(input_ids=TOKENS, use_cache=False).logits
    assert error(mine(TOKENS).logits, wanted) <= 1e-12


def test_a_folder_of_shards_is_read_with_its_config(tmp_path):
    theirs, mine = pair({})
    write_shards(theirs, tmp_path)
    with pytest.raises(ValueError, match=r"config.json: there is no such file; give the configuration as the second"):
        from_ouro(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, "architectures": ["OuroForCausalLM"]}))
    read = from_ouro(tmp_path)
    assert torch.equal(read(TOKENS).logits, mine(TOKENS).logits)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_rendered_is_refused_by_name_in_one_line(name):
    with pytest.raises(ValueError, match=f"the Ouro config has {name}=") as refusal:
        ouro_translation({**CONFIG, name: REFUSED[name]})
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 300


def test_the_cases_are_of_every_field_that_is_read():
    own = ouro_config.DEFAULTS.keys() - ouro_config.INERT.keys()
    assert own == OTHERS.keys() | REFUSED.keys() | {"initializer_range"}
    assert ouro_translation({**CONFIG, "initializer_range": 0.3}).model["initialization"]["value"] == 0.3


def test_the_published_size():
    """Ouro-1.4B as its config.json says it: 24 layers of width 2048, counted without memory."""
    config = {
        "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 24, "num_attention_heads": 16,
        "num_key_value_heads": 16, "vocab_size": 49_152, "rope_theta": 1_000_000.0,
    }  # fmt: skip
    translation = ouro_translation(config)
    with torch.device("meta"):
        model = mb.Slot("model").resolve(translation.model).build(translation.vocab_size)
    layer = 4 * 2048**2 + 3 * 2048 * 5632 + 4 * 2048
    assert sum(p.numel() for p in model.parameters()) == 24 * layer + 2 * 49_152 * 2048 + 2048 + 2049
