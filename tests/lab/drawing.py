"""Random recipes over the registries and the schema."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from mythos_blocks import Spec
from mythos_blocks.declaring.registry import slot_info
from mythos_lab.recipe.paths import slot_of
from mythos_lab.recipe.schema import CODES

WIDTH = 16
_CHANGED = 0.25  # of the fields: how many are not left at their default
_SELDOM = 0.15  # the same, of those that every recipe has

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
                **self.some(
                    prefix=lambda: self.component("prefix"),
                    position_embedding=lambda: {"kind": "learned", "num_positions": rng.choice([32, 256])},
                    scale_embeddings=lambda: rng.choice([True, 0.5]),
                    logit_softcap=lambda: 5.0,
                    mup_base=lambda: {"width": WIDTH // 2},
                ),
            },
            "training": {
                "max_steps": 4,
                "batch_size": (batch_size := rng.choice([1, 2, 4])),
                "objective": objective,
                "penalties": penalties,
                "precision": rng.choice(["float32", "float32", "bfloat16"]),
                **self.some(
                    num_microbatches=lambda: batch_size,
                    batch_warmup=lambda: {"first": 1, "steps": 2},
                    checkpointing=lambda: rng.choice(["layer", "iteration"]),
                    optimizer=lambda: self.component("optimizer"),
                    schedule=lambda: self.component("schedule"),
                    groups=lambda: [{"slot": rng.choice(["core", "embedding", "injection", "norm"]), "lr": 0.5}],
                    rounding=lambda: {"to": rng.choice(["int8", "int2", "fp8"]), "share": rng.choice([0.5, 1.0])},
                    gradient_clip=lambda: 0.0,
                    ema=lambda: 0.9,
                ),
            },
            "evaluation": {
                "batch_size": rng.choice([2, 6]),
                "depth_factor": 2,
                "ood": rng.random() < 0.8,
                **self.some(breadth=lambda: 2, knockouts=lambda: False),
            },
            **self.some(measures=lambda: [{"kind": rng.choice(sorted(slot_info("measure").kinds))}]),
        }

    def some(self, **fields: Callable[[], Any]) -> dict[str, Any]:
        """A few of the fields that most recipes leave alone."""
        return {name: drawn() for name, drawn in fields.items() if self.rng.random() < _SELDOM}

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
