"""What a split comes to, against every sample of it read and counted by hand."""

from collections import defaultdict

import pytest
import torch
import torch.nn.functional as F

from mythos_lab.measures.evaluate import evaluate, evaluate_counts, evaluate_gain, quality, quality_gain
from mythos_lab.recipe import load_recipe
from mythos_lab.tasks import IGNORE
from mythos_lab.tasks.base import Batch

NUM, LENGTH, VOCAB = 11, 6, 7


class Everything:
    """A task that has all that a batch may carry, of random numbers; the splits differ."""

    def __init__(self, answers=(2, 3, 5), chance=1 / 3):
        self.answers, self.chance = answers, chance

    def size(self, split):
        return {"validation": NUM, "test": 4}[split]

    def bits_per_byte(self, split):
        return {"validation": 1.25, "test": 2.5}[split]

    def batch(self, split, indices):
        rows = slice(indices.start, indices.stop)
        generator = torch.Generator().manual_seed(["validation", "test"].index(split))
        tokens = torch.randint(VOCAB, (NUM, LENGTH), generator=generator)
        lengths = torch.randint(3, LENGTH + 1, (NUM,), generator=generator)
        real = torch.arange(LENGTH) < lengths[:, None]
        scored = (torch.rand(NUM, LENGTH, generator=generator) < 0.6) & real
        targets = torch.tensor([2, 3, 5])[torch.randint(3, (NUM, LENGTH), generator=generator)]
        units = torch.arange(NUM)[:, None] // 3 * 2 + (torch.arange(LENGTH) >= 3)  # of several rows, and batches
        return Batch(
            tokens[rows], targets.masked_fill(~scored, IGNORE)[rows], difficulty=lengths[rows],
            slices={"column": torch.arange(LENGTH).expand(NUM, -1)[rows], "parity": (lengths % 2)[rows]},
            real=real[rows], units=units[rows],
        )  # fmt: skip


def started(precision="float32"):
    """A recipe whose model halts where it will, and that model with weights so large that it does."""
    recipe = load_recipe(
        "looped",
        ["model.width=16", "task=parity", "mask=full", "evaluation.batch_size=4", f"training.precision={precision}",
         "model.core.halting={kind: act, initial_bias: -0.5}", "model.core.loops={kind: uniform, low: 1, high: 5}"],
    )  # fmt: skip
    model = recipe.model_spec().build(VOCAB)
    model.initialize(recipe.seed)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() >= 2:
                parameter.normal_(std=2 * parameter.shape[-1] ** -0.5, generator=generator)
    return recipe, model


def by_hand(recipe, model, task, iterations, split):
    """Every number of a split, position by position; samples one at a time, but for batches of loops run."""
    found, cells, counts, loops = defaultdict(float), defaultdict(list), defaultdict(float), []
    dtype = torch.bfloat16 if recipe.training.precision == "bfloat16" else None
    for start in range(0, task.size(split), recipe.evaluation.batch_size):
        batch = task.batch(split, range(start, min(start + recipe.evaluation.batch_size, task.size(split))))
        with torch.no_grad(), torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
            mask = _full(batch)
            out = model.eval()(batch.tokens, mask=mask, real=batch.real, iterations=iterations)
        loops.append(int(out.executed[batch.real].max()))
        for row in range(len(batch.tokens)):
            for place in range(LENGTH):
                if batch.real[row, place]:
                    found["real"] += 1
                    found["ran"] += float(out.halting.num_updates[row, place])
                    found["read"] += float(out.halting.depth_read()[row, place])
                    counts[int(out.halting.num_updates[row, place])] += 1
                target = int(batch.targets[row, place])
                if target == IGNORE:
                    continue
                logits = out.logits[row, place].float()
                loss = float(F.cross_entropy(logits, torch.tensor(target)))
                among = task.answers or range(VOCAB)
                right = max(among, key=lambda token: float(logits[token])) == target
                keys = ["all", ("unit", int(batch.units[row, place])), ("difficulty", int(batch.difficulty[row]))]
                keys += [("column", place), ("parity", int(batch.slices["parity"][row]))]
                for key in keys:
                    cells[key].append((loss, right))
    return found, cells, counts, loops


def _full(batch):
    import mythos_blocks as mb

    return mb.AttentionMask(causal=False, allowed=batch.real[:, None, :].expand(-1, LENGTH, -1))


def close(some, others):
    assert some == pytest.approx(others, rel=1e-5, abs=1e-6)


def agree(tally, cells):
    """A tally and the scored tokens of one cell."""
    assert tally.num_scored == len(cells)
    close(tally.loss, sum(loss for loss, _ in cells) / len(cells))
    close(tally.accuracy, sum(right for _, right in cells) / len(cells))


