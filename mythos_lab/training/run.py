"""One run, from recipe to result."""

from __future__ import annotations

import json
import logging
import time
import uuid
import warnings
from pathlib import Path

import lightning as L
import torch
import yaml
from torch.utils.data import DataLoader

from mythos_blocks import LoopedTransformer, build
from mythos_lab.checks import Assembly, Finding, check
from mythos_lab.measures.depth import depth_curve
from mythos_lab.measures.knockout import knockouts
from mythos_lab.recipe import Recipe, RecipeError
from mythos_lab.recipe.compose import validate
from mythos_lab.recipe.cost import cost, mask_for
from mythos_lab.report.depth import depth_figure, halting_figure
from mythos_lab.tasks.base import Task
from mythos_lab.tracking.environment import environment
from mythos_lab.tracking.mlflow import Tracker, flatten
from mythos_lab.training.callbacks import Milestones, OnValidation, Progress, ShouldStop
from mythos_lab.training.data import TrainingBatches, first_step_of
from mythos_lab.training.endings import Diverged as Diverged
from mythos_lab.training.endings import Pruned as Pruned
from mythos_lab.training.endings import Stopped as Stopped
from mythos_lab.training.module import DTYPES, TrainingModule
from mythos_lab.training.result import CHECKPOINT, RECIPE, STATE, RunResult, dump_recipe, save

_NUM_CHECKED = 4  # samples of the effect check


def run(
    recipe: Recipe,
    *,
    folder: Path | None = None,
    parent: str | None = None,
    tags: dict[str, str] | None = None,
    on_validation: OnValidation | None = None,
    should_stop: ShouldStop | None = None,
    progress: bool = False,
) -> RunResult:
    """Train a recipe and measure the result.

    Where ``folder`` holds an unfinished run of the same recipe, that run goes on from its last checkpoint, to
    the numbers that it would have reached unbroken.

    Args:
        recipe: The validated recipe.
        folder: The run's directory; ``None`` makes one under ``runs/``.
        parent: MLflow run to nest this one under.
        tags: MLflow tags.
        on_validation: Called after each validation; may raise :class:`Pruned`.
        should_stop: Asked after every step. Where it says yes, the run saves a checkpoint there and stops.
        progress: Show a progress bar.

    Raises:
        RecipeError: The effect check found an error that the recipe does not waive, or the folder holds
            another recipe's run.
        Stopped: ``should_stop`` said so. Another call with the same folder goes on.
    """
    if recipe.training.num_threads is not None:
        torch.set_num_threads(recipe.training.num_threads)
    model, task = assemble(recipe)
    findings = effects(recipe, model, task)
    standing = [finding for finding in findings if not finding.waived]
    if standing:
        raise RecipeError(*(f"{recipe.name}: {f.code}: {f.message}" for f in standing))
    total = cost(recipe)

    folder = folder or Path("runs") / f"{recipe.name}-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:4]}"
    run_id = _unfinished(folder, recipe)
    folder.mkdir(parents=True, exist_ok=True)
    resumed = run_id is not None and (folder / CHECKPOINT).is_file()
    tracker = Tracker(
        recipe.tracking.uri, recipe.tracking.experiment, recipe.name, run_id=run_id, parent=parent, tags=tags
    )
    if run_id is None:
        _record(recipe, task, folder, tracker)
        tracker.metrics(total.metrics(), 0)
        tracker.flush()

    module = TrainingModule(recipe, model, task)
    milestones = Milestones(folder / CHECKPOINT, tracker, on_validation, should_stop)
    status, reason = "finished", ""
    try:
        _fit(module, milestones, folder, resumed, progress)
    except (Diverged, Pruned) as error:
        status, reason = ("diverged" if isinstance(error, Diverged) else "pruned"), str(error)
    except BaseException:
        tracker.finish("KILLED")
        raise
    milestones.send(module)

    metrics = {**total.metrics(), **module.metrics}
    if module.scores is not None:
        metrics |= module.scores.metrics()
    curve, ood = None, None
    if status == "finished":
        assert module.scores is not None
        curve = depth_curve(model, task, recipe)
        metrics |= curve.metrics()
        if recipe.evaluation.knockouts:
            metrics |= knockouts(model, task, recipe, module.scores)
        ood = depth_curve(model, task, recipe, "ood") if recipe.evaluation.ood and task.size("ood") else None
        if ood is not None:
            metrics |= {
                "ood/loss": ood.scores[ood.eval_loops].loss,
                "ood/accuracy": ood.scores[ood.eval_loops].accuracy,
                "ood/best_accuracy": max(scores.accuracy for scores in ood.scores.values()),
            }
        for prefix, measured in (("depth", curve), ("ood_depth", ood)):
            for row in measured.rows() if measured is not None else []:
                tracker.metrics(
                    {f"{prefix}/{key}".replace("=", "_"): value for key, value in row.items() if key != "loops"},
                    int(row["loops"]),
                )
        sent = module.scores.metrics()
        tracker.metrics(
            {k: v for k, v in metrics.items() if k.startswith(("loops/", "ood/", "knockout/")) and k not in sent},
            recipe.training.max_steps,
        )
        tracker.artifact(depth_figure(curve, folder / "depth_curve.png"))
        tracker.artifact(halting_figure(module.scores, folder / "halting.png"))
    result = RunResult(
        status,  # type: ignore[arg-type]
        folder,
        tracker.run_id,
        metrics,
        total,
        findings,
        curve,
        ood,
        module.scores.by_slice if module.scores is not None else {},
        reason,
    )
    save(result, model)
    for name in ("result.json", "model.safetensors"):
        tracker.artifact(folder / name)
    if reason:
        tracker.tag("mythos.reason", reason)
    tracker.finish("FINISHED" if status == "finished" else "FAILED" if status == "diverged" else "KILLED")
    return result


