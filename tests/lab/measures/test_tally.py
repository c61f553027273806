"""Intervals of what is measured on a split: they hold the truth as often as they say, and read the samples right."""

import json

import pytest
import torch

from mythos_lab.measures.evaluate import evaluate, quality_gain
from mythos_lab.measures.tally import Tally
from mythos_lab.metrics import VALIDATED
from mythos_lab.recipe import load_recipe
from mythos_lab.recipe.mask import mask_for
from mythos_lab.tasks.base import IGNORE
from mythos_lab.training.assembly import assemble
from mythos_lab.training.run import run

REPEATS = 2000
SMALL = [
    "task.validation_size=64", "task.ood_size=64", "training.max_steps=4", "training.validate_every=2",
    "training.schedule.warmup_steps=0", "evaluation.batch_size=24",
]  # fmt: skip


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def tally(hits, totals=None, losses=None):
    totals = torch.ones_like(hits) if totals is None else totals
    return Tally(totals, hits, torch.zeros_like(hits) if losses is None else losses)


def held(intervals, truth):
    return sum(low <= truth <= high for low, high in intervals) / REPEATS


@pytest.mark.parametrize("p, num_samples", [(0.5, 64), (0.95, 64), (0.998, 512), (1.0, 64), (0.02, 2000)])
def test_an_accuracy_is_held_where_a_sample_has_one_answer(p, num_samples, generator):
    draws = (torch.rand(REPEATS, num_samples, generator=generator) < p).double()
    assert 0.93 <= held([tally(hits).accuracy_interval() for hits in draws], p) <= 1.0


@pytest.mark.parametrize("p, num_samples", [(0.9, 64), (0.7, 20), (0.5, 200)])
def test_an_accuracy_is_held_where_tokens_of_a_sample_stand_and_fall_together(p, num_samples, generator):
    """A sample's share of right tokens is Beta distributed: correlation 1/3 within a sample of up to 16 tokens."""
    found, naive = [], []
    for _ in range(REPEATS):
        totals = torch.randint(1, 17, (num_samples,), generator=generator).double()
        shape = torch.tensor([[2 * p, 2 * (1 - p)]]).double().expand(num_samples, 2).contiguous()
        share = torch._sample_dirichlet(shape, generator=generator)[:, 0]
        hits = torch.binomial(totals, share, generator=generator)
        found.append(tally(hits, totals).accuracy_interval())
        flat = torch.cat([torch.ones(int(hits.sum())), torch.zeros(int((totals - hits).sum()))]).double()
        naive.append(tally(flat).accuracy_interval())
    assert 0.93 <= held(found, p) <= 0.97
    assert held(naive, p) < 0.8, "counting tokens would have claimed too much"


def test_a_loss_is_held(generator):
    found = []
    for _ in range(REPEATS):
        totals = torch.randint(1, 9, (40,), generator=generator).double()
        level = 1 + torch.empty(40).exponential_(generator=generator).double()  # skewed, as losses are
        found.append(tally(torch.zeros(40).double(), totals, totals * level).loss_interval())
    assert 0.91 <= held(found, 2.0) <= 0.97


@pytest.mark.parametrize("gains, losses", [(0.1, 0.1), (0.3, 0.05), (0.02, 0.0), (0.0, 0.0)])
def test_a_difference_on_the_same_samples_is_held(gains, losses, generator):
    found = []
    for _ in range(REPEATS):
        u = torch.rand(128, generator=generator)
        with_, without = (u < gains).double(), ((u >= gains) & (u < gains + losses)).double()
        found.append(tally(with_).accuracy_gain(tally(without)))
    assert 0.93 <= held(found, gains - losses)
    assert all(high - low > 0.01 for low, high in found), "nothing seen to differ is not nothing that can"


def test_pairing_makes_a_difference_known_better(generator):
    hits = (torch.rand(500, generator=generator) < 0.5).double()
    better = hits.clone()
    better[(hits == 0).nonzero()[:10, 0]] = 1
    low, high = tally(better).accuracy_gain(tally(hits))
    assert 0 < low < 0.02 < high < 0.04
    assert tally(better).accuracy_interval()[0] < tally(hits).accuracy_interval()[1]


def test_one_sample_tells_nothing():
    one = tally(torch.tensor([1.0]).double())
    assert one.accuracy_interval() is one.loss_interval() is one.accuracy_gain(one) is one.loss_gain(one) is None


@pytest.mark.parametrize("kind", ["gated_loop", "looped"])
def test_samples_are_counted_as_one_reads_them(kind):
    recipe = load_recipe(kind, [*SMALL, *(["task=addition"] if kind == "looped" else [])])
    model, task = assemble(recipe)
    scores, shallow = evaluate(model, task, recipe), evaluate(model, task, recipe, iterations=1)
    answers = torch.tensor(task.answers or range(task.vocab_size))
    model.eval()
    for row in range(64):
        batch = task.batch("validation", range(row, row + 1))
        where = batch.targets != IGNORE
        with torch.no_grad():
            logits = model(batch.tokens, mask_for(recipe, batch.allowed)).logits[where]
        right = answers[logits[:, answers].argmax(-1)] == batch.targets[where]
        loss = torch.nn.functional.cross_entropy(logits, batch.targets[where], reduction="sum")
        assert scores.tally.totals[row] == where.sum() and scores.tally.hits[row] == right.sum()
        assert scores.tally.losses[row] == pytest.approx(float(loss), rel=1e-4)
    parts = list(scores.by_difficulty.values())
    for name in ("totals", "hits", "losses"):
        whole = float(getattr(scores.tally, name).sum())
        assert sum(float(getattr(part, name).sum()) for part in parts) == pytest.approx(whole)
    assert set(scores.metrics()) <= set(VALIDATED)
    low, high = quality_gain(scores, shallow, task)
    assert low < scores.accuracy - shallow.accuracy < high


def test_a_run_shows_and_keeps_its_intervals(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    from mythos_lab.report.result import run_report
    from mythos_lab.report.terminal import show

    # What highway keeps of the state and what lti carries of it add up to more than all of it.
    result = run(load_recipe("gated_loop", [*SMALL, "model.core.injection=lti", "waive=[stability.growth]"]))
    measured = {"val/loss", "val/accuracy", "loops/gain", "ood/loss", "ood/accuracy", "knockout/injection"}
    measured |= {"loops/used_flips", "loops/distinct_flips", "loops/noise_flips"}
    assert set(result.intervals) == measured
    for name, (low, high) in result.intervals.items():
        assert low <= result.metrics[name] <= high
    written = json.loads((result.folder / "result.json").read_text())
    assert {name: tuple(bounds) for name, bounds in written["intervals"].items()} == result.intervals
    row = written["depth_curve"][0]
    assert row["accuracy_low"] < row["accuracy"] < row["accuracy_high"]
    show(run_report(result))
    low, high = result.intervals["val/accuracy"]
    assert f"{low:.4g} to {high:.4g}" in capsys.readouterr().out
