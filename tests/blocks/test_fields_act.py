"""No declared field is without effect: each has another value with which a model is, or does, something else."""

import functools
import hashlib
import json

import pytest
import torch
from pydantic import ValidationError

import mythos_blocks as mb
from mythos_blocks.declaring.registry import lookup, slot_info
from mythos_blocks.declaring.spec import json_schema
from tests.blocks.parts import CONTEXT, NEEDED, VOCAB, WIDTH, kinds, randomise, tokens

IN_LAYER = ("attention", "feedforward", "norm", "depth_attention")
POSITIONS = 8

BESIDE = {
    ("core", "loop", "alternate"): {"depth": 2},
    ("core", "loop", "tying"): {"depth": 5},
    ("core", "loop", "schedule"): {"depth": 2},
    ("stack", "sequence", "schedule"): {"depth": 2},
    ("halting", "token_choice", "alpha"): {"readout": "residual"},
    ("core", "hierarchical", "gradient"): {"cycle_gradient": "full"},
    ("core", "hierarchical", "injects"): {"initial_state": "input"},
    ("depth_signal", "coordinates", "std"): {"step": "learned"},
    ("depth_signal", "coordinates", "beyond"): {"step": "learned"},
    ("exit", "cosine", "min_loops"): {"threshold": 3.0},
    ("exit", "latent", "min_loops"): {"threshold": 1e3},
    ("exit", "min_p_kl", "min_loops"): {"threshold": 1e3},
    ("layer", "post_norm", "attention_norm_over"): {"attention": {"kind": "mixer", "num_positions": 8}},
    ("kv_policy", "blocks", "counts"): {"share": "overwrite"},
    ("kv_policy", "modulo", "counts"): {"share": "overwrite"},
    ("kv_policy", "anchor", "period"): {"num_exact": 1},
    ("kv_policy", "anchor", "share"): {"num_exact": 1},
    ("loops", "curriculum", "on"): {"base": {"kind": "poisson", "mean": 8.0, "gradient_window": 4}},
    ("loops", "curriculum", "shape"): {"base": {"kind": "poisson", "mean": 60.0}, "share": 1.0},
    ("loops", "fixed", "gradient_window"): {"num_loops": 5},
    ("loops", "geometric", "gradient_window"): {"mean": 20.0},
    ("loops", "uniform", "gradient_window"): {"low": 5, "high": 6},
    ("objective", "expected", "rate"): {"prior": "geometric", "rate": 0.3},
    ("stack", "sequence", "alternate"): {"depth": 2},
}
"""Fields of the same component without which a field does not act."""

AROUND = {
    ("core", "loop", "state_width"): {"injection": "concat", "interface": "projection", "initial_state": "zeros"},
    ("kv_policy", "blocks", "counts"): {"depth": 3},
    ("kv_policy", "modulo", "counts"): {"depth": 3},
    ("halting", "act", "final_remainder"): {"loops": {"kind": "fixed", "num_loops": 1}},
    **{("objective", "supervised_halting", name): {"halting": "q_head"} for name in ("weight",)},
    **{("penalty", "gate_improvement", name): {"halting": "gate_cdf"} for name in ("weight", "slope", "gain")},
    **{("penalty", "weight_cosine", name): {"depth": 4} for name in ("weight", "block")},
}
"""Fields of the core around a component without which a field does not act."""

OTHER = {
    ("core", "loop", "state_width"): [16],
    ("depth_adapter", "loop_lora", "on"): [["attention.*"]],
    ("model", "looped_transformer", "mup_base"): [{"width": 8}],
    ("core", "hierarchical", "low_gradient"): [[1, 2]],
    ("halting", "expert_choice", "shares"): [[0.9, 0.3]],
    ("core", "loop", "schedule"): [[0, 1, 0]],
    ("stack", "sequence", "schedule"): [[0, 1, 0]],
    ("loops", "choice", "counts"): [[2, 3]],
    ("loops", "choice", "weights"): [[1.0, 9.0]],
    **{("loops", kind, "maximum"): [9] for kind in ("geometric", "poisson", "poisson_lognormal")},
    ("loops", "negative_binomial", "maximum"): [20],
    **{("loops", kind, "gradient_window"): [1] for kind in ("fixed", "geometric", "uniform")},
    ("model", "looped_transformer", "prelude"): [{"kind": "sequence", "depth": 2}],
    ("prefix", "puzzle", "num_puzzles"): [VOCAB + 1],
    ("objective", "expected", "prior"): [{"prior": "geometric", "rate": 0.3}],
}
"""Other values where none can be guessed; a mapping with the field's name in it has what goes with it."""

