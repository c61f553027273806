"""Mixture of recursions (arXiv 2507.10524), in the form that its authors' code saves weights in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from mythos_blocks.checkpoints import mixture_of_recursions_config as fields
from mythos_blocks.checkpoints.config import Config
from mythos_blocks.checkpoints.llama import attention_sizes, expect_llama, llama_matrices, rotations_of
from mythos_blocks.checkpoints.published import Weights, opened, without_prefix
from mythos_blocks.checkpoints.translation import Rule, Translation, rename
from mythos_blocks.model.looped_transformer import LoopedTransformer

_NORMS = {"input_layernorm": "attention_norm", "post_attention_layernorm": "feedforward_norm"}
_SYSTEM = "mixture of recursions"
_HEAD, _EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"


def from_mixture_of_recursions(weights: Weights, run: Any, config: Any = None) -> LoopedTransformer:
    """Mixture of recursions with these weights, as its code evaluates it.

    Its experts choose in evaluation as in training, among all positions of a pass; so does this model
    (``halting.chosen_by: rank``), and decoding with a cache, where a call ranks its own positions alone, gives other
    logits than a whole pass. That code makes attention anew after it has shared the layers among experts'
    recursions, so that what it trains there shares feed-forwards and norms alone. Such weights are refused; where
    experts share attention too, as in the paper, they are taken.

    Args:
        weights: Of ``MoRLlamaForCausalLM``: a state dict, a safetensors file, an index of shards, or a folder. Each
            recursion has its own name for the shared layers there: one suffices, and if there are more, they are equal.
        run: What the file of its training run says, parsed: ``recursive``, ``kv_sharing``, ``relaxation`` and ``mor``
            are read, all else is of its training.
        config: Its ``LlamaConfig``, or what ``config.json`` holds; what is left out has the default of that class.
            ``None`` reads the file beside the weights.

    Raises:
        ValueError: A field is unknown or cannot be rendered, a name is unknown or missing, shared layers differ, or a
            shape does not fit.
    """
    tensors, config = opened(weights, config)
    translation = mixture_of_recursions_translation(run, config)
    return translation.build(_one_of_each(tensors, translation))


def mixture_of_recursions_translation(run: Any, config: Any) -> Translation:
    """The model that a run's file and a ``LlamaConfig`` declare, and what becomes of its tensors.

    Of shared layers, the rules have the names in the first recursion.

    Raises:
        ValueError: A field is unknown or cannot be rendered.
    """
    groups = {name: _group(run, name) for name in fields.RUN}
    file = Config(groups, _SYSTEM, fields.RUN, {})
    recursive = file.within("recursive", fields.RECURSIVE, fields.RECURSIVE_INERT)
    mor = file.within("mor", fields.MOR, fields.MOR_INERT)
    sharing = file.within("kv_sharing", fields.KV_SHARING, fields.KV_SHARING_INERT)
    relaxation = file.within("relaxation", fields.RELAXATION, fields.RELAXATION_INERT)
    recursive.expect("enable", True, why="without recursions it is a Llama")
    recursive.expect("ln_share", True, why="the core's norms are of all its iterations")
    relaxation.expect("enable", False, why="its adapters are not imported")
    sharing.expect("update_cache", False, why="no policy of the blocks writes chosen positions over the first's")
    mor.expect("enable", True, why="without it no position stops")
    mor.expect("rand_router", False, why="its choices are drawn")
    mor.expect("router_type", "linear", why="the blocks' routers are linear")
    num_recursions, temperature = recursive.count("num_recursion", at_least=2), mor.number("temp")
    if temperature <= 0:
        raise mor.refusal("temp", "numbers above 0")
    chooses = mor.expect("type", "expert", "token")
    cycles = ("cycle", "middle_cycle") if chooses == "expert" else ("middle_cycle",)
    outer = 0 if recursive.expect("sharing", *cycles) == "cycle" else 1

    read = Config(config, _SYSTEM, fields.DEFAULTS, fields.INERT)
    expect_llama(read, "llama")
    for name in ("attention_bias", "mlp_bias"):
        read.expect(name, False, why="its recursions share weights, and not biases")
    width, depth = read.count("hidden_size"), read.count("num_hidden_layers", at_least=num_recursions + 2 * outer)
    if (depth - 2 * outer) % num_recursions:
        shape = f"{2 * outer} and a multiple of num_recursion={num_recursions}" if outer else f"{num_recursions} * n"
        raise read.refusal("num_hidden_layers", shape, "its code takes layers out, and numbers keys as before")
    norm = {"kind": "rms", "eps": read.number("rms_norm_eps")}
    layer = {
        "kind": "pre_norm",
        "attention": {**attention_sizes(read, width), **rotations_of(read)},
        "feedforward": {"kind": "swiglu", "hidden": read.count("intermediate_size")},
        "norm": norm,
    }
    of_type = _expert(mor, num_recursions) if chooses == "expert" else _token(mor, num_recursions)
    base = (depth - 2 * outer) // num_recursions
    core = {
        "depth": base,
        "layer": layer,
        "loops": {"kind": "fixed", "num_loops": num_recursions},
        "kv_policy": "first" if sharing.flag("enable") else "recursion_wise",
        **of_type,
    }
    tied, vocab_size = read.flag("tie_word_embeddings"), read.count("vocab_size")
    model = {
        "width": width,
        "prelude": {"depth": outer, "layer": layer},
        "core": core,
        "coda": {"depth": outer, "layer": layer},
        "norm": norm,
        "tie_embeddings": tied,
        "initialization": {"kind": "normal", "value": read.number("initializer_range")},
    }
    for each in (file, recursive, mor, sharing, relaxation, read):
        each.finish()
    last = outer + (num_recursions if chooses == "expert" else 1)
    shared = f"model.layers.{outer}." + ("block" if chooses == "expert" else "block_list.0")
    rules = (
        rename(_EMBEDDING, "embedding.weight"),
        Rule((_HEAD,), ("head.weight",), optional=tied),
        rename("model.norm.weight", "norm.weight"),
        *(rule for i in range(outer) for rule in _layer(f"model.layers.{i}", f"prelude.layers.{i}")),
        *(rule for i in range(base) for rule in _layer(f"{shared}.{i}", f"core.layers.{i}")),
        *(rule for i in range(outer) for rule in _layer(f"model.layers.{last + i}", f"coda.layers.{i}")),
        _routers(chooses, outer, num_recursions, temperature),
    )
    return Translation(model, vocab_size, rules)


def _group(run: Any, name: str) -> Any:
    found = run.get(name, {}) if isinstance(run, Mapping) else getattr(run, name, {})
    return {} if found is None else found


def _expert(mor: Config, num_recursions: int) -> dict[str, Any]:
    """A recursion adds its block's output to those that it chose, times their score."""
    expert = mor.within("expert", fields.EXPERT, fields.EXPERT_INERT)
    mor.passed_over("token")
    expert.expect("router_func", "sigmoid", why="the blocks' gate is a sigmoid")
    expert.expect("gating", "weighted", why="the blocks' gate is read")
    sampling = expert.expect("sampling", None, "aux_loss", why="a second router is not imported")
    alpha, weight = expert.number("alpha"), expert.number("coeff", at_least=0)
    expert.finish()
    first, *shares = _shares(mor, num_recursions)
    if first != 1:
        raise mor.refusal("capacity", "those that begin with 1", "the first recursion runs all positions")
    return {
        "update": {"kind": "gated_residual", "alpha": alpha, "num_gates": num_recursions},
        "halting": {
            "kind": "expert_choice",
            "shares": shares,
            "chosen_by": "rank",
            "num_routers": num_recursions - 1,
            "auxiliary_weight": 0.0 if sampling is None else weight,
        },
    }


