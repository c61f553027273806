"""What really runs and what it takes, measured by torch: to hold counts against."""

import math

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

import mythos_blocks as mb
from mythos_lab.recipe import load_recipe
from mythos_lab.recipe.losses import Losses
from mythos_lab.recipe.mask import mask_for
from mythos_lab.tasks.base import IGNORE
from tests.lab.recipes import short

TEXT = ("fixed_depth", "huginn", "openmythos", "openmythos_as_published", "parcae")
aten = torch.ops.aten


def assemble(recipe):
    task = mb.build(recipe.task)
    model = recipe.model_spec().build(task.vocab_size)
    model.initialize(recipe.seed)
    return model, task


def recipe_of(name, *overrides, batch=4, length=32):
    window = [f"task.length={length}"] if name in TEXT else []
    small = [f"training.batch_size={batch}", "task.validation_size=8"]
    return load_recipe(name, [*small, *window, *short(name), *overrides])


def loop_counts(recipe):
    """One, the mean, the largest, and one beyond the gradient window where there is one."""
    core = assemble(recipe)[0].core
    window = core.gradient.window(10**6)
    return sorted({1, core.loops.eval_loops, core.loops.max_loops, window + 1 if window < 10**6 else 1})


class Real:
    """A recipe's model, optimiser and first batch, with numbers."""

    def __init__(self, recipe):
        self.recipe = recipe
        self.model, task = assemble(recipe)
        self.batch = task.batch("train", range(recipe.training.batch_size))
        self.losses = Losses.of(recipe)
        self.optimizer = mb.build(recipe.training.optimizer, self.model.parameters()).torch

    def forward(self, num_loops, record=False):
        batch = self.batch
        return self.model(
            batch.tokens,
            mask_for(self.recipe, batch.allowed),
            num_loops,
            record=record,
            logits_at=batch.targets != IGNORE,
        )

    def step(self, num_loops):
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.training.precision == "bfloat16"):
            out = self.forward(num_loops, self.losses.every_step)
            loss = self.losses(self.model, out, self.batch.targets)[0]
            del out
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.training.gradient_clip or math.inf)
        self.optimizer.step()
        self.model.after_optimizer_step()


def bytes_of(tensors):
    """Of their storages, each once."""
    return sum({x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for x in tensors}.values())


def torch_counts(run):
    """torch's counter, which has no formula for attention on the CPU and for operators of others."""

    def attention(q, k, v, *_, out_shape=None, **__):
        return sdpa_flop_count(q, k, v)

    def attention_backward(gradient, q, k, v, *_, out_shape=None, **__):
        return sdpa_backward_flop_count(gradient, q, k, v)

    def grouped(x, weight, ends, back=False, out_shape=None):
        return 2 * math.prod(x) * weight[2 if back else 1]

    def grouped_weight(gradient, x, ends, out_shape=None):
        return 2 * math.prod(x) * gradient[1]

    ours = {
        aten._scaled_dot_product_flash_attention_for_cpu: attention,
        aten._scaled_dot_product_flash_attention_for_cpu_backward: attention_backward,
        torch.ops.mythos_blocks.grouped_linear: grouped,
        torch.ops.mythos_blocks.grouped_linear_weight: grouped_weight,
    }
    with FlopCounterMode(display=False, custom_mapping=ours) as counter:
        run()
    return counter.get_total_flops()


def peak_and_between(real, num_loops):
    """The most bytes that torch's profiler sees alive within a training step, and those alive between steps.

    Both steps are profiled, since the profiler does not see the end of what it has not seen begin: the first one's
    gradients. It has no optimiser state yet, so that the second takes more.
    """
    real.optimizer = mb.build(real.recipe.training.optimizer, real.model.parameters()).torch
    real.optimizer.zero_grad()
    weights = bytes_of([*real.model.parameters(), *real.model.buffers()])
    with torch.profiler.profile(profile_memory=True) as profile:
        real.step(num_loops)
        real.step(num_loops)
    grads = [p.grad for p in real.model.parameters() if p.grad is not None]
    state = [x for kept in real.optimizer.state.values() for x in kept.values()]
    return weights + most_alive(profile), weights + bytes_of(grads) + bytes_of(state)


def most_alive(profile):
    """The most bytes that the CPU's allocator had given out at a time, beyond those of before."""
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    alive, most = 0, 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        alive += event.nbytes()
        most = max(most, alive)
    return most