ELSEWHERE = {
    ("attention", "mixer", "num_positions"): "says what is refused: tests/blocks/test_attention_options.py",
    ("halting", "act", "crossing"): "differs where a sum is the threshold: tests/blocks/test_halting_rules.py",
    **{
        ("penalty", "distillation", name): "needs a teacher: tests/blocks/test_penalty.py"
        for name in ("teacher", "weight", "temperature")
    },
}
"""Fields whose effect is shown by a test of its own."""


FIELDS = [
    (slot, kind, field)
    for slot, kind in kinds()
    for field in lookup(slot, kind).Spec.model_fields
    if field != "kind" and (slot, kind, field) not in ELSEWHERE
]


def declared(slot, kind, fields, core):
    """A small model's fields, with the component in its place."""
    component = {"kind": kind, **NEEDED.get((slot, kind), {}), **fields}
    model = {"width": 32, "prelude": {"depth": 1}, "core": {"loops": {"kind": "fixed", "num_loops": 5}, **core}}
    if slot in IN_LAYER:
        model["core"]["layer"] = {"kind": "mixture" if slot == "depth_attention" else "pre_norm", slot: component}
    elif slot == "layer":
        model["core"]["layer"] = component
    elif slot == "core":
        model["core"] |= component
    elif slot == "stack":
        model["prelude"] = component
    elif slot == "model":
        model |= component
    elif slot in ("initialization", "prefix", "position_embedding"):
        model[slot] = component
    elif slot not in ("objective", "penalty"):
        model["core"][slot] = component
    model.pop("kind", None)
    return model


def passes(model, slot, component):
    """What the model shows of itself: initial weights, training, a step's end, evaluation, decoding."""
    shown = [(n, p.clone()) for n, p in model.state_dict().items()]
    yield [n for n, _ in shown], [p for _, p in shown]
    if slot == "initialization":
        return
    generator = torch.Generator().manual_seed(0)
    randomise(model, std=0.2)
    for progress in (0.0, 0.5, 1.0) if slot in ("loops", "core", "gradient") else (0.3,):
        model.train()
        model.core.loops.progress = progress
        counts = [model.core.draw(generator, torch.Size((3, POSITIONS))) for _ in range(6)]
        yield [torch.as_tensor(count) for count in counts]
        model.zero_grad()
        torch.manual_seed(1)
        mask = mb.AttentionMask(causal=not isinstance(component, mb.Mixer))
        record = getattr(component, "every_step", False)
        ids = tokens(3, POSITIONS)
        real = torch.arange(POSITIONS) < torch.tensor([[8], [6], [7]]) if mask.causal else None
        drawn = max(counts, key=lambda count: int(torch.as_tensor(count).max()))
        out = model(ids, mask, drawn, record=record, real=real)
        loss = out.logits.square().mean() + sum(out.losses.values())
        if slot in ("objective", "penalty"):
            loss = component.loss(model, out, ids.roll(-1, 1))
            loss = loss[0] if isinstance(loss, tuple) else loss
        loss.backward()
        yield out.logits, out.halting.readout, *out.halting.weights, loss, out.executed
        yield [p.grad for p in model.parameters() if p.grad is not None]
    if slot == "stabilizer":
        with torch.no_grad():
            for parameter in model.core.parameters():
                parameter *= 20
    for _ in range(3):
        model.after_optimizer_step()
    yield list(model.state_dict().values())
    with torch.no_grad():
        model.eval()
        out = model(tokens(3, POSITIONS), mask)
        yield out.logits, out.executed, *out.halting.weights
        out = model(tokens(3, POSITIONS), mask, 9)
        yield out.logits, out.executed, *out.halting.weights
        if mask.causal:
            decoder = mb.Decoder(model, 3)
            yield [decoder.advance(part).logits for part in tokens(3, POSITIONS).split([5, 1, 2], 1)]


