"""The Lightning module: one training step of a looped transformer."""

from __future__ import annotations

import copy
import math
import time
from typing import Any

import lightning as L
import torch
from torch import Tensor

from mythos_blocks import Final, LoopedTransformer, RoutedExperts, build
from mythos_blocks.tensors.randomness import keyed_generator
from mythos_lab.measures.evaluate import Scores, evaluate_gain, updates_of
from mythos_lab.measures.monitor import STABILITY, load_cv, rho_A
from mythos_lab.recipe.losses import Losses, Weights, weighed
from mythos_lab.recipe.mask import surroundings
from mythos_lab.recipe.precision import autocast_for
from mythos_lab.recipe.schema import Recipe
from mythos_lab.tasks.base import IGNORE, Batch, Task
from mythos_lab.training.endings import Diverged
from mythos_lab.training.ranks import Rank
from mythos_lab.training.sharding import copy_whole, gathered, shard, whole_tensor


class TrainingModule(L.LightningModule):
    """Trains a model as a recipe says.

    Attributes:
        model: The model.
        rank: This process's place among those that train it together.
        whole: The model, or, where training spreads it over ranks, what :meth:`gather` has last made of it.
        scores: The last validation's.
        metrics: The last logging step's.
        history: Metrics not yet sent: ``(step, seconds since the epoch, metrics)``. Checkpoints hold them: sent twice,
            with the time that they bear, they stay one entry.
    """

    whole: LoopedTransformer

    def __init__(self, recipe: Recipe, model: LoopedTransformer, task: Task) -> None:
        super().__init__()
        self.recipe, self.model, self.task = recipe, model, task
        self.rank = Rank()
        self.losses = Losses.of(recipe)
        self.scores: Scores | None = None
        self.metrics: dict[str, float] = {}
        self.history: list[tuple[int, float, dict[str, float]]] = []
        self.__dict__["whole"] = model  # no second submodule
        self._pending: dict[str, Tensor | float] = {}
        self._since = time.perf_counter()
        self._tokens: Tensor | int = 0

    def configure_model(self) -> None:
        if self.recipe.training.strategy == "fsdp2" and self.model is self.whole:
            self.model = copy.deepcopy(self.whole)
            if self.rank.index == 0:  # which evaluates it
                self.whole.to(self.rank.device)
            assert self.device_mesh is not None
            shard(self.model, self.device_mesh["data_parallel"])

    def gather(self) -> None:
        """Bring :attr:`whole` up to date, on rank 0; all ranks call it."""
        if self.model is not self.whole:
            copy_whole(self.model, self.whole)

    def configure_optimizers(self) -> Any:
        training = self.recipe.training
        optimizer = build(training.optimizer, self.model.parameters()).torch
        schedule = build(training.schedule, training.max_steps)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule.share)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def num_loops(self, step: int, tokens: Tensor) -> int | Tensor:
        """The loop counts of a step: a function of the seed and the step, so that a resumed run repeats them.

        They are drawn for the whole batch, whatever the number of ranks, and position by position, whatever pads it.
        """
        batch, core = range(self.recipe.training.batch_size), self.model.core
        generator = keyed_generator(self.recipe.seed, "loops", step)
        if core.loops_per == "token":
            drawn = core.draw(generator, torch.Size((tokens.shape[1], len(batch))))
            assert isinstance(drawn, Tensor)
            count: int | Tensor = drawn.T
        else:
            count = core.draw(generator, torch.Size((len(batch), tokens.shape[1])))
        return count[list(self.rank.share(batch))] if isinstance(count, Tensor) else count

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        # Here and not in the trainer, so that the step is what the recipe declares whoever trains.
        with autocast_for(self.recipe, batch.tokens.device):
            return self._step(batch, self.global_step)

    def _step(self, batch: Batch, step: int) -> Tensor:
        # For components that draw from the global generator: other noise on every rank.
        ranks = [self.rank.index] if self.rank.index else []
        torch.manual_seed(keyed_generator(self.recipe.seed, "step", step, *ranks).initial_seed())
        self.model.core.loops.progress = step / self.recipe.training.max_steps
        num_loops = self.num_loops(step, batch.tokens)
        out = self.model(
            batch.tokens,
            iterations=num_loops,
            record=self.losses.every_step,
            logits_at=batch.targets != IGNORE,
            **surroundings(self.recipe, batch),
        )
        weights = self._weights(batch)
        total, terms = self.losses(self.model, out, batch.targets, weights)
        self._tokens = self._tokens + batch.num_real() * self.rank.num
        if self._logs(step):
            with torch.no_grad():
                loss = weighed(Final().loss(self.model, out, batch.targets), weights.scored)
            ran = torch.as_tensor(num_loops, device=batch.tokens.device).float()
            counts = {
                "train/num_loops": (ran[:, None] if ran.dim() == 1 else ran).expand_as(batch.tokens),
                "halting/mean_loops": updates_of(out),
                "halting/depth_read": out.halting.depth_read().detach(),
            }
            metrics = {
                "train/loss": loss,
                "train/total_loss": total.detach(),
                **terms,
                **{name: weighed(batch.real_values(x).mean(), weights.real) for name, x in counts.items()},
            }
            self._pending = self.rank.mean(metrics)
        return total

    def _weights(self, batch: Batch) -> Weights:
        """What means over this rank's tokens weigh where gradients are the mean of the ranks'."""
        if self.rank.num == 1:
            return Weights()
        counts = torch.stack(((batch.targets != IGNORE).sum(), torch.as_tensor(batch.num_real()).to(batch.tokens)))
        scored, real = counts * self.rank.num / self.rank.total(counts)
        return Weights(scored, real)

    def _share_loads(self) -> None:
        """Let every rank know of the tokens that experts have had on all."""
        loads = [module.load for module in self.model.modules() if isinstance(module, RoutedExperts)]
        if self.rank.num == 1 or not loads:
            return
        shared = self.rank.total(torch.cat(loads)).split([len(load) for load in loads])
        for load, whole in zip(loads, shared, strict=True):
            load.copy_(whole)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        clip = self.recipe.training.gradient_clip or math.inf
        self._share_loads()
        norm = whole_tensor(torch.nn.utils.clip_grad_norm_(self.model.parameters(), clip))
        if self._pending:
            self._pending["train/gradient_norm"] = norm
            self._pending["train/learning_rate"] = optimizer.param_groups[0]["lr"]
            if (cv := load_cv(self.model)) is not None:
                self._pending["experts/load_cv"] = cv

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        # Here and not at the batch's end, where callbacks come first: a checkpoint must hold what this changes.
        self.model.after_optimizer_step()
        if self._pending:
            self._collect(self.global_step)  # which Lightning raises after this

    def _logs(self, step: int) -> bool:
        return step % self.recipe.training.log_every == 0 or step == self.recipe.training.max_steps - 1

    def _collect(self, step: int) -> None:
        """Bring a logging step's numbers to the host, all at once, and stop a run that has diverged."""
        metrics = {name: float(value) for name, value in self._pending.items()}
        self._pending = {}
        with gathered(self.model):
            rho = rho_A(self.model)
            if rho is not None:
                metrics["stability/rho_A"] = float(rho)
            for name, monitor in STABILITY.items():
                if (value := monitor(self.model)) is not None:
                    metrics[name] = float(value)
        now = time.perf_counter()
        metrics["speed/tokens_per_second"] = float(self._tokens) / (now - self._since)
        self._since, self._tokens = now, 0
        self.metrics = metrics
        self.history.append((step, time.time(), metrics))
        if not math.isfinite(metrics["train/total_loss"]):
            raise Diverged(f"the loss is {metrics['train/total_loss']} at step {step}")
        limit = self.recipe.stability.max_spectral_radius
        if rho is not None and float(rho) >= limit and self.recipe.stability.on_violation == "stop":
            raise Diverged(f"rho(A) is {float(rho):g} at step {step}, and must stay below {limit:g}")

    def validate_now(self) -> Scores:
        """Score the validation split, with what the loops gain there, and record it at the present step."""
        self.gather()
        self.scores = evaluate_gain(self.whole, self.task, self.recipe)
        self.history.append((self.global_step, time.time(), self.scores.metrics()))
        self._since, self._tokens = time.perf_counter(), 0
        return self.scores

    def check_scores(self) -> None:
        """Refuse a model whose validation is no number: its accuracy would be one all the same.

        Raises:
            Diverged: It is.
        """
        if self.scores is not None and not math.isfinite(self.scores.loss):
            raise Diverged(f"the validation loss is {self.scores.loss} at step {self.global_step}")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["metrics"], checkpoint["unsent"] = self.metrics, list(self.history)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.metrics, self.history = dict(checkpoint["metrics"]), list(checkpoint["unsent"])

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        return batch.to(device)
