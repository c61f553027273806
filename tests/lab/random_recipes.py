"""Random recipes over the registries, and what became of each: it trains, evaluates and decodes, or is refused.

For thousands: ``python -m tests.lab.random_recipes 2000 --seed 1``, which prints faults with the recipe that has them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import sys
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import torch

from mythos_blocks import LoopedTransformer, Spec, load_plugins
from mythos_blocks.checkpoints import save
from mythos_blocks.declaring.registry import slot_info, slots
from mythos_blocks.generation import generate
from mythos_lab.measures.depth_curve import depth_curve
from mythos_lab.measures.evaluate import evaluate_gain
from mythos_lab.measures.knockout import knockouts
from mythos_lab.recipe.compose import validate
from mythos_lab.recipe.cost import cost
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.paths import slot_of
from mythos_lab.recipe.schema import CODES, Recipe
from mythos_lab.recipe.step import Learner, begin, step
from mythos_lab.training.assembly import assemble, effects

WIDTH = 16
_CHANGED = 0.25  # of the fields: how many are not left at their default

# Fields that keep a kind small, or that it needs.
FIELDS: dict[tuple[str, str], dict[str, Any]] = {
    ("loops", "fixed"): {"num_loops": 3},
    ("loops", "uniform"): {"low": 1, "high": 3},
    ("loops", "poisson"): {"mean": 2, "maximum": 4},
    ("loops", "poisson_lognormal"): {"mean": 2, "maximum": 4},
    ("loops", "geometric"): {"mean": 2, "maximum": 4},
    ("loops", "negative_binomial"): {"mean": 2, "maximum": 4},
    ("attention", "mla"): {"kv_rank": 8, "q_rank": 8, "nope_dim": 4, "rope_dim": 4, "value_dim": 4},
    ("task", "reachability"): {"num_nodes": 6, "max_hops": 2, "ood_range": 1},
    ("task", "reachability_as_published"): {"min_nodes": 4, "max_nodes": 8, "max_hops": 2},
    ("task", "boolean"): {"max_depth": 2, "max_length": 12},
    ("task", "listops_lite"): {"max_depth": 2, "max_length": 12},
    ("task", "p_hop"): {"length": 16, "alphabet": 4, "max_hops": 2, "ood_range": 1},
    ("task", "mqar"): {"vocab_size": 16, "settings": [{"length": 16, "num_pairs": 2}, {"length": 8, "num_pairs": 2}]},
    ("task", "mad_in_context_recall"): {"length": 16},
    ("task", "mad_noisy_recall"): {"length": 16},
    ("task", "mad_fuzzy_recall"): {"length": 32},
    ("task", "mad_selective_copying"): {"length": 24, "num_copied": 4},
    ("task", "mad_compression"): {"length": 8},
    ("task", "mad_memorization"): {"vocab_size": 32, "length": 8},
    ("task", "relational_composition"): {"num_entities": 3, "max_relations": 2, "ood_range": 1},
    ("task", "kinship"): {"max_hops": 2, "ood_range": 1},
    ("task", "kinship_as_published"): {"max_hops": 2, "ood_range": 1},
    ("task", "igsm_lite"): {"max_steps": 2},
    ("task", "maze"): {"size": 3, "max_steps": 4, "ood_range": 1},
    ("task", "word_problem"): {"length": 8},
    ("task", "text"): {"length": 16},
    ("penalty", "distillation"): {"teacher": "teacher.safetensors"},
    ("penalty", "jacobian_radius"): {"num_iterations": 1},
}
SIZES = {"validation_size": 6, "test_size": 2, "ood_size": 6}
NEEDS_HALTING = {"expected": ("act", "ponder", "gate_cdf"), "supervised_halting": ("q_head",)}
# Slots of which a recipe has one of its own kinds, or nothing that is drawn here: data from elsewhere, files.
LEFT_ALONE = {"dataset", "tokenizer", "optimizer", "schedule", "initialization"}


class Draw:
    """One random recipe.

    Args:
        seed: Decides everything.
        folder: Holds ``text.txt`` and ``teacher.safetensors``.
    """

    def __init__(self, seed: int, folder: Path) -> None:
        self.rng, self.folder = random.Random(seed), folder

    def recipe(self) -> dict[str, Any]:
        rng = self.rng
        task_kind = rng.choice(sorted(slot_info("task").kinds))
        task = self.fields("task", task_kind)
        if task_kind == "text" and rng.random() < 0.3:
            task["tokenizer"] = {"kind": "bpe", "vocab_size": 280}
        made = slot_info("task").kinds[task_kind]
        usual = "task" if task.get("document_mask") or made.has_mask else "full" if made.bidirectional else "causal"
        if usual == "causal" and not made.causal:
            usual = rng.choice(["causal", "full"])
        penalties = [self.component("penalty") for _ in range(rng.choice([0, 0, 0, 1, 2]))]
        objective = self.component("objective") if rng.random() < 0.4 else {"kind": "final"}
        core = self.component("core")
        if objective["kind"] in NEEDS_HALTING and rng.random() < 0.9:
            core["halting"] = self.fields("halting", rng.choice(NEEDS_HALTING[objective["kind"]]))
        return {
            "name": "random",
            "mask": usual if rng.random() < 0.95 else rng.choice(["causal", "full", "task"]),
            "seed": rng.randrange(100),
            "waive": list(CODES),
            "task": task,
            "model": {
                "width": WIDTH,
                "prelude": self.stack(),
                "core": core,
                "coda": self.stack(),
                "norm": self.component("norm"),
                "tie_embeddings": rng.random() < 0.5,
                "initialization": rng.choice(sorted(slot_info("initialization").kinds)),
            },
            "training": {
                "max_steps": 4,
                "batch_size": rng.choice([1, 2, 3]),
                "objective": objective,
                "penalties": penalties,
                "precision": rng.choice(["float32", "float32", "bfloat16"]),
            },
            "evaluation": {"batch_size": rng.choice([2, 6]), "depth_factor": 2, "ood": rng.random() < 0.8},
        }

    def stack(self) -> dict[str, Any]:
        return {"depth": self.rng.choice([0, 0, 1]), "layer": self.component("layer")}

    def component(self, slot: str) -> dict[str, Any]:
        """Any kind of a slot, with some of its fields changed."""
        return self.fields(slot, self.rng.choice(sorted(slot_info(slot).kinds)))

    def fields(self, slot: str, kind: str) -> dict[str, Any]:
        spec: type[Spec] = slot_info(slot).kinds[kind].Spec
        chosen = {"kind": kind, **FIELDS.get((slot, kind), {})}
        if slot == "task":
            chosen |= {name: size for name, size in SIZES.items() if name in spec.model_fields and "_size" in name}
        if kind == "text":
            chosen["path"] = str(self.folder / "text.txt")
        if kind == "distillation":
            chosen["teacher"] = str(self.folder / "teacher.safetensors")
        if kind == "mixer":
            chosen["num_positions"] = self.rng.choice([8, 9, 16])
        if kind == "loop":
            chosen |= {"depth": self.rng.choice([1, 1, 2]), "loops": self.component("loops")}
        for name, field in spec.model_fields.items():
            if name in chosen or self.rng.random() > _CHANGED:
                continue
            inner = slot_of(field)
            if inner is not None and inner not in LEFT_ALONE:
                chosen[name] = self.component(inner)
            elif inner is None and (values := _values(field.annotation, numbers=slot != "task")):
                chosen[name] = self.rng.choice(values)
        if chosen.get("depth", 2) < 2 and self.rng.random() < 0.9:
            chosen.pop("alternate", None)
        return chosen


def _values(annotation: Any, numbers: bool) -> list[Any]:
    """A few values of a field that has words, yes or no, or, if wanted, small numbers."""
    if get_origin(annotation) in (Union, UnionType):
        return [value for member in get_args(annotation) for value in _values(member, numbers)]
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    if annotation is bool:
        return [False, True]
    if not numbers:
        return []
    if annotation is type(None):
        return [None]
    inner = getattr(annotation, "__origin__", annotation)
    return [1, 2, 4] if inner is int else [0.25, 0.5] if inner is float else []


def prepare(folder: Path) -> None:
    """Write what recipes read: a text, and a teacher; and have tokens kept in the same place."""
    load_plugins()
    os.environ["MYTHOS_CACHE"] = str(folder / "tokens")
    (folder / "text.txt").write_text("\n".join(f"line {i} of many: {i * i}" for i in range(400)))
    save(LoopedTransformer(6, width=8), folder / "teacher.safetensors")  # of tasks with six tokens


def tried(config: dict[str, Any], costs: bool = False) -> str:
    """``ran``, or the line with which the recipe was refused. What is neither is raised.

    Args:
        config: The recipe.
        costs: Count its costs too, which takes three times as long as all else.
    """
    try:
        recipe = validate(config, "random")
        model, task = assemble(recipe)
        effects(recipe, model, task)
    except RecipeError as error:
        assert error.lines and all(line and "\n" not in line for line in error.lines), error.lines
        return error.lines[0]
    _train(recipe, model, task)
    evaluate_gain(model, task, recipe)
    for split in ("validation", "ood") if recipe.evaluation.ood and task.size("ood") else ("validation",):
        depth_curve(model, task, recipe, split)  # type: ignore[arg-type]
    knockouts(model, task, recipe)
    if costs:
        assert cost(recipe).metrics()
    if recipe.mask == "causal":
        prompt = task.batch("validation", range(2)).tokens[:, :5]
        assert generate(model, prompt, max_new_tokens=3).tokens.shape == (2, 3)
    return "ran"


def _train(recipe: Recipe, model: LoopedTransformer, task: Any) -> None:
    learner = Learner.of(recipe, model.train())
    batch = task.batch("train", range(recipe.training.batch_size))
    numbers = step(learner, batch, begin(learner, 0, batch), shows=True)
    assert all(isinstance(float(value), float) for value in numbers.values())


def kinds_in(config: Any, slot: str = "") -> set[str]:
    """Every kind that a recipe declares, by field."""
    found: set[str] = set()
    if isinstance(config, dict):
        if "kind" in config:
            found.add(f"{slot}={config['kind']}")
        for name, value in config.items():
            found |= kinds_in(value, name)
    if isinstance(config, list):
        found = {kind for item in config for kind in kinds_in(item, slot)}
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("num", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--refusals", action="store_true", help="Print how often which line refused.")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    outcomes: Counter[str] = Counter()
    pairs: set[tuple[str, str]] = set()
    faults: dict[str, int] = {}
    begun = time.time()
    with TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        for seed in range(options.seed, options.seed + options.num):
            config = Draw(seed, folder).recipe()
            try:
                outcome = tried(config, costs=seed % 16 == 0)
            except Exception as error:
                where = traceback.extract_tb(error.__traceback__)
                place = next(f for f in reversed(where) if "mythos" in f.filename)
                fault = (
                    f"{type(error).__name__} {place.filename.split('mythos_', 1)[-1]}:{place.lineno} {str(error)[:200]}"
                )
                faults[fault] = faults.get(fault, 0) + 1
                outcome = "fault"
                if faults[fault] == 1:
                    print(f"seed {seed}: {fault}\n  {json.dumps(config)}", flush=True)
            if outcome == "ran":
                pairs |= set(itertools.combinations(sorted(kinds_in(config)), 2))
            outcomes[outcome if outcome in ("ran", "fault") or options.refusals else "refused"] += 1
    for outcome, count in outcomes.most_common():
        print(count, outcome)
    print(f"{len(pairs)} pairs of kinds ran; {time.time() - begun:.0f} s; {len(slots())} slots")
    for fault, count in sorted(faults.items(), key=lambda item: -item[1]):
        print(count, fault)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
