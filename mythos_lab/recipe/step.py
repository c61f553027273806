"""The training step: one for training, for the effect check and for the cost rehearsal."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mythos_blocks import Final, Iterations, LoopedTransformer, ModelOutput, build
from mythos_blocks.core.state import LoopState
from mythos_blocks.feedforward.loads import share_loads
from mythos_blocks.tensors.randomness import keyed_generator, reseed
from mythos_blocks.tensors.spread import whole_of
from mythos_lab.recipe.average import Average
from mythos_lab.recipe.loads import load_cv
from mythos_lab.recipe.losses import Losses, weighed
from mythos_lab.recipe.mask import surroundings
from mythos_lab.recipe.microbatches import Given, microbatches
from mythos_lab.recipe.parameters import LR_FACTOR, Parameters, apportion, check_decays
from mythos_lab.recipe.precision import autocast_for
from mythos_lab.recipe.rank import Rank
from mythos_lab.recipe.rounding import rounding
from mythos_lab.recipe.schema import Recipe
from mythos_lab.tasks.base import IGNORE, Batch

Numbers = dict[str, Tensor]
"""What a step shows of itself, by metric name: scalars, still on the device."""


class Loss(nn.Module):
    """From a batch to what is minimised: all that gradients come from, in the one forward pass that DDP follows.

    Args:
        recipe: What is declared.
        model: The model, which is the only submodule.
    """

    def __init__(self, recipe: Recipe, model: LoopedTransformer) -> None:
        super().__init__()
        self.recipe, self.model = recipe, model
        self.terms = Losses.of(recipe)
        model.set_checkpointing(recipe.training.checkpointing)

    def forward(self, given: Given) -> tuple[Tensor, Numbers]:
        """What is minimised, a scalar, and the numbers of it to show; none unless they are asked for."""
        batch = given.batch
        # Here and not in a trainer, so that the precision is what the recipe declares, whoever trains.
        with autocast_for(self.recipe, batch.tokens.device):
            out: ModelOutput = self.model(
                batch.tokens,
                iterations=given.iterations,
                record=self.terms.record,
                logits_at=batch.targets != IGNORE,
                **surroundings(self.recipe, batch),
            )
            total, terms = self.terms(self.model, out, batch.targets, given.weights)
            if not given.shows:
                return total, {}
            return total, {"train/total_loss": total.detach(), **terms, **self._shown(given, out, terms)}

    @torch.no_grad()
    def _shown(self, given: Given, out: ModelOutput, terms: Numbers) -> Numbers:
        batch, weights = given.batch, given.weights
        if type(self.terms.objective) is Final:  # which has been computed already
            loss = terms["train/objective"]
        else:
            loss = weighed(Final().loss(self.model, out, batch.targets), weights.scored)
        drawn = torch.as_tensor(given.iterations, device=batch.tokens.device).float()
        counts = {"train/num_loops": (drawn[:, None] if drawn.dim() == 1 else drawn).expand_as(batch.tokens)}
        if self.model.core.halting.kind != "none":  # an exit stops nothing in training
            counts |= {"train/mean_loops": updates_of(out), "train/depth_read": out.halting.depth_read()}
        means = {name: weighed(batch.real_values(x).mean(), weights.real) for name, x in counts.items()}
        return {"train/loss": loss, **means}


@dataclass
class Learner:
    """A model that learns, and all that a step changes.

    Attributes:
        recipe: What is declared.
        model: The model.
        loss: Its :class:`Loss`, or what wraps that.
        optimizer: The optimiser of its parameters, or what wraps that.
        schedule: What sets the optimiser's learning rate.
        average: The moving average of its weights, where the recipe declares one.
        rank: This process's place.
        unsynced: The span of a forward and backward pass after which gradients are not yet exchanged.
        running: The span of a step's passes, in which somebody may run the layers otherwise.
    """

    recipe: Recipe
    model: LoopedTransformer
    loss: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    average: Average | None
    rank: Rank
    unsynced: Callable[[], AbstractContextManager[object]] = nullcontext
    running: Callable[[], AbstractContextManager[object]] = nullcontext

    @classmethod
    def of(cls, recipe: Recipe, model: LoopedTransformer) -> Learner:
        """One that learns in this process alone."""
        return cls(recipe, model, Loss(recipe, model), *optimizer_of(recipe, model), average_of(recipe, model), Rank())


def optimizer_of(
    recipe: Recipe, model: LoopedTransformer
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """The optimiser and the schedule that a recipe declares, before their first step."""
    parameters = Parameters(model)
    declared = build(recipe.training.optimizer, parameters)
    optimizer: torch.optim.Optimizer = declared.torch
    check_decays(optimizer, parameters, recipe.training.groups)
    factors = parameters.factors(recipe.training.groups)
    for parameter in parameters:
        if (sides := parameters.sides.get(id(parameter))) is not None:
            rate, (lr, decay) = declared.rate_by_width(parameter, sides), factors[id(parameter)]
            factors[id(parameter)] = lr * rate, decay / rate  # a step decays by their product, which stays
    if recipe.training.groups or parameters.sides:
        apportion(optimizer, factors)
    schedule = build(recipe.training.schedule, recipe.training.max_steps)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, schedule.share)


def average_of(recipe: Recipe, model: LoopedTransformer) -> Average | None:
    """The moving average of a model's weights that a recipe declares, before its first step."""
    return None if recipe.training.ema is None else Average(recipe.training.ema, model)