def flat(value):
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from flat(item)
    else:
        yield value


@functools.cache
def shown(slot, kind, fields, core):
    """A hash of all that the model shows."""
    fields, core = json.loads(fields), json.loads(core)
    model = mb.LoopedTransformer(VOCAB, **declared(slot, kind, fields, core))
    component = None
    if slot in ("objective", "penalty"):
        component = mb.build(mb.Slot(slot).resolve({"kind": kind, **NEEDED.get((slot, kind), {}), **fields}))
    elif slot in ("attention", "layer"):
        component = model.core.layers[0].attention
    digest = hashlib.sha256()
    for value in flat(list(passes(model, slot, component))):
        said = value.detach().numpy().tobytes() if isinstance(value, torch.Tensor) else repr(value).encode()
        digest.update(said)
    return digest.hexdigest()


@functools.cache
def schema():
    return json_schema(mb.LoopedTransformer.Spec)["$defs"]


def others(slot, kind, field, default):
    """Other values of a field, from its schema."""
    if (slot, kind, field) in OTHER:
        return OTHER[slot, kind, field]
    entry = schema()[f"{slot}.{kind}"]["properties"][field]
    found = []
    for option in entry.get("anyOf", [entry]):
        if "$ref" in option:
            of = option["$ref"].rpartition("/")[2]
            found += [{"kind": k, **NEEDED.get((of, k), {})} for k in slot_info(of).kinds if k != default]
        elif "enum" in option or "const" in option:
            found += [value for value in option.get("enum", [option.get("const")]) if value != default]
        elif option.get("type") == "boolean":
            found += [not default]
        elif option.get("type") == "integer":
            n = default if isinstance(default, int) and not isinstance(default, bool) else 2
            found += [n + 1, 2 * n, 3, 1, n - 1, 8]
        elif option.get("type") == "number":
            x = default if isinstance(default, (int, float)) else 0.5
            found += [x / 2, 2 * x, x + 0.1, x - 0.1, 1 - x]
        elif option.get("type") == "null" and default is not None:
            found += [None]
    return [value for value in found if value != default]


@pytest.mark.parametrize("slot, kind, field", FIELDS)
def test_a_field_acts(slot, kind, field):
    key = (slot, kind, field)
    beside, core = BESIDE.get(key, {}), json.dumps(AROUND.get(key, {}))
    default = beside.get(field, lookup(slot, kind).Spec.model_fields[field].default)
    default = default if not isinstance(default, mb.Spec) else default.kind
    before = shown(slot, kind, json.dumps(beside), core)
    tried = []
    for value in others(slot, kind, field, default):
        try:
            fields = value if isinstance(value, dict) and field in value else {field: value}
            if shown(slot, kind, json.dumps({**beside, **fields}), core) != before:
                return
        except (ValueError, ValidationError, RuntimeError) as error:
            tried.append(f"{value}: {str(error).splitlines()[0][:150]}")
        else:
            tried.append(f"{value}: the same")
    pytest.fail(f"nothing differs: {tried}")


@pytest.mark.parametrize(
    "slot, kind, fields",
    [
        ("stack", "sequence", {"alternate": "post_norm"}),
        ("core", "loop", {"alternate": "post_norm"}),
        ("depth_signal", "coordinates", {"std": 0.5}),
        ("depth_signal", "coordinates", {"beyond": "zero"}),
        ("loops", "curriculum", {"on": "backward"}),
        ("objective", "expected", {"rate": 0.3}),
    ],
)
def test_a_field_that_could_not_act_is_refused(slot, kind, fields):
    with pytest.raises(ValueError, match=next(iter(fields))):
        mb.build(mb.Slot(slot).resolve({"kind": kind, **fields}), *CONTEXT.get(slot, (WIDTH,)))