def _shares(mor: Config, num_recursions: int) -> list[float]:
    """Shares of all positions that recursions run, as its file lists them, or the evenly falling ones."""
    given = mor.get("capacity")
    if given is None:
        return [(num_recursions - i) / num_recursions for i in range(num_recursions)]
    try:
        shares = [float(part) for part in str(given).split(",")]
    except ValueError:
        shares = []
    falls = all(a >= b for a, b in zip(shares, shares[1:], strict=False))
    if len(shares) != num_recursions or not falls or not all(0 < share <= 1 for share in shares):
        raise mor.refusal("capacity", f"{num_recursions} falling shares of 1, joined by commas,")
    return shares


def _token(mor: Config, num_recursions: int) -> dict[str, Any]:
    """A position's depth is chosen ahead, and its last state is added to the first, times the choice's chance."""
    token = mor.within("token", fields.TOKEN, fields.TOKEN_INERT)
    mor.passed_over("expert", "capacity")
    token.expect("router_func", "softmax", why="the blocks' router of depths is a softmax")
    token.expect("gating", "weighted", why="the blocks' chance is read")
    balancing = token.expect("balancing", None, "loss", why="the blocks' router of depths has no bias that is moved")
    alpha, weight = token.number("alpha"), token.number("coeff", at_least=0)
    token.finish()
    return {
        "halting": {
            "kind": "token_choice",
            "num_depths": num_recursions,
            "readout": "residual",
            "alpha": alpha,
            "balance_weight": 0.0 if balancing is None else weight,
        }
    }