def begin(learner: Learner, index: int, batch: Batch) -> int | Tensor:
    """Bring a learner to step ``index`` (0-based): its noise, its place in training; returns its loop counts.

    All are functions of the seed and the step, so that a resumed run repeats them. Loop counts are drawn for the whole
    batch, whatever the number of ranks, and position by position, whatever pads it.
    """
    recipe, rank, core = learner.recipe, learner.rank, learner.model.core
    # For components that draw from the global generator: other noise on every rank.
    own = [rank.index] if rank.index else []
    reseed(keyed_generator(recipe.seed, "step", index, *own).initial_seed(), batch.tokens.device)
    core.loops.progress = index / recipe.training.max_steps
    generator, samples = keyed_generator(recipe.seed, "loops", index), range(len(recipe.training.samples(index)))
    if core.loops_per == "token":
        each = core.draw(generator, torch.Size((batch.tokens.shape[1], len(samples))))
        assert isinstance(each, Tensor)
        drawn: int | Tensor = each.T
    else:
        drawn = core.draw(generator, torch.Size((len(samples), batch.tokens.shape[1])))
    return drawn[list(rank.share(samples))] if isinstance(drawn, Tensor) else drawn


def step(
    learner: Learner,
    batch: Batch,
    iterations: Iterations,
    *,
    shows: bool = False,
    backward: Callable[[Tensor], None] = Tensor.backward,
) -> Numbers:
    """One training step.

    Args:
        learner: What learns.
        batch: This rank's samples, on its device.
        iterations: This rank's loop counts.
        shows: Whether to return the step's numbers; ``{}`` without.
        backward: From the loss to gradients, where somebody else wants to do that.
    """
    numbers = differentiate(learner, batch, iterations, shows=shows, backward=backward)
    return numbers | update(learner, shows=shows)


def differentiate(
    learner: Learner,
    batch: Batch,
    iterations: Iterations,
    *,
    shows: bool = False,
    backward: Callable[[Tensor], None] = Tensor.backward,
) -> Numbers:
    """The first half of a step: forward, losses, backward. The gradients of the step before live until the second."""
    given = microbatches(batch, iterations, learner.recipe.training.num_microbatches, learner.rank, shows=shows)
    shown: Numbers = {}
    with rounding(learner.recipe.training.rounding, learner.model.core), learner.running():
        for index, part in enumerate(given):
            with learner.unsynced() if index < len(given) - 1 else nullcontext():
                loss, numbers = learner.loss(part)
                if index == 0:
                    learner.optimizer.zero_grad()
                backward(loss)
            shown = {name: shown[name] + value for name, value in numbers.items()} if index else numbers
    return learner.rank.mean(shown)


def update(learner: Learner, *, shows: bool = False) -> Numbers:
    """The second half of a step: from gradients to weights, and to the next step's learning rate."""
    model, optimizer = learner.model, learner.optimizer
    if learner.rank.num > 1:
        share_loads(model, learner.rank.total)
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), learner.recipe.training.gradient_clip or math.inf)
    numbers = _watched(model, optimizer, norm) if shows else {}
    optimizer.step()
    model.after_optimizer_step()
    if learner.average is not None:
        learner.average.update()
    learner.schedule.step()
    return numbers


def can_halt(model: LoopedTransformer) -> bool:
    """Whether a model has a rule, halting or exit, by which a position may stop before others in evaluation."""
    return model.core.halting.kind != "none" or model.core.exit.kind != "none"


def updates_of(out: ModelOutput | LoopState) -> Tensor:
    """Iterations that each position ran before it halted, ``(batch, positions)``."""
    return (out.executed if out.halting.num_updates is None else out.halting.num_updates).detach().float()


def _watched(model: LoopedTransformer, optimizer: torch.optim.Optimizer, norm: Tensor) -> Numbers:
    numbers = {
        "train/gradient_norm": whole_of(norm),
        "train/learning_rate": torch.tensor(learning_rate(optimizer), dtype=torch.float64),
    }
    if (cv := load_cv(model)) is not None:
        numbers["experts/load_cv"] = cv
    return numbers


def learning_rate(optimizer: torch.optim.Optimizer) -> float:
    """The rate of parameters that no group of the recipe has; told by the others, where there are none."""
    by_factor = {group.get(LR_FACTOR, 1.0): float(group["lr"]) for group in optimizer.param_groups}
    factor = max(by_factor)  # as it may be 0
    return by_factor[1.0] if 1.0 in by_factor else by_factor[factor] / (factor or 1.0)