def assemble(recipe: Recipe) -> tuple[LoopedTransformer, Task]:
    """The model at the recipe's initial weights, and the task."""
    task: Task = build(recipe.task)
    model: LoopedTransformer = recipe.model_spec().build(task.vocab_size)
    model.initialize(recipe.seed)
    return model, task


def effects(recipe: Recipe, model: LoopedTransformer, task: Task) -> list[Finding]:
    """The effect check's findings.

    Raises:
        RecipeError: The model cannot read the longer samples that are evaluated out of distribution.
    """
    if recipe.evaluation.ood and task.size("ood") and task.ood_positions != task.positions:
        sample = task.batch("ood", range(1))
        try:
            with torch.no_grad():
                model(sample.tokens, mask_for(recipe, sample.allowed), 1)
        except ValueError as error:
            raise RecipeError(
                f"{recipe.name}: evaluation.ood: the model cannot read samples of {sample.tokens.shape[1]} positions "
                f"({error}); set task.ood_range=0 or evaluation.ood=false"
            ) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of a schedule that is asked ahead of its optimiser
        held = TrainingModule(recipe, model, task).configure_optimizers()
        scheduler = held["lr_scheduler"]["scheduler"]
        first = scheduler.get_last_lr()[0]
        scheduler.step(recipe.training.max_steps)
    assembly = Assembly(
        recipe,
        model,
        task,
        task.batch("train", range(_NUM_CHECKED)),
        DTYPES[recipe.training.precision],
        (first, scheduler.get_last_lr()[0]),
    )
    return check(assembly)


def _fit(module: TrainingModule, milestones: Milestones, folder: Path, resumed: bool, progress: bool) -> None:
    training = module.recipe.training
    checkpoint = torch.load(folder / CHECKPOINT, weights_only=True) if resumed else None
    first_step = first_step_of(checkpoint)
    if first_step >= training.max_steps:
        assert checkpoint is not None
        module.load_state_dict(checkpoint["state_dict"])
        module.on_load_checkpoint(checkpoint)
        module.validate_now()
        module.history.clear()  # what the checkpoint covers has been sent
        return
    _quiet()
    trainer = L.Trainer(
        max_steps=training.max_steps,
        max_epochs=1,
        accelerator=training.accelerator,
        devices=1,
        precision="bf16-mixed" if training.precision == "bfloat16" else "32-true",
        callbacks=[milestones, *([Progress()] if progress else [])],
        enable_progress_bar=progress,
        enable_checkpointing=False,
        enable_model_summary=False,
        logger=False,
        limit_val_batches=0,
    )
    batches = TrainingBatches(module.task, training.batch_size, training.max_steps, first_step)
    loader = DataLoader(batches, batch_size=None)
    try:
        trainer.fit(module.train(), loader, ckpt_path=str(folder / CHECKPOINT) if resumed else None, weights_only=True)
    except SystemExit as error:  # what Lightning makes of Ctrl-C
        raise KeyboardInterrupt from error


def _unfinished(folder: Path, recipe: Recipe) -> str | None:
    """The MLflow run of an unfinished run in the folder, if there is one."""
    state = folder / STATE
    if not state.is_file():
        return None
    stored = validate(yaml.safe_load((folder / RECIPE).read_text(encoding="utf-8")), folder / RECIPE)
    if stored != recipe:
        raise RecipeError(f"{folder}: holds a run of another recipe; resume it with that one, or choose another folder")
    return str(json.loads(state.read_text(encoding="utf-8"))["run_id"])


def _record(recipe: Recipe, task: Task, folder: Path, tracker: Tracker) -> None:
    """Everything needed to repeat the run: in its directory and in MLflow."""
    dump_recipe(recipe, folder / RECIPE)
    where = environment()
    (folder / "environment.json").write_text(json.dumps(where, indent=1), encoding="utf-8")
    tracker.params(flatten(recipe.model_dump(mode="json")))
    data = {"fingerprint": task.fingerprint(), **task.identity()}
    (folder / "data.json").write_text(json.dumps(data, indent=1), encoding="utf-8")
    for name, value in data.items():
        tracker.tag(f"mythos.data_{name}", value)
    tracker.tag("mythos.folder", str(folder))
    tracker.tag("mlflow.source.git.commit", str(where["git_commit"]))
    for name in (RECIPE, "environment.json", "data.json"):
        tracker.artifact(folder / name)
    (folder / STATE).write_text(json.dumps({"run_id": tracker.run_id}), encoding="utf-8")


def _quiet() -> None:
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.pytorch.accelerators.cuda"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
