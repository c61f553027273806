"""A model in training, and what has come of it so far."""

from __future__ import annotations

import copy
import math
import time
from contextlib import suppress
from functools import cached_property

from torch import Tensor

from mythos_blocks import LoopedTransformer
from mythos_lab.measures.depth_curve import DepthCurve, depth_curve
from mythos_lab.measures.evaluate import Scores, evaluate_gain, with_gain
from mythos_lab.measures.live import Live
from mythos_lab.measures.monitor import STABILITY, distance_to_one, rho_A
from mythos_lab.recipe.average import Average
from mythos_lab.recipe.rank import Rank
from mythos_lab.recipe.schema import Recipe
from mythos_lab.recipe.step import Numbers
from mythos_lab.tasks.base import Batch, Task
from mythos_lab.training.compiled import CompiledLayers
from mythos_lab.training.sharding import copy_whole, gathered
from mythos_lab.training.stop_reasons import Diverged
from mythos_lab.training.stopping import BrokenOff, breakable


class Training:
    """A model in training, and what has come of it so far.

    Attributes:
        recipe: What is declared.
        task: What is learned.
        whole: The model that is evaluated and saved: the one that learns, or, where training spreads that over ranks
            or averages its weights, what :meth:`gather` has last made of it.
        model: The model that learns.
        rank: This process's place among those that train it together.
        compiled: The compiled layers of the model that learns, where the recipe declares that.
        num_steps: Steps done.
        is_solved: Whether the last validation came to what the recipe takes for a solved task.
        scores: The last validation's; ``None`` before.
        curve: The depth curve of the validation at the last step; ``None`` where this process has not come to it.
        metrics: The last logging step's.
        unsent: Metrics not yet sent: ``(step, seconds since the epoch, metrics)``. Checkpoints hold them: sent twice,
            with the time that they bear, they stay one entry.
    """

    def __init__(self, recipe: Recipe, model: LoopedTransformer, task: Task) -> None:
        self.recipe, self.task, self.rank = recipe, task, Rank()
        self.whole = self.model = model
        self.compiled: CompiledLayers | None = None
        self.num_steps = 0
        self.is_solved = False
        self.scores: Scores | None = None
        self.curve: DepthCurve | None = None
        self.metrics: dict[str, float] = {}
        self.unsent: list[tuple[int, float, dict[str, float]]] = []
        self._since = time.perf_counter()
        self._tokens: Tensor | int = 0

    def part(self) -> None:
        """Make the model that learns another than the one that is evaluated."""
        self.model = copy.deepcopy(self.whole)
        if self.rank.index == 0:  # which evaluates it
            self.whole.to(self.rank.device)

    def gather(self, average: Average | None) -> None:
        """Bring :attr:`whole` up to date, on rank 0; all ranks call it.

        Args:
            average: What its weights are to be, where they are not those that learn.
        """
        if self.model is not self.whole:
            copy_whole(self.model, self.whole)
        if average is not None:
            average.copy_into(self.whole)

    def logs(self, index: int) -> bool:
        """Whether the metrics of step ``index`` (0-based) are logged."""
        training = self.recipe.training
        return index % training.log_every == 0 or index == training.max_steps - 1

    def is_due(self) -> bool:
        """Whether a validation and a checkpoint are due after the steps done."""
        training = self.recipe.training
        return self.num_steps % training.validate_every == 0 or self.num_steps == training.max_steps

    def is_watched(self) -> bool:
        """Whether the model is looked at after the steps done."""
        training, monitor = self.recipe.training, self.recipe.monitor
        if monitor.measures == []:
            return False
        every = monitor.every or training.validate_every
        return self.num_steps % every == 0 or self.num_steps == training.max_steps

    def count(self, batch: Batch) -> None:
        """Count a step's tokens, of which speed is measured."""
        self._tokens = self._tokens + batch.num_real() * self.rank.num

    def record(self, index: int, numbers: Numbers) -> None:
        """Bring the numbers of step ``index`` to the host.

        Raises:
            Diverged: The loss is not finite, or rho(A) is at its limit.
        """
        metrics = {name: float(value) for name, value in numbers.items()}
        with gathered(self.model):
            rho = rho_A(self.model)
            if rho is not None:
                metrics["stability/rho_A"] = float(rho)
                metrics["stability/rho_A_distance"] = distance_to_one(rho)
            for name, monitor in STABILITY.items():
                if (value := monitor(self.model)) is not None:
                    metrics[name] = float(value)
        metrics["speed/tokens_per_second"] = float(self._tokens) / (time.perf_counter() - self._since)
        if self.compiled is not None:
            metrics |= self.compiled.metrics()
        self._restart_clock()
        self.metrics = metrics
        self.unsent.append((index, time.time(), metrics))
        if not math.isfinite(metrics["train/total_loss"]):
            raise Diverged(f"the loss is {metrics['train/total_loss']} at step {index}")
        limit = self.recipe.stability.max_spectral_radius
        if rho is not None and float(rho) >= limit and self.recipe.stability.on_violation == "stop":
            raise Diverged(f"rho(A) is {float(rho):g} at step {index}, and must stay below {limit:g}")

    def watch(self) -> None:
        """Take the measures that the recipe declares for training, on :attr:`whole`, and record them."""
        if found := self._live.metrics(self.whole):
            self.unsent.append((self.num_steps, time.time(), found))
        self._restart_clock()

    @cached_property
    def _live(self) -> Live:
        return Live(self.recipe, self.task)

    def validate(self) -> Scores:
        """Score the validation split, with what the loops gain there, and record it.

        At the last step the pass goes on to the end of the depth curve, which is asked for next and begins with it.
        Who asks to stop there waits for the validation, and not for the curve.
        """
        if self.num_steps == self.recipe.training.max_steps:
            with suppress(BrokenOff), breakable():
                self.curve = depth_curve(self.whole, self.task, self.recipe)
        if self.curve is None:
            self.scores = evaluate_gain(self.whole, self.task, self.recipe)
        else:
            self.scores = with_gain(self.curve.scores, self.curve.eval_loops, self.task)
        self.unsent.append((self.num_steps, time.time(), self.scores.metrics()))
        solved_at = self.recipe.training.solved_at
        self.is_solved = solved_at is not None and self.scores.accuracy >= solved_at
        self._restart_clock()
        return self.scores

    def check_scores(self) -> None:
        """Refuse a model whose validation is no number: its accuracy would be one all the same.

        Raises:
            Diverged: It is.
        """
        if self.scores is not None and not math.isfinite(self.scores.loss):
            raise Diverged(f"the validation loss is {self.scores.loss} at step {self.num_steps}")

    def _restart_clock(self) -> None:
        self._since, self._tokens = time.perf_counter(), 0