def _routers(chooses: str, outer: int, num_recursions: int, temperature: float) -> Rule:
    """Routers, without biases there and with zeros here."""
    if chooses == "token":
        router = ("core.halting.router.weight", "core.halting.router.bias")
        return Rule((f"model.layers.{outer}.mor_router.router.weight",), router, lambda x: _biased(x / temperature))
    theirs = tuple(f"model.layers.{outer + r}.mor_router.router.weight" for r in range(num_recursions))
    ours = tuple(f"core.{place}.{part}" for place in ("update.gate", "halting.router") for part in ("weight", "bias"))

    def convert(*routers: Tensor) -> list[Tensor]:
        rows = torch.cat(routers) / temperature
        return [*_biased(rows), *_biased(rows[1:])]

    return Rule(theirs, ours, convert, note="a recursion's router is the gate of its block; all but the first choose")


def _biased(weight: Tensor) -> list[Tensor]:
    return [weight, weight.new_zeros(weight.shape[0])]


def _layer(theirs: str, ours: str) -> Iterator[Rule]:
    for name, our_name in _NORMS.items():
        yield rename(f"{theirs}.{name}.weight", f"{ours}.{our_name}.weight")
    yield from llama_matrices(theirs, ours)


def _one_of_each(tensors: Mapping[str, Tensor], translation: Translation) -> Mapping[str, Tensor]:
    """Every shared tensor once, under its name in the first recursion.

    Raises:
        ValueError: Two recursions have different ones.
    """
    known = {name for rule in translation.rules for name in rule.theirs}
    found: dict[str, tuple[str, Tensor]] = {}
    for name, tensor in without_prefix(tensors, known).items():
        first = _in_the_first(name, known)
        if first in found and not torch.equal(found[first][1], tensor):
            raise ValueError(f"{found[first][0]!r} and {name!r} differ, and a shared layer has one tensor for both")
        found.setdefault(first, (name, tensor))
    return {first: tensor for first, (_, tensor) in found.items()}


def _in_the_first(name: str, known: set[str]) -> str:
    """A shared tensor's name in the first recursion; any other name as it is."""
    match name.split("."):
        case ["model", "layers", _, "block", *rest]:
            names = (f"model.layers.{outer}.block." + ".".join(rest) for outer in (0, 1))
        case ["model", "layers", layer, "block_list", _, *rest]:
            names = (f"model.layers.{each}.block_list.0." + ".".join(rest) for each in (layer,))
        case _:
            return name
    return next((first for first in names if first in known), name)
