"""Padding counts in nothing that a run shows: more of it changes no metric, in training and in evaluation."""

import itertools
import math
import zlib
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from mythos_blocks import load_plugins
from mythos_lab.measures.depth_curve import depth_curve
from mythos_lab.measures.evaluate import evaluate, evaluate_gain
from mythos_lab.measures.knockout import knockouts
from mythos_lab.recipe import load_recipe
from mythos_lab.recipe.compose import validate
from mythos_lab.recipe.step import Learner, begin, step
from mythos_lab.tasks import IGNORE
from mythos_lab.training.assembly import assemble
from tests.blocks.parts import NEEDED, kinds
from tests.lab.recipes import DISTINCT

load_plugins()
PARITY = {"kind": "parity", "min_length": 2, "max_length": 6, "ood_range": 4, "validation_size": 24, "ood_size": 16}
EXPERTS = {"kind": "moe", "num_experts": 4, "balance_weight": 0.1, "z_weight": 0.1}


def cases():
    """Recipes with every kind in the slots that average over positions, or stop them."""
    for slot, kind in kinds("halting", "exit"):
        yield f"{slot}-{kind}", {"core": {slot: kind}}
    for _, kind in kinds("feedforward"):
        yield f"feedforward-{kind}", {"core": {"layer": {"feedforward": kind}}}
    yield "balanced", {"core": {"layer": {"feedforward": EXPERTS}}}
    for granularity in ("sequence", "global"):
        for halted_state in ("frozen", "updating"):
            act = {"kind": "act", "granularity": granularity, "halted_state": halted_state, "initial_bias": 0.0}
            yield f"act-{granularity}-{halted_state}", {"core": {"halting": act}}
    yield "q_head-position", {"core": {"halting": {"kind": "q_head", "read": "position", "initial_bias": 0.0}}}
    for loops_per in ("sequence", "token"):
        yield loops_per, {"core": {"loops_per": loops_per, "loops": {"kind": "uniform", "low": 1, "high": 4}}}
        for halting in ("act", "ponder"):
            core = {"loops_per": loops_per, "loops": {"kind": "uniform", "low": 1, "high": 4}, "halting": halting}
            yield f"{loops_per}-{halting}", {"core": core}
    for _, kind in kinds("objective"):
        halting = {"expected": "ponder", "supervised_halting": "q_head"}.get(kind, "none")
        yield f"objective-{kind}", {"core": {"halting": halting}, "training": {"objective": kind}}
    for slot, kind in kinds("penalty"):
        if kind == "distillation":
            continue  # needs a file
        penalty = {"kind": kind, **NEEDED.get((slot, kind), {})}
        halting = "gate_cdf" if kind == "gate_improvement" else "none"
        yield f"penalty-{kind}", {"core": {"halting": halting, "depth": 2}, "training": {"penalties": [penalty]}}
    yield "hierarchical", {"core": {"kind": "hierarchical"}}


CASES = dict(cases())


def recipe(core, training=None, mask="causal", name="padded"):
    core = {"loops": {"kind": "fixed", "num_loops": 3}, "injection": "lti", **core}
    if core.get("kind") == "hierarchical":
        core = {"kind": "hierarchical"}
    config = {
        "name": name,
        "mask": mask,
        "model": {"width": 16, "core": core},
        "task": PARITY,
        "training": {"batch_size": 8, "max_steps": 10, **(training or {})},
        "evaluation": {"batch_size": 8},
    }
    return validate(config, "test")


class Wider:
    """A task whose samples have more padding."""

    def __init__(self, task, num):
        self._task, self._num = task, num

    def __getattr__(self, name):
        return getattr(self._task, name)

    def batch(self, split, indices):
        batch = self._task.batch(split, indices)
        wider = {"tokens": 0, "targets": IGNORE, "real": False}
        return replace(
            batch, **{name: F.pad(getattr(batch, name), (0, self._num), value=v) for name, v in wider.items()}
        )


def randomised(recipe):
    """The model with weights so large that every effect shows."""
    model, task = assemble(recipe)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() >= 2:
                generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
                parameter.normal_(std=parameter.shape[-1] ** -0.5, generator=generator)
    return model, task


def trained(recipe, num):
    """What a training step logs, with so many more columns of padding."""
    model, task = randomised(recipe)
    task = Wider(task, num)
    learner, batch = Learner.of(recipe, model.train()), task.batch("train", range(8))
    return {name: float(x) for name, x in step(learner, batch, begin(learner, 0, batch), shows=True).items()}


def evaluated(recipe, num):
    """What is measured on a model, with so many more columns of padding."""
    model, task = randomised(recipe)
    task = Wider(task, num)
    scores = evaluate_gain(model, task, recipe)
    found = {**scores.metrics()}
    found |= {
        f"{name}.{end}": x for name, ends in scores.intervals().items() for end, x in zip("lh", ends, strict=True)
    }
    found |= {f"ran {n}": share for n, share in enumerate(scores.histogram)}
    for split in ("validation", "ood"):
        curve = depth_curve(model, task, recipe, split)
        found |= {f"{split} {row['loops']} {name}": x for row in curve.rows() for name, x in row.items()}
        found |= {f"{split} {n} ran": s.mean_loops for n, s in curve.scores.items()}
    for slot, without in knockouts(model, task, recipe).items():
        found |= {f"without {slot} {name}": x for name, x in without.metrics().items()}
    return found


def differing(some, others):
    assert some.keys() == others.keys()
    return {k: (x, others[k]) for k, x in some.items() if not math.isclose(x, others[k], rel_tol=2e-4, abs_tol=2e-5)}


# Of two cases beside each other, one under either mask: all under both take three minutes.
@pytest.mark.parametrize("case, mask", zip(CASES, itertools.cycle(["causal", "full"]), strict=False))
def test_more_padding_changes_no_metric(case, mask):
    declared = recipe(**CASES[case], mask=mask)
    for measure in (trained, evaluated):
        found = []
        for num in (0, 40):
            torch.manual_seed(0)
            found.append(measure(declared, num))
        assert not differing(*found), measure.__name__


@pytest.mark.parametrize("name", DISTINCT)
def test_loops_run_are_loops_read_where_nothing_halts(name):
    declared = load_recipe(name, ["training.batch_size=4"])
    if declared.model.core.halting.kind != "none":
        return
    model, task = assemble(declared)
    learner, batch = Learner.of(declared, model.train()), task.batch("train", range(4))
    shown = step(learner, batch, begin(learner, 0, batch), shows=True)
    assert "train/num_loops" in shown and not {"train/mean_loops", "train/depth_read"} & set(shown)
    scores = evaluate(model, task, declared.model_copy(update={"evaluation": declared.evaluation}), iterations=2)
    assert scores.depth_read == pytest.approx(scores.num_loops) == pytest.approx(scores.mean_loops)


def test_a_kind_of_every_slot_here_is_tried():
    assert {slot for slot, _ in kinds("halting", "exit", "objective", "penalty")} <= {c.split("-")[0] for c in CASES}
