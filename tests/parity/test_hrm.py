"""HRM's and TRM's weights in our model, against plain renderings of the equations, and the published files if there."""

import importlib
import importlib.util
import math
import sys
import types
from pathlib import Path

import pytest
import torch

import mythos_blocks as mb
from mythos_blocks.checkpoints import from_hrm, from_trm, hrm_config, hrm_translation, trm_translation
from tests.parity.from_state import error, randomised
from tests.parity.hrm import CONFIG, TRM_CONFIG, Model
from tests.parity.judges import PUBLISHED

FULL = mb.AttentionMask(causal=False)
IMPORT = {"hrm": from_hrm, "trm": from_trm}
BASE = {"hrm": CONFIG, "trm": TRM_CONFIG}
OTHERS = {
    "hrm": {
        "puzzle_emb_ndim": [0, 20, 60], "num_puzzle_identifiers": [2], "vocab_size": [20], "H_cycles": [1, 3],
        "L_cycles": [1], "H_layers": [1], "L_layers": [2], "hidden_size": [64], "expansion": [2.0], "num_heads": [2],
        "pos_encodings": ["learned"], "rms_norm_eps": [0.1], "rope_theta": [50.0], "halt_max_steps": [1, 4],
        "seq_len": [9],
    },
    "trm": {
        "puzzle_emb_ndim": [20, 144], "puzzle_emb_len": [0, 1], "H_cycles": [1], "L_cycles": [2], "L_layers": [1],
        "H_layers": [4], "pos_encodings": ["learned", "none"], "mlp_t": [True], "expansion": [1.0],
        "halt_max_steps": [1],
    },
}  # fmt: skip
TOGETHER = {
    "hrm": [],
    "trm": [
        {"mlp_t": True, "pos_encodings": "learned", "rms_norm_eps": 0.1},
        {"puzzle_emb_ndim": 0, "puzzle_emb_len": 0},
    ],
}
CASES = [
    (system, changes)
    for system in BASE
    for changes in [
        {},
        *TOGETHER[system],
        *({name: value} for name, values in OTHERS[system].items() for value in values),
    ]
]


def published(system, config):
    """The published model in float64, its attention torch's own where flash attention is not there."""
    folder = {"hrm": "HRM", "trm": "TinyRecursiveModels"}[system]
    for name in [name for name in sys.modules if name == "models" or name.startswith("models.")]:
        del sys.modules[name]
    attention = types.ModuleType("flash_attn_interface")
    attention.flash_attn_func = lambda q, k, v, causal: torch.nn.functional.scaled_dot_product_attention(
        *(x.transpose(1, 2) for x in (q, k, v)), is_causal=causal
    ).transpose(1, 2)
    sys.modules["flash_attn_interface"] = attention
    if (
        "einops" not in sys.modules and importlib.util.find_spec("einops") is None
    ):  # of which TRM swaps two dimensions alone
        swaps = sys.modules["einops"] = types.ModuleType("einops")
        swaps.rearrange = lambda x, pattern: x.transpose(1, 2).contiguous()
    sys.path.insert(0, str(Path(PUBLISHED) / folder))
    try:
        file = {"hrm": "models.hrm.hrm_act_v1", "trm": "models.recursive_reasoning.trm"}[system]
        module = importlib.import_module(file)
    finally:
        sys.path.pop(0)
    kind = {"hrm": "HierarchicalReasoningModel_ACTV1", "trm": "TinyRecursiveReasoningModel_ACTV1"}[system]

    def rms_norm(x, variance_epsilon):  # theirs rounds to float32
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + variance_epsilon)

    module.rms_norm = rms_norm
    model = getattr(module, kind)({**config, "forward_dtype": "float64"}).double()
    if config["pos_encodings"] == "rope":
        rotary, half = model.inner.rotary_emb, config["hidden_size"] // config["num_heads"] // 2
        angles = torch.outer(
            torch.arange(len(rotary.cos_cached)).double(), config["rope_theta"] ** -(torch.arange(half).double() / half)
        ).repeat(1, 2)
        rotary.cos_cached, rotary.sin_cached = angles.cos(), angles.sin()
    return model


def inputs(config, num_prefix):
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(config["vocab_size"], (3, config["seq_len"]), generator=generator)
    puzzles = torch.randint(config["num_puzzle_identifiers"], (3,), generator=generator)
    ours = torch.cat((puzzles[:, None].expand(-1, num_prefix), tokens), 1)
    return tokens, puzzles, ours


def pair(system, changes, model=None):
    config = {**BASE[system], **changes}
    theirs = Model(config, system == "trm").double() if model is None else model(system, config)
    randomised(theirs, gain=0.7)
    with torch.no_grad():
        for name, buffer in theirs.named_buffers():
            if name.endswith(("init", "puzzle_emb.weights")):
                buffer.normal_(generator=torch.Generator().manual_seed(len(name)))
        for name, parameter in theirs.named_parameters():
            if name.endswith("init"):
                parameter.normal_(generator=torch.Generator().manual_seed(len(name)))
    return config, theirs, IMPORT[system](theirs.state_dict(), config)


