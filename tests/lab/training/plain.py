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
    if schedule.kind == "wsd":
        decay = round(schedule.decay_steps * num_steps)
        done = max(0, index - (num_steps - decay)) / decay
        share = schedule.final + (1 - schedule.final) * (1 - (done if schedule.shape == "linear" else done**0.5))
    if schedule.kind == "cosine":
        progress = (index - warmup) / (num_steps - warmup)
        share = schedule.final + (1 - schedule.final) * (1 + math.cos(math.pi * max(0.0, progress))) / 2
    return peak * (share * min(1.0, (index + 1) / warmup) if warmup else share)


def autocast(recipe):
    return torch.autocast("cpu", torch.bfloat16, enabled=recipe.training.precision == "bfloat16")


def factors(recipe, name, path):
    """What the groups of a recipe multiply a parameter's rate and decay by; ``path`` are its slots and parts."""
    said = [group for group in recipe.training.groups if group.slot in path]
    return math.prod(group.lr for group in said), math.prod(group.weight_decay for group in said)


def slots_around(model, name):
    found, module = {name.split(".")[0]}, model
    for part in name.split(".")[:-1]:
        module = getattr(module, part)
        found |= {module.slot} if isinstance(module, mb.Module) else set()
    return found


def optimizers(recipe, model):
    """torch's own, with groups of one parameter each, whose rate is a factor until a step sets it."""
    declared, by = recipe.training.optimizer, {"adamw": [], "muon": []}
    for name, p in model.named_parameters():
        rate, decay = factors(recipe, name, slots_around(model, name))
        module = model.get_submodule(name.rpartition(".")[0])
        hidden = (
            isinstance(module, torch.nn.Linear) and p.dim() == 2 and name.split(".")[0] in ("prelude", "core", "coda")
        )
        by["muon" if declared.kind == "muon" and hidden and min(p.shape) > 1 else "adamw"].append(
            {"params": [p], "weight_decay": declared.weight_decay * decay * (p.dim() >= 2), "factor": rate}
        )
    made = [torch.optim.AdamW(by["adamw"], lr=1.0, betas=(declared.beta1, declared.beta2), fused=True)]
    if by["muon"]:
        made.append(torch.optim.Muon(by["muon"], momentum=declared.momentum, adjust_lr_fn="match_rms_adamw"))
    return made


def parts_of(batch, counts, num):
    """The batch in parts of equal numbers of sequences, each with its share of scored tokens, real positions, sequences."""
    size = len(batch.tokens) // num
    rows = [slice(size * i, size * (i + 1)) for i in range(num)]
    parts = [batch.map(lambda tensor, these=these: tensor[these]) for these in rows]
    scored = torch.stack([(part.targets != -100).sum() for part in parts])
    real = torch.stack([torch.as_tensor(part.num_real()) for part in parts])
    for part, these, s, r in zip(parts, rows, scored / scored.sum(), real / real.sum(), strict=True):
        yield part, counts[these] if torch.is_tensor(counts) and counts.dim() else counts, (s, r, 1 / num)


def train(recipe, num_steps):
    """The model after each step, and what the step showed: ``(metrics, clipped gradients, model, model to evaluate)``."""
    declared = recipe.training
    task, model = started(recipe)
    objective = mb.build(declared.objective)
    penalties = [mb.build(penalty) for penalty in declared.penalties]
    steppers = optimizers(recipe, model)
    averaged = None
    if declared.ema is not None:
        average_by = torch.optim.swa_utils.get_ema_multi_avg_fn(declared.ema)
        averaged = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=average_by)
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
        shown, gradients = {}, [None for _ in model.parameters()]
        for part, own, shares in parts_of(batch, counts, declared.num_microbatches):
            of_scored, of_real, of_rows = shares if declared.num_microbatches > 1 else (1, 1, 1)
            with autocast(recipe):
                out = run_model(recipe, model, part, iterations=own, record=record)
                here = {"train/objective": objective.loss(model, out, part.targets) * of_scored}
                total = here["train/objective"]
                if out.auxiliary_loss is not None:
                    total = total + sum(out.losses.values()) * of_real
                    here |= {f"auxiliary/{name}": term * of_real for name, term in out.losses.items()}
                for penalty in penalties:
                    share = of_scored if penalty.over_scored else of_real if penalty.over_real else of_rows
                    term, quantity = penalty.loss(model, out, part.targets)
                    here[penalty.metric] = quantity * share
                    total = total + term * share
                wanted = part.targets[part.targets != -100]
                each_loss = F.cross_entropy(out.logits.float(), wanted, reduction="none")
                here["train/loss"] = each_loss.mean() * of_scored
            real = torch.ones_like(part.tokens, dtype=torch.bool) if part.real is None else part.real
            each = torch.as_tensor(own).float()
            ran = out.executed if out.halting.num_updates is None else out.halting.num_updates
            here |= {
                "train/total_loss": total,
                "train/num_loops": (each[:, None] if each.dim() == 1 else each).expand(part.tokens.shape)[real].mean()
                * of_real,
            }
            if recipe.model.core.halting.kind != "none":
                here["train/mean_loops"] = ran.float()[real].mean() * of_real
                here["train/depth_read"] = out.halting.depth_read()[real].mean() * of_real
            found = torch.autograd.grad(total, list(model.parameters()), allow_unused=True)
            gradients = [
                g if f is None else f if g is None else g.add_(f) for g, f in zip(gradients, found, strict=True)
            ]
            shown = {name: shown.get(name, 0) + value.detach() for name, value in here.items()}
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
        for stepper in steppers:
            for group in stepper.param_groups:
                group["lr"] = learning_rate(recipe, index) * group["factor"]
            stepper.step()
        model.after_optimizer_step()
        if averaged is not None:
            averaged.update_parameters(model)
        clipped = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        yield (
            {name: float(x.detach()) for name, x in shown.items()},
            clipped,
            model,
            averaged.module if averaged else model,
        )


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
    found = {
        "val/loss": float(torch.cat(losses).mean()),
        "val/accuracy": float(torch.cat(right).double().mean()),
        "loops/executed": sum(executed) / len(executed),
    }
    if {recipe.model.core.halting.kind, recipe.model.core.exit.kind} != {"none"}:
        found |= {"halting/mean_loops": ran / num, "halting/depth_read": read / num}
    return found


def quality(task, measured):
    return -measured["val/loss"] if task.chance is None else measured["val/accuracy"]
