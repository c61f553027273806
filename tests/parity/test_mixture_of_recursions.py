"""Mixture of recursions' weights in our model, against a plain rendering of what its code evaluates.

The authors' code (raymin0223/mixture_of_recursions, 3ba8222) runs on transformers 4.50 alone. There these cases agree to
2e-15 with attention tied again, which it leaves apart for experts.
"""

import copy

import pytest
import torch

from mythos_blocks.checkpoints import (
    from_mixture_of_recursions,
    mixture_of_recursions_config,
    mixture_of_recursions_translation,
)
from tests.parity.from_state import error, randomised
from tests.parity.mixture_of_recursions import CONFIG, RUN, MixtureOfRecursions

TOKENS = torch.randint(0, 30, (2, 11), generator=torch.Generator().manual_seed(1))
TOKEN, SHARED = {"mor.type": "token"}, {"kv_sharing.enable": True}
RUNS = [
    {},
    {"recursive.num_recursion": 2},
    {"recursive.sharing": "cycle", "recursive.num_recursion": 2},
    {"mor.capacity": "1.0,0.5,0.1"},
    {"mor.temp": 0.5},
    {"mor.expert.alpha": 0.7},
    SHARED,
    {**SHARED, "recursive.sharing": "cycle", "recursive.num_recursion": 4, "mor.capacity": "1,0.5,0.5,0.3"},
    TOKEN,
    {**TOKEN, "mor.token.alpha": 0.4, "mor.temp": 2.0},
    {**TOKEN, **SHARED, "recursive.num_recursion": 2},
]
CONFIGS = {
    "vocab_size": 50, "hidden_size": 64, "intermediate_size": 48, "num_hidden_layers": 11, "num_attention_heads": 8,
    "num_key_value_heads": 1, "head_dim": 8, "rms_norm_eps": 0.1, "rope_theta": 50.0, "tie_word_embeddings": True,
}  # fmt: skip
REFUSED = {
    "recursive.enable": False,
    "recursive.num_recursion": 1,
    "recursive.sharing": "sequence",
    "recursive.ln_share": False,
    "kv_sharing.update_cache": True,
    "relaxation.enable": True,
    "mor.enable": False,
    "mor.type": "both",
    "mor.capacity": "0.9,0.5,0.1",
    "mor.rand_router": True,
    "mor.temp": 0.0,
    "mor.router_type": "mlp",
    "mor.expert.router_func": "tanh",
    "mor.expert.sampling": "aux_router",
    "mor.expert.gating": "additive",
    "mor.token.router_func": "sigmoid",
    "mor.token.balancing": "loss_free",
    "mor.token.gating": "additive",
}
REFUSED_OF_LLAMA = {
    "model_type": "ouro",
    "hidden_act": "gelu",
    "rope_scaling": {"rope_type": "linear", "factor": 2.0},
    "attention_bias": True,
    "attention_dropout": 0.1,
    "mlp_bias": True,
    "num_hidden_layers": 9,
}


def changed(changes):
    """The run's file with other values, by path."""
    run = copy.deepcopy(RUN)
    for path, value in changes.items():
        *groups, name = path.split(".")
        at = run
        for group in groups:
            at = at[group]
        at[name] = value
    return run


def pair(changes=(), config=()):
    run, config = changed(dict(changes)), {**CONFIG, **dict(config)}
    theirs = randomised(MixtureOfRecursions(config, run).double(), gain=0.7)
    return theirs, from_mixture_of_recursions(theirs.state_dict(), run, config)


CASES = [*((run, {}) for run in RUNS), *(({}, {name: value}) for name, value in CONFIGS.items())]


@torch.no_grad()
@pytest.mark.parametrize("changes, config", CASES, ids=str)
def test_logits_are_equal(changes, config):
    theirs, mine = pair(changes, config)
    out = mine(TOKENS)
    assert error(out.logits, theirs(TOKENS)) <= 1e-12
    assert len(torch.stack(out.halting.weights).argmax(0).unique()) > 1, "the case is meant to choose"


def test_shared_layers_are_read_under_any_recursions_name_and_must_be_one():
    theirs, mine = pair()
    tensors = theirs.state_dict()
    last = {n: x for n, x in tensors.items() if not n.startswith(("model.layers.1.block", "model.layers.2.block"))}
    again = from_mixture_of_recursions({f"module.{n}": x for n, x in last.items()}, RUN, CONFIG)
    assert torch.equal(again(TOKENS).logits, mine(TOKENS).logits)
    name = "model.layers.2.block.0.mlp.up_proj.weight"
    with pytest.raises(ValueError, match=f"'model.layers.1.*' and '{name}' differ, and a shared"):
        from_mixture_of_recursions({**tensors, name: tensors[name] + 1}, RUN, CONFIG)


@pytest.mark.parametrize("path", REFUSED)
def test_what_cannot_be_rendered_is_refused_by_name_in_one_line(path):
    kind = TOKEN if path.startswith("mor.token") else {}
    with pytest.raises(ValueError, match=f"the mixture of recursions config has {path}=") as refusal:
        mixture_of_recursions_translation(changed({**kind, path: REFUSED[path]}), CONFIG)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 300


@pytest.mark.parametrize("name", REFUSED_OF_LLAMA)
def test_so_is_what_its_llama_cannot_be(name):
    with pytest.raises(ValueError, match=f"the mixture of recursions config has {name}="):
        mixture_of_recursions_translation(RUN, {**CONFIG, name: REFUSED_OF_LLAMA[name]})


def test_the_cases_are_of_every_field_that_is_read():
    known = mixture_of_recursions_config
    of_llama = known.DEFAULTS.keys() - known.INERT.keys()
    assert of_llama == CONFIGS.keys() | REFUSED_OF_LLAMA.keys() | {"initializer_range"}
    groups = {
        "recursive": (known.RECURSIVE, known.RECURSIVE_INERT),
        "kv_sharing": (known.KV_SHARING, known.KV_SHARING_INERT),
        "relaxation": (known.RELAXATION, known.RELAXATION_INERT),
        "mor": (known.MOR, {**known.MOR_INERT, "expert": "", "token": ""}),
        "mor.expert": (known.EXPERT, known.EXPERT_INERT),
        "mor.token": (known.TOKEN, known.TOKEN_INERT),
    }
    own = {f"{at}.{name}" for at, (all_, inert) in groups.items() for name in all_.keys() - inert.keys()}
    weights = {"mor.expert.coeff", "mor.token.coeff"}
    assert own == {path for run in RUNS for path in run} | REFUSED.keys() | weights
    losses = {"expert": "auxiliary_weight", "token": "balance_weight"}
    for kind, ours in losses.items():
        run = changed({"mor.type": kind, f"mor.{kind}.coeff": 0.3})
        assert mixture_of_recursions_translation(run, CONFIG).model["core"]["halting"][ours] == 0.3
    with pytest.raises(ValueError, match="mor.colour='red', a field that the importer does not know"):
        mixture_of_recursions_translation(changed({"mor.colour": "red"}), CONFIG)
