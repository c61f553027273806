"""Training proper: the loop over steps."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from mythos_lab.loading import end_loading
from mythos_lab.recipe.step import begin, step
from mythos_lab.training.bar import Bar
from mythos_lab.training.checkpoint import go_on_from, load_checkpoint, save_checkpoint
from mythos_lab.training.data import training_batch
from mythos_lab.training.fabric import fabric_of, learner_of
from mythos_lab.training.lead import Lead
from mythos_lab.training.state import Training
from mythos_lab.training.stop_reasons import Stopped

# What rank 0 tells the others after every step.
_GO_ON, _STOP, _END, _SOLVED = range(4)


def fit(
    training: Training,
    checkpoint: Path,
    *,
    resumed: bool,
    lead: Lead | None,
    progress: bool = False,
    start: Path | None = None,
) -> None:
    """Train to the last step, as one of the ranks: all of them call it.

    A checkpoint is saved every ``validate_every`` steps, at the end, and where rank 0 is asked to stop. Training ends
    before its last step where a validation finds the task solved.

    Args:
        training: What is trained, and where it stands.
        checkpoint: The checkpoint's file.
        resumed: Whether to go on from it.
        start: The checkpoint of another run, to go on from where there is none of this one.
        lead: What rank 0 tells and whom it asks; ``None`` on the others.
        progress: Show a progress bar.

    Raises:
        Diverged: Training left what the recipe allows.
        Pruned: Who is told of validations said so.
        Stopped: Rank 0 was asked to stop; or, on the others, it ended.
    """
    recipe, task, rank = training.recipe, training.task, training.rank
    fabric = fabric_of(recipe, rank)
    learner = learner_of(fabric, training)
    if resumed:
        load_checkpoint(fabric, checkpoint, training, learner)
    elif start is not None:
        go_on_from(fabric, start, training, learner)
    if resumed or start is not None:
        training.gather(learner.average)
    if not resumed and lead is not None and training.is_watched():
        training.watch()
    end_loading()

    with Bar(training) if progress else nullcontext() as bar:
        for index in range(training.num_steps, recipe.training.max_steps):
            batch = training_batch(task, recipe.training.samples(index), rank).to(fabric.device)
            iterations = begin(learner, index, batch)
            numbers = step(learner, batch, iterations, shows=training.logs(index), backward=fabric.backward)

            training.count(batch)
            if numbers:
                training.record(index, numbers)
            training.num_steps = index + 1
            due, is_watched = training.is_due(), training.is_watched()
            if due or is_watched:
                training.gather(learner.average)
            if lead is not None and is_watched:
                training.watch()
            if due:
                if lead is not None:
                    training.validate()
                save_checkpoint(fabric, checkpoint, training, learner)
            if bar is not None:
                bar.advance()

            verdict = _END  # what the others are to hear where something is raised here
            try:
                if lead is not None:
                    if due:
                        lead.send(training)
                        lead.tell(training)
                    verdict = _STOP if lead.is_asked_to_stop() else _SOLVED if training.is_solved else _GO_ON
            finally:
                verdict = rank.agree(verdict)
            if lead is None:
                training.unsent.clear()
            if verdict == _SOLVED:
                break
            if verdict == _STOP and not due:
                save_checkpoint(fabric, checkpoint, training, learner)
                if lead is not None:
                    lead.send(training)
            if verdict != _GO_ON:
                raise Stopped(checkpoint.parent, training.num_steps)
