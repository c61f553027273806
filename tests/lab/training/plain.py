"""Training as a recipe declares it, in plain torch: nothing of ``mythos_lab.training``, no Fabric, no losses, masks or scores of the lab's.

It reads the recipe's fields, the task's batches, the model, and what its core draws; everything between is written out.
"""

import math

import torch
import torch.nn.functional as F

import mythos_blocks as mb
from mythos_blocks.tensors.randomness import keyed_generator


def started(recipe):
    """The task, and the model at its initial weights."""
    task = mb.build(recipe.task)
    model = recipe.model_spec().build(task.vocab_size)
    model.initialize(recipe.seed)
    return task, model


def run_model(recipe, model, batch, **options):
    allowed = batch.allowed if recipe.mask == "task" else None
    if recipe.mask == "full" and batch.real is not None:
        allowed = batch.real[:, None, :].expand(-1, batch.tokens.shape[1], -1)
    mask = mb.AttentionMask(causal=recipe.mask == "causal", allowed=allowed)
    return model(batch.tokens, mask=mask, real=batch.real, logits_at=batch.targets != -100, **options)


def learning_rate(recipe, index):
    schedule, peak, num_steps = recipe.training.schedule, recipe.training.optimizer.lr, recipe.training.max_steps
    warmup = schedule.warmup_steps
    warmup = min(round(warmup * num_steps), num_steps - 1) if isinstance(warmup, float) else warmup
    share = 1.0
    if schedule.kind == "cosine":
        progress = (index - warmup) / (num_steps - warmup)
        share = schedule.final + (1 - schedule.final) * (1 + math.cos(math.pi * max(0.0, progress))) / 2
    return peak * (share * min(1.0, (index + 1) / warmup) if warmup else share)


def autocast(recipe):
    return torch.autocast("cpu", torch.bfloat16, enabled=recipe.training.precision == "bfloat16")


def train(recipe, num_steps):
    """The model after each step, and what the step showed: ``(metrics, clipped gradients, weights)``."""
    declared = recipe.training
    task, model = started(recipe)
    objective = mb.build(declared.objective)
    penalties = [mb.build(penalty) for penalty in declared.penalties]
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": declared.optimizer.weight_decay}]
    groups += [{"params": others, "weight_decay": 0.0}] if others else []
    betas = declared.optimizer.beta1, declared.optimizer.beta2
    optimizer = torch.optim.AdamW(groups, lr=1.0, betas=betas, fused=True)
    for index in range(num_steps):
        batch = task.batch("train", range(index * declared.batch_size, (index + 1) * declared.batch_size))
        torch.manual_seed(keyed_generator(recipe.seed, "step", index).initial_seed())
        model.train()
        model.core.loops.progress = index / declared.max_steps
        shape, per_token = batch.tokens.shape, model.core.loops_per == "token"
        generator = keyed_generator(recipe.seed, "loops", index)
        counts = model.core.draw(generator, torch.Size(shape[::-1]) if per_token else shape)
        counts = counts.T if per_token else counts
        record = objective.every_step or any(penalty.every_step for penalty in penalties)
        with autocast(recipe):
            out = run_model(recipe, model, batch, iterations=counts, record=record)
            shown = {"train/objective": objective.loss(model, out, batch.targets)}
            total = shown["train/objective"]
            if out.auxiliary_loss is not None:
                total = total + sum(out.losses.values())
                shown |= {f"auxiliary/{name}": term for name, term in out.losses.items()}
            for penalty in penalties:
                term, shown[penalty.metric] = penalty.loss(model, out, batch.targets)
                total = total + term
            wanted = batch.targets[batch.targets != -100]
            shown["train/loss"] = F.cross_entropy(out.logits.float(), wanted, reduction="none").mean()
        real = torch.ones_like(batch.tokens, dtype=torch.bool) if batch.real is None else batch.real
        each = torch.as_tensor(counts).float()
        ran = out.executed if out.halting.num_updates is None else out.halting.num_updates
        shown |= {
            "train/total_loss": total,
            "train/num_loops": (each[:, None] if each.dim() == 1 else each).expand(shape)[real].mean(),
            "train/mean_loops": ran.float()[real].mean(),
            "train/depth_read": out.halting.depth_read()[real].mean(),
        }
        gradients = torch.autograd.grad(total, list(model.parameters()), allow_unused=True)
        known = [gradient for gradient in gradients if gradient is not None]
        norm = torch.stack([gradient.norm() for gradient in known]).norm()
        if declared.gradient_clip:
            factor = (declared.gradient_clip / (norm + 1e-6)).clamp(max=1.0)
            known = [gradient.mul_(factor) for gradient in known]
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter.grad = gradient
        loads = [m.load.float() for m in model.modules() if isinstance(m, mb.RoutedExperts)]
        if loads:
            shown["experts/load_cv"] = torch.stack([load.std(correction=0) / load.mean() for load in loads]).mean()
        shown |= {
            "train/gradient_norm": norm,
            "train/learning_rate": torch.tensor(learning_rate(recipe, index), dtype=torch.double),
        }
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, index)
        optimizer.step()
        model.after_optimizer_step()
        clipped = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        yield {name: float(x.detach()) for name, x in shown.items()}, clipped, model


@torch.no_grad()
def scores(recipe, model, task, iterations=None):
    """Loss and accuracy on the validation split, and iterations run and read, at a loop count."""
    losses, right, executed, ran, read, num = [], [], [], 0.0, 0.0, 0
    step, size = recipe.evaluation.batch_size, task.size("validation")
    model.eval()
    for start in range(0, size, step):
        batch = task.batch("validation", range(start, min(size, start + step)))
        with autocast(recipe):
            out = run_model(recipe, model, batch, iterations=iterations)
        scored = batch.targets != -100
        wanted, logits = batch.targets[scored], out.logits
        losses.append(F.cross_entropy(logits.float(), wanted, reduction="none").double())
        if task.answers is not None:
            among = torch.full_like(logits, -math.inf)
            among[:, task.answers] = logits[:, task.answers]
            logits = among
        right.append(logits.argmax(-1) == wanted)
        real = torch.ones_like(scored) if batch.real is None else batch.real
        executed.append(float(out.executed[real].max()))
        ran += float((out.executed if out.halting.num_updates is None else out.halting.num_updates)[real].sum())
        read, num = read + float(out.halting.depth_read()[real].sum()), num + int(real.sum())
    return {
        "val/loss": float(torch.cat(losses).mean()),
        "val/accuracy": float(torch.cat(right).double().mean()),
        "loops/executed": sum(executed) / len(executed),
        "halting/mean_loops": ran / num,
        "halting/depth_read": read / num,
    }


def quality(task, measured):
    return -measured["val/loss"] if task.chance is None else measured["val/accuracy"]