@pytest.mark.parametrize("answers", [(2, 3, 5), None])
@pytest.mark.parametrize(
    "iterations, split, precision",
    [(3, "validation", "float32"), (None, "test", "float32"), ([0, 1, 1], "validation", "float32"),
     ([0, 1, 2], "test", "bfloat16"), (2, "validation", "bfloat16")],
)  # fmt: skip
def test_scores_are_the_means_over_what_each_is_of(iterations, split, precision, answers):
    recipe, model = started(precision)
    task = Everything(answers)
    found, cells, counts, loops = by_hand(recipe, model, task, iterations, split)
    scores = evaluate(model, task, recipe, iterations=iterations, split=split)
    agree(scores.tally, cells["all"])
    assert scores.num_scored == len(cells["all"])
    units = sorted(key[1] for key in cells if key[0] == "unit")
    assert scores.tally.units.tolist() == units
    for place, unit in enumerate(units):
        assert scores.tally.totals[place] == len(cells["unit", unit])
        close(float(scores.tally.losses[place]), sum(loss for loss, _ in cells["unit", unit]))
        assert scores.tally.hits[place] == sum(right for _, right in cells["unit", unit])
    assert set(scores.by_slice) == {"column", "parity"}
    for name, tallies in {"difficulty": scores.by_difficulty, **scores.by_slice}.items():
        assert list(tallies) == sorted(key[1] for key in cells if key[0] == name)
        for value, tally in tallies.items():
            agree(tally, cells[name, value])
    close(scores.num_loops, sum(loops) / len(loops))
    close(scores.mean_loops, found["ran"] / found["real"])
    close(scores.depth_read, found["read"] / found["real"])
    close(scores.histogram, [counts[n + 1] / found["real"] for n in range(max(counts))])
    assert len(set(counts)) > 1, "nothing halts at different iterations"
    bits = {"validation": 1.25, "test": 2.5}[split]
    close(scores.bits_per_byte, bits * scores.loss)
    ends = scores.intervals()
    assert ends.get("val/bits_per_byte") == (tuple(bits * x for x in ends["val/loss"]) if "val/loss" in ends else None)
    assert ("val/loss" in ends) == (split == "validation"), "of few units there is no interval"


def test_what_is_no_text_has_no_bits_per_byte(monkeypatch):
    recipe, model = started()
    monkeypatch.setattr(Everything, "bits_per_byte", lambda self, split: None)
    scores = evaluate(model, Everything(), recipe, iterations=2)
    assert scores.bits_per_byte is None
    assert not any("bits" in name for name in [*scores.metrics(), *scores.intervals()])


def test_several_counts_are_each_their_own():
    recipe, model = started()
    together = evaluate_counts(model, Everything(), recipe, [4, 1, 2, 2])
    assert list(together) == [1, 2, 4]
    for count, scores in together.items():
        assert scores.metrics() == evaluate(model, Everything(), recipe, iterations=count).metrics()
        assert scores.histogram == evaluate(model, Everything(), recipe, iterations=count).histogram


@pytest.mark.parametrize("chance", [1 / 3, None])
def test_a_gain_is_what_the_declared_loops_have_over_one(chance):
    recipe, model = started()
    task = Everything(chance=chance)
    one, whole = (evaluate(model, task, recipe, iterations=count) for count in (1, None))
    gain = whole.accuracy - one.accuracy if chance else one.loss - whole.loss
    assert gain != 0
    close(evaluate_gain(model, task, recipe).gain, gain)
    close(quality(whole, task) - quality(one, task), gain)
    low, high = quality_gain(whole, one, task)
    assert low < gain < high
    assert evaluate_gain(model, task, recipe).metrics()["loops/gain"] == evaluate_gain(model, task, recipe).gain
    assert "loops/gain" not in whole.metrics() and whole.gain is None


@pytest.mark.parametrize("iterations", [2, [0, 1]])
@pytest.mark.parametrize("training", [True, False])
def test_a_model_is_evaluated_and_left_in_the_mode_that_it_was_in(training, iterations):
    recipe, model = started()
    modes = []
    model.core.layers[0].register_forward_pre_hook(
        lambda module, _: modes.append((module.training, torch.is_grad_enabled()))
    )
    evaluate(model.train(training), Everything(), recipe, iterations=iterations)
    assert set(modes) == {(False, False)} and model.training is training
    with pytest.raises(KeyError):
        evaluate(model, Everything(), recipe, iterations=iterations, split="nowhere")
    assert model.training is training, "whoever catches goes on with the model as it was"


def test_a_part_that_is_kept_in_evaluation_mode_is_so_afterwards():
    recipe, model = started()
    model.train().core.eval()
    evaluate(model, Everything(), recipe)
    assert model.training and not any(module.training for module in model.core.modules())
