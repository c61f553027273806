"""Intervals of a text's losses count documents: they hold the truth as often as they say, or there is none."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from mythos_lab.measures.evaluate import evaluate
from mythos_lab.measures.tally import Tally
from mythos_lab.recipe import load_recipe
from mythos_lab.tasks import Text
from mythos_lab.training.assembly import assemble
from tests.tasks.text.conftest import sentence
from tests.tasks.text.corpora import CORPORA

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "text_intervals.py"
SPEC = importlib.util.spec_from_file_location("text_intervals", SCRIPT)
simulation = sys.modules[SPEC.name] = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(simulation)


@pytest.mark.parametrize("num_bytes", simulation.SIZES)
@pytest.mark.parametrize("source", ["passage", "paragraphs"])
def test_an_interval_holds_the_truth_or_is_withheld(source, num_bytes):
    """Of 40, 38 are expected, and fewer than 34 in one of 300 such tests; overlapping windows had held 6 to 33."""
    held, withheld, width = simulation.coverage(source, num_bytes, tries=40)
    assert held >= 0.85 * (40 - withheld)
    if num_bytes > 20_000 or source == "passage":
        assert not withheld and width < 0.8, "an interval tells something"


def scored(path, length=16, **fields):
    said = [f"task.{name}={value}" for name, value in fields.items()]
    recipe = load_recipe("fixed_depth", [f"task.path={path}", f"task.length={length}", "model.width=16", *said])
    model, task = assemble(recipe)
    return task, evaluate(model, task, recipe), recipe


def test_tokens_are_counted_by_document(tmp_path):
    path = CORPORA["rows.jsonl"](tmp_path, [sentence(i) for i in range(120)])["path"]
    task, scores, recipe = scored(path, held_out=0.1, validation_size=1000)
    ends = task.prepared.splits["validation"].ends
    assert len(ends) == len(scores.tally.totals) == 12
    lengths = torch.from_numpy(ends).diff(prepend=torch.zeros(1, dtype=torch.long)).double()
    lengths[0] -= 1  # its first token is no target
    lengths[-1] -= (int(ends[-1]) - 1) % 16  # and what is left at the end belongs to no window
    assert torch.equal(scores.tally.totals, lengths)
    recipe.evaluation.__dict__["batch_size"] = 5  # however windows come together in batches
    again = evaluate(assemble(recipe)[0], task, recipe).tally
    assert torch.equal(again.totals, scores.tally.totals) and torch.allclose(again.losses, scores.tally.losses)
    assert scores.intervals().keys() == {"val/loss", "val/accuracy", "val/bits_per_byte"}


def test_too_few_documents_have_no_interval_and_it_is_said(tmp_path):
    path = CORPORA["rows.jsonl"](tmp_path, [sentence(i) for i in range(40)])["path"]
    task, scores, _ = scored(path, validation_size=1000)
    assert scores.intervals() == {} and len(scores.tally.totals) == 2
    assert "validation has 2 documents: too few for an interval, which takes 5" in task.remarks()


@pytest.mark.parametrize(
    "sizes, known", [([9, 9, 9, 9], False), ([9, 9, 9, 9, 9], True), ([900, 1, 1, 1, 1, 1, 1], False)]
)
def test_few_units_or_one_that_outweighs_all_tell_nothing(sizes, known):
    totals = torch.tensor(sizes).double()
    tally = Tally(totals, totals / 2, totals * torch.linspace(1, 2, len(sizes)).double())
    other = Tally(totals, totals / 3, totals)
    found = tally.loss_interval(), tally.accuracy_interval(), tally.loss_gain(other), tally.accuracy_gain(other)
    assert all((interval is not None) == known for interval in found)


def test_each_split_is_scored_by_its_own_bytes(tmp_path):
    """The validation split had lent its bytes per token to the test split: up to 6.9 % off."""
    texts = [sentence(i) if i % 2 else "x" * 300 + sentence(i) for i in range(60)]
    path = CORPORA["rows.jsonl"](tmp_path, texts)["path"]
    task, scores, recipe = scored(path, tokenizer="{kind: bpe, vocab_size: 320}", held_out=0.1)
    model = assemble(recipe)[0]
    for split in ("validation", "test"):
        found = evaluate(model, task, recipe, split=split)
        assert found.bits_per_byte == found.loss * task.bits_per_byte(split)
    assert task.bits_per_byte("test") != pytest.approx(task.bits_per_byte("validation"), rel=1e-3)


def test_windows_that_are_evaluated_do_not_overlap(tmp_path):
    (tmp_path / "a.txt").write_text("".join(sentence(i) for i in range(60)))
    task = Text(path=str(tmp_path), length=16)
    assert task.size("validation") == (len(task.corpus.text["validation"]) - 1) // 16 < 256
