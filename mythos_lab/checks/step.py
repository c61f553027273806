"""The training step must do what the recipe declares: two real ones are taken, with a copy of the model."""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor

from mythos_blocks import build
from mythos_blocks.declaring.spec import as_spec
from mythos_blocks.tensors.randomness import reseed
from mythos_lab.checks.findings import Assembly, Finding
from mythos_lab.recipe.microbatches import Given
from mythos_lab.recipe.step import Learner, differentiate, learning_rate, step, update
from mythos_lab.tasks.base import IGNORE

_MAX_LOOPS = 4  # of a step here: what is looked at is the same at any count
_CLOSE = 1e-5  # what is compared is computed alike


def schedule_is_held(assembly: Assembly) -> list[Finding]:
    """The learning rates of the first steps and after the last one against those of the declared schedule."""
    recipe, learner = assembly.recipe, assembly.rehearsed()
    schedule = build(recipe.training.schedule, recipe.training.max_steps)
    peak, steps = dict(as_spec(recipe.training.optimizer))["lr"], [0, 1, recipe.training.max_steps]
    held = []
    for _ in steps[:2]:
        numbers = step(learner, assembly.batch, _num_loops(learner), shows=True)
        held.append(float(numbers["train/learning_rate"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates asking a schedule for a step
        learner.schedule.step(recipe.training.max_steps)
    held.append(learning_rate(learner.optimizer))
    wanted = [peak * schedule.share(index) for index in steps]
    if all(math.isclose(a, b, rel_tol=1e-6) for a, b in zip(held, wanted, strict=True)):
        return []
    said = ", ".join(f"{a:g} in step {n} ({b:g} declared)" for n, a, b in zip(steps, held, wanted, strict=True))
    return [Finding("schedule.length", f"the optimiser holds learning rates {said}")]


def gradient_is_clipped(assembly: Assembly) -> list[Finding]:
    """The norm of the gradient with which the optimiser steps against the largest one that is declared."""
    learner, most = assembly.rehearsed(), assembly.recipe.training.gradient_clip or math.inf
    differentiate(learner, assembly.batch, _num_loops(learner))
    before = _norm(learner)
    update(learner)
    after, wanted = _norm(learner), min(before, most)
    if not math.isfinite(before) or math.isclose(after, wanted, rel_tol=_CLOSE):
        return []
    return [
        Finding(
            "gradient.clip",
            f"a gradient of norm {before:g} reaches the optimiser with norm {after:g}, where gradient_clip={most:g}",
        )
    ]


def terms_are_minimised(assembly: Assembly) -> list[Finding]:
    """What is minimised against the sum of the declared terms, and the gradient of each of them."""
    learner = assembly.rehearsed()
    terms = _terms(assembly, learner)
    with torch.random.fork_rng(devices=[]):
        reseed(0, assembly.batch.tokens.device)
        total = float(learner.loss(Given(assembly.batch, _num_loops(learner), shows=False))[0].detach())
    declared = sum(float(term.detach()) for term in terms.values())
    findings = []
    if math.isfinite(declared) and not math.isclose(total, declared, rel_tol=_CLOSE):
        listed = " + ".join(f"{name} {float(term.detach()):g}" for name, term in terms.items())
        findings.append(f"the step minimises {total:g}, and {listed} is {declared:g}")
    findings += [
        f"{name} adds {float(term):g} to what is minimised, and no parameter gets gradient of it"
        for name, term in terms.items()
        if float(term.detach()) and not _has_gradient(term, learner)
    ]
    return [Finding("loss.terms", said) for said in findings]


def _terms(assembly: Assembly, learner: Learner) -> dict[str, Tensor]:
    """The declared terms of the loss, each by itself, of the pass that a generator of seed 0 makes."""
    recipe, model, targets = assembly.recipe, learner.model, assembly.batch.targets
    objective = build(recipe.training.objective)
    penalties = [build(penalty) for penalty in recipe.training.penalties]
    record = objective.every_step or any(penalty.every_step for penalty in penalties)
    with torch.random.fork_rng(devices=[]), assembly.precision():
        reseed(0, assembly.batch.tokens.device)
        out = assembly.forward(_num_loops(learner), model=model, record=record, logits_at=targets != IGNORE)
        terms = {f"objective {objective.kind}": objective.loss(model, out, targets)}
        terms |= {f"the loss of {name}": term for name, term in out.losses.items()}
        terms |= {f"penalty {penalty.kind}": penalty.loss(model, out, targets)[0] for penalty in penalties}
    return terms


def _has_gradient(term: Tensor, learner: Learner) -> bool:
    if not term.requires_grad:
        return False
    parameters = [parameter for parameter in learner.model.parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
    return any(gradient is not None and bool(gradient.any()) for gradient in gradients)


def _norm(learner: Learner) -> float:
    norms = [parameter.grad.norm() for parameter in learner.model.parameters() if parameter.grad is not None]
    return float(torch.stack(norms).norm())


def _num_loops(learner: Learner) -> int:
    return min(learner.model.core.loops.eval_loops, _MAX_LOOPS)
