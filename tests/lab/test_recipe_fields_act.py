"""No field of a recipe is without effect: each has another value with which a run is refused, or does something else."""

import hashlib
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient
from safetensors.torch import load_file

from mythos_blocks import LoopedTransformer, load_plugins
from mythos_blocks.declaring.registry import lookup, slot_info
from mythos_blocks.declaring.spec import Declaration
from mythos_lab.measures import evaluate
from mythos_lab.recipe import Recipe, RecipeError, load_recipe
from mythos_lab.recipe.cost import cost
from mythos_lab.training.result import WEIGHTS
from mythos_lab.training.run import run
from tests.lab.search.conftest import quiet
from tests.lab.search.tiny import OVERRIDES

BASE = [*OVERRIDES, "training.log_every=2", "training.optimizer={kind: adamw}", "measures=[]"]
LTI = ["model.core.injection=lti", "model.core.update=replace"]

CHANGES = {
    "name": ("another",),
    "imports": ("[tests.lab.no_such_module]",),
    "seed": ("7",),
    "mask": ("full", "task=copy", "mask=causal"),
    "model": ("{kind: looped_transformer, width: 8}",),
    "task": ("copy", "mask=causal"),
    "waive": ("[stability.rho]", "stability.max_spectral_radius=0.1", "stability.on_violation=warn", *LTI),
    "training.max_steps": ("6",),
    "training.batch_size": ("4",),
    "training.schedule": ("constant",),
    "training.objective": ("{kind: power_weighted}",),
    "training.penalties": ("[z_loss]",),
    "training.gradient_clip": ("0.01",),
    "training.precision": ("bfloat16",),
    "training.validate_every": ("4",),
    "training.log_every": ("1",),
    "training.num_threads": ("2",),
    "training.accelerator": ("mps",),
    "training.num_microbatches": ("2",),
    "training.batch_warmup": ("{first: 2, steps: 3}",),
    "training.checkpointing": ("layer",),
    "training.rounding": ("{to: int2}",),
    "training.ema": ("0.5",),
    "training.solved_at": ("0.001", "training.validate_every=2", "task.group=S3"),
    "training.groups": ("[{slot: norm, lr: 0.5}]",),
    "training.optimizer": ("muon",),
    "training.optimizer.momentum": ("0.5", "training.optimizer={kind: muon}"),
    "training.optimizer.num_iterations": ("2", "training.optimizer={kind: muon}"),
    "training.schedule.decay_steps": ("0.9", "training.schedule=wsd"),
    "training.schedule.shape": ("linear", "training.schedule={kind: wsd, decay_steps: 0.9}"),
    "training.start": ("nowhere",),
    "training.optimizer.lr": ("0.1",),
    "training.optimizer.weight_decay": ("0.9",),
    "training.optimizer.beta1": ("0.1",),
    "training.optimizer.beta2": ("0.1",),
    "training.schedule.warmup_steps": ("3",),
    "training.schedule.final": ("0.9", "training.schedule=cosine"),
    "evaluation.batch_size": ("8",),
    "evaluation.breadth": ("2", "model.core.initial_state=normal"),
    "evaluation.depth_factor": ("2",),
    "evaluation.ood": ("false", "task.ood_range=1"),
    "evaluation.knockouts": ("true", *LTI),
    "measures": ("[loop_verdict]",),
    "monitor.every": ("1", "monitor.measures=null"),
    "monitor.measures": ("[two_scale]",),
    "monitor.num_samples": ("3", "monitor.measures=null"),
    "stability.max_spectral_radius": ("0.1", *LTI),
    "stability.on_violation": ("warn", "stability.max_spectral_radius=0.1", "waive=[stability.rho]", *LTI),
    "tracking.uri": ("sqlite:///elsewhere.db",),
    "tracking.experiment": ("another",),
}
"""Another value of each field, and what it needs beside it in order to act."""

REFUSED = ("imports", "training.accelerator", "training.start", "stability.max_spectral_radius")
"""Fields whose other value is refused: no such module, device or run, and a rho that is above it from the start."""