@torch.no_grad()
@pytest.mark.parametrize("system, changes", CASES, ids=str)
def test_every_segment_has_the_logits_and_the_values_of_halting(system, changes):
    config, theirs, mine = pair(system, changes)
    tokens, puzzles, ours = inputs(config, theirs.inner.num_prefix)
    logits, values = theirs.inner(tokens, puzzles)
    for segments in range(1, config["halt_max_steps"] + 1):
        out = mine(ours, FULL, segments)
        assert error(out.logits[:, theirs.inner.num_prefix :], logits[segments - 1]) <= 1e-12
    own = values[-1] if system == "hrm" else values[-1][:, :1]
    assert error(out.halting.scores[-1][:, 0], own) <= 1e-12
    assert mine(ours, FULL).num_loops == config["halt_max_steps"]


@pytest.mark.parametrize("system", BASE)
@pytest.mark.parametrize("changes", [{}, {"mlp_t": True}, {"pos_encodings": "learned"}])
def test_deep_supervision_has_the_gradients(system, changes):
    if system == "hrm" and "mlp_t" in changes:
        changes = {"H_cycles": 1}
    config, theirs, mine = pair(system, changes)
    tokens, puzzles, ours = inputs(config, theirs.inner.num_prefix)
    logits, _ = theirs.inner(tokens, puzzles)
    direction = torch.randn(logits[0].shape, generator=torch.Generator().manual_seed(2)).double()
    sum((x * direction).sum() for x in logits).backward()
    out = mine.train()(ours, FULL, config["halt_max_steps"], record=True)
    sum((mine.read(h)[:, theirs.inner.num_prefix :] * direction).sum() for h in out.states).backward()

    gradients = {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in theirs.named_parameters()}
    translation = {"hrm": hrm_translation, "trm": trm_translation}[system](config)
    wanted = translation.apply(gradients, partial=True)
    for name, parameter in mine.named_parameters():
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        assert (gradient - wanted[name]).abs().max() <= 1e-10 * wanted[name].abs().max() + 1e-13, name


@pytest.mark.skipif(not PUBLISHED, reason="MYTHOS_PUBLISHED names no folder with the published files")
@torch.no_grad()
@pytest.mark.parametrize("system, changes", CASES, ids=str)
def test_every_segment_has_the_published_logits(system, changes):
    if changes == {"puzzle_emb_ndim": 60}:
        pytest.skip("its buffer of puzzle embeddings has rows that its code cannot fill up")
    config, theirs, mine = pair(system, changes, published)
    num_prefix = theirs.inner.puzzle_emb_len
    tokens, puzzles, ours = inputs(config, num_prefix)
    theirs.eval()
    batch = {"inputs": tokens, "puzzle_identifiers": puzzles, "labels": tokens}
    carry = theirs.initial_carry(batch)
    for segments in range(1, config["halt_max_steps"] + 1):
        carry, out = theirs(carry, batch)
        got = mine(ours, FULL, segments)
        assert error(got.logits[:, num_prefix:], out["logits"]) <= 1e-12
    assert bool(carry.halted.all()), "as many segments as its evaluation runs"


@pytest.mark.parametrize("system", BASE)
def test_names_may_carry_the_prefixes_of_compiled_training(system):
    config, theirs, mine = pair(system, {})
    wrapped = {f"_orig_mod.model.{name}": x for name, x in theirs.state_dict().items()}
    again = IMPORT[system](wrapped, config)
    assert all(torch.equal(a, b) for a, b in zip(mine.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize(
    "system, changes, message",
    [
        ("hrm", {"pos_encodings": "alibi"}, "pos_encodings='alibi'; only 'rope' or 'learned'"),
        ("hrm", {"H_layers": None}, "H_layers=None; only whole numbers"),
        ("hrm", {"mlp_t": True}, "mlp_t=True, a field that the importer does not know"),
        ("hrm", {"num_heads": 5}, "num_heads=5; only divisors of 48"),
        ("trm", {"no_ACT_continue": False}, "no_ACT_continue=False; only True .*unpacking five values of three"),
        ("trm", {"puzzle_emb_ndim": 0}, "puzzle_emb_len=3; only 0 can be imported: without puzzle embeddings"),
        ("trm", {"puzzle_emb_ndim": 200}, "dim=200 takes 5 positions of 48 channels, and num_positions=3"),
    ],
)
def test_a_config_that_cannot_be_rendered_is_refused_in_one_line(system, changes, message):
    config = {**BASE[system], **changes}
    with pytest.raises(ValueError, match=message) as refusal:
        IMPORT[system]({}, config) if "puzzle_emb_ndim" not in changes else IMPORT[system](
            Model({**config, "puzzle_emb_ndim": 48}, True).state_dict(), config
        )
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("system", BASE)
def test_the_cases_are_of_every_field_that_is_read(system):
    known, inert = {"hrm": (hrm_config.HRM, hrm_config.INERT), "trm": (hrm_config.TRM, hrm_config.INERT_TRM)}[system]
    own = known.keys() - inert.keys()
    tried = OTHERS["hrm"].keys() | OTHERS[system].keys() | {"no_ACT_continue"}
    assert own <= tried
    assert all(len(reason) > 5 for reason in inert.values()) and math.isfinite(len(inert))