ELSEWHERE = {
    "version": "has one value",
    "description": "is what people read; `mythos recipes` shows it: tests/lab/cli/test_output.py",
    "training.start_with": "goes on where another run ended: tests/lab/training/test_start.py",
    "training.compile": "comes to the same but for rounding: tests/lab/training/test_compiled.py",
    "training.num_devices": "starts processes: tests/lab/training/test_devices.py",
    "training.strategy": "is how they share the model: tests/lab/training/test_devices.py",
}


def fields(declared=Recipe, prefix=""):
    """Paths of all fields that are not a model's or a task's: those have contracts of their own."""
    for name, field in declared.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Declaration):
            yield from fields(inner, f"{prefix}{name}.")
            continue
        yield f"{prefix}{name}"
        if name in ("optimizer", "schedule"):
            kinds = slot_info(name).kinds
            inner_fields = {field for kind in kinds for field in lookup(name, kind).Spec.model_fields} - {"kind"}
            yield from (f"{prefix}{name}.{field}" for field in sorted(inner_fields))


def done(overrides, folder, monkeypatch):
    """What a run does and leaves, but for what it was told; or why it is refused."""
    folder.mkdir()
    quiet(folder, monkeypatch)
    passes = []

    def saw(module, arguments):
        if isinstance(module, LoopedTransformer):
            autocast = torch.is_autocast_enabled("cpu")
            passes.append((module.training, tuple(arguments[0].shape), autocast, torch.get_num_threads()))

    def at_counts(model, batch, *more):
        passes.append((model.training, tuple(batch.tokens.shape), torch.get_num_threads()))
        return plain_passes(model, batch, *more)

    plain_passes = evaluate.passes
    monkeypatch.setattr(evaluate, "passes", at_counts)
    try:
        recipe = load_recipe("gated_loop", [*BASE, *overrides])
    except RecipeError as error:
        return {"refused": str(error)}
    cost(recipe).metrics()  # which are kept, so that the run rehearses no pass of its own
    hook = torch.nn.modules.module.register_module_forward_pre_hook(saw)
    try:
        result = run(recipe, folder=Path("run"))
    except RecipeError as error:
        return {"refused": str(error)}
    finally:
        hook.remove()
        monkeypatch.setattr(evaluate, "passes", plain_passes)
    client = MlflowClient(recipe.tracking.uri)
    told = client.get_run(result.run_id)
    return {
        "status": (result.status, result.reason, [finding.code for finding in result.findings]),
        "weights": [
            hashlib.sha256(t.numpy().tobytes()).hexdigest() for t in load_file(result.folder / WEIGHTS).values()
        ],
        "name": (told.info.run_name, client.get_experiment(told.info.experiment_id).name),
        "passes": passes,
        "history": {
            name: [(m.step, m.value) for m in client.get_metric_history(result.run_id, name)]
            for name in sorted(told.data.metrics)
            if not name.startswith("speed/")
        },
        "stores": sorted(path.name for path in Path.cwd().glob("*.db")),
    }


def test_every_field_is_tried_here_or_shown_elsewhere():
    load_plugins()
    assert sorted({*CHANGES, *ELSEWHERE}) == sorted(fields())
    named = [word.rstrip(".") for said in ELSEWHERE.values() for word in said.split() if word.startswith("tests/")]
    assert all((Path(__file__).parents[2] / path).is_file() for path in named)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Runs without the change, by what stands beside it."""
    made = {}

    def of(beside):
        if beside not in made:
            with pytest.MonkeyPatch.context() as patch:
                made[beside] = done(beside, tmp_path_factory.mktemp("plain") / "it", patch)
        return made[beside]

    return of


def test_a_run_does_the_same_twice(plain, tmp_path, monkeypatch):
    assert done((), tmp_path / "again", monkeypatch) == plain(())


@pytest.mark.parametrize("path", CHANGES)
def test_a_field_acts(path, plain, tmp_path, monkeypatch):
    value, *beside = CHANGES[path]
    without, changed = plain(tuple(beside)), done([*beside, f"{path}={value}"], tmp_path / "it", monkeypatch)
    assert changed != without
    assert "refused" not in without or path in ("waive", "task")
    assert ("refused" in changed) == (path in REFUSED)
