"""Tasks in the laboratory: refused where they leak, measured out of distribution and by slices, shown by the CLI."""

import json
import subprocess
import sys

import pytest
import torch
import yaml
from typer.testing import CliRunner

from mythos_blocks import build
from mythos_blocks.declaring.registry import slots
from mythos_lab.cli import app
from mythos_lab.measures.evaluate import evaluate
from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.recipe.files import data_dir
from mythos_lab.tasks import IGNORE
from mythos_lab.training.assembly import assemble, effects
from mythos_lab.training.run import Pruned, run

SMALL = [
    "training.max_steps=4", "training.validate_every=2", "training.log_every=2", "training.batch_size=8",
    "task.validation_size=64", "task.test_size=32", "task.ood_size=64", "training.schedule.warmup_steps=0",
    "training.num_threads=1", "evaluation.knockouts=false",
]  # fmt: skip


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("MYTHOS_CACHE", str(tmp_path / "cache"))


def call(*arguments):
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


LEAKY = {
    "reachability_as_published": ["gated_loop", "task=reachability_as_published"],
    "kinship_as_published": ["looped", "task=kinship_as_published"],
    "boolean": ["looped", "task=boolean", "task.balanced=false"],
    "p_hop": ["looped", "task.repeats=true"],
}


@pytest.mark.parametrize("overrides", LEAKY.values(), ids=LEAKY)
def test_a_task_that_leaks_is_not_trained_unless_the_recipe_says_so(overrides, tmp_path):
    with pytest.raises(RecipeError, match="task.shortcut: .* is called compositional, and .* alone gives accuracy"):
        run(load_recipe(overrides[0], [*overrides[1:], *SMALL]))
    assert not (tmp_path / "runs").exists() and not (tmp_path / "mlflow.db").exists()
    recipe = load_recipe(overrides[0], [*overrides[1:], *SMALL, "waive=[task.shortcut]"])
    findings = effects(recipe, *assemble(recipe))
    assert [(f.code, f.waived) for f in findings] == [("task.shortcut", True)]


@pytest.mark.parametrize("kind", ["boolean", "kinship", "p_hop", "relational_composition", "igsm_lite"])
def test_a_task_that_does_not_leak_is_clean(kind):
    recipe = load_recipe("looped", [f"task={kind}"])
    assert effects(recipe, *assemble(recipe)) == []


def test_a_run_is_measured_out_of_distribution():
    result = run(load_recipe("gated_loop", SMALL))
    assert {"ood/accuracy", "ood/loss", "ood/best_accuracy"} <= set(result.metrics)
    written = json.loads((result.folder / "result.json").read_text())
    assert set(written["ood_depth_curve"][0]) >= {"loops", "accuracy", "hops=5", "hops=6"}
    assert "out of distribution; accuracy by hops" in call("train", "gated_loop", *SMALL)[1]


@pytest.mark.parametrize("override", ["evaluation.ood=false", "task.ood_range=0"])
def test_it_need_not_be(override):
    result = run(load_recipe("gated_loop", [*SMALL, override]))
    assert result.ood is None and not any(name.startswith("ood/") for name in result.metrics)


def test_slices_and_difficulties_add_up():
    recipe = load_recipe("looped", ["task=addition", *SMALL])
    model, task = assemble(recipe)
    scores = evaluate(model, task, recipe)
    batch = task.batch("validation", range(64))
    scored = (batch.targets != IGNORE).sum()
    assert scores.num_scored == scored
    ((name, values),) = scores.by_slice.items()
    assert name == "carries" and sum(t.num_scored for t in values.values()) == scored
    assert sum(t.accuracy * t.num_scored for t in values.values()) / scored == pytest.approx(scores.accuracy)
    per_digits = [(batch.targets[batch.difficulty == d] != IGNORE).sum() for d in scores.by_difficulty]
    assert [t.num_scored for t in scores.by_difficulty.values()] == per_digits
    total = sum(t.hits.sum() for t in scores.by_difficulty.values())
    assert float(total / scored) == pytest.approx(scores.accuracy)


def test_difficulty_may_differ_within_a_sample():
    """A word problem asks at every position: each is scored at its own length, and out of distribution only beyond."""
    recipe = load_recipe("looped", ["task=word_problem", *SMALL])
    model, task = assemble(recipe)
    assert list(evaluate(model, task, recipe).by_difficulty) == list(range(1, 13))
    assert list(evaluate(model, task, recipe, split="ood").by_difficulty) == list(range(13, 21))


def test_scores_are_those_of_reading_every_position():
    recipe = load_recipe("looped", ["task=composite_arithmetic", *SMALL])
    model, task = assemble(recipe)
    batch = task.batch("validation", range(64))
    with torch.no_grad():
        logits = model.eval()(batch.tokens).logits
    answers = torch.tensor(task.answers)
    right = answers[logits[..., answers].argmax(-1)] == batch.targets
    assert evaluate(model, task, recipe).accuracy == pytest.approx(float(right[batch.targets != IGNORE].float().mean()))


def test_a_model_with_a_place_for_each_position_is_told_before_it_trains():
    with pytest.raises(RecipeError, match="evaluation.ood: the model cannot read samples of 33 positions"):
        run(load_recipe("looped", ["task=parity", "mask=full", "task.min_length=16", "model.core.layer.attention={kind: mixer, num_positions: 17}",
                                   "model.prelude.layer.attention={kind: mixer, num_positions: 17}", *SMALL]))  # fmt: skip


def test_the_tokenizer_is_part_of_the_run():
    result = run(load_recipe("fixed_depth", [*SMALL[:6], *SMALL[7:], "task.tokenizer={kind: bpe, vocab_size: 300}",
                                             "task.max_bytes=60000", "task.length=32"]))  # fmt: skip
    data = json.loads((result.folder / "data.json").read_text())
    assert data["tokenizer"].startswith("bpe") and len(data["tokenizer_sha256"]) == 64 and data["fingerprint"]
    assert result.metrics["val/bits_per_byte"] > 0


def test_two_runs_may_open_a_fresh_store_at_once(tmp_path):
    code = (
        "from mythos_lab.tracking.store import prepare\n"
        f"print(prepare('sqlite:///{tmp_path}/new/mlflow.db', 'both')[1])"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = {process.communicate()[0] for process in processes}
    assert all(process.returncode == 0 for process in processes) and len(said) == 1


@pytest.mark.parametrize(
    "arguments, shown",
    [
        (
            ["reachability"],
            ["s>", "hops 1 to 4, out of distribution to 6", "degrees of s and t", "oracle, ood", "0.5"],
        ),
        (["sudoku", "max_blanks=6"], ["blanks 4 to 6", "mask", "full", "what row, column and box leave"]),
        (["text", "length=64"], ["the standard library", "tokenizer bytes", "64"]),
        (["mad_memorization", "vocab_size=17", "--samples", "0"], ["0.125", "1.0000"]),
    ],
    ids=["reachability", "sudoku", "text", "memorization"],
)
def test_a_task_can_be_looked_at(arguments, shown):
    code, said = call("task", *arguments)
    assert code == 0
    for text in [*shown, "samples/s"]:
        assert text in said, text


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["reachabilty"], "did you mean 'reachability'"),
        (["reachability", "max_hop=3"], "did you mean 'max_hops'"),
        (["reachability", "max_hops=9"], "must come to at most num_nodes - 3"),
        (["word_problem", "group=S9"], "S5"),
        (["mqar", "settings=[{length: 12, num_pairs: 4}]"], "need a length of at least 16"),
    ],
)
def test_mistakes(arguments, said):
    result = CliRunner().invoke(app, ["task", *arguments])
    assert result.exit_code == 2 and said in result.stderr and len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "override, said",
    [
        ("task=sudoku", "need later positions; use 'full'"),
        ("task=reachability", "has a mask of its own; use 'task'"),
    ],
)
def test_masks_that_do_not_fit_the_task_are_refused(override, said):
    with pytest.raises(RecipeError, match=said):
        load_recipe("looped", [override])


@pytest.mark.parametrize("name", sorted(path.stem for path in (data_dir("recipes") / "task").glob("*.yaml")))
def test_every_task_in_the_tree_trains_a_step(name):
    kind = yaml.safe_load((data_dir("recipes") / "task" / f"{name}.yaml").read_text())["kind"]
    component = slots()["task"].kinds[kind]
    mask = "task" if component.has_mask else "full" if component.bidirectional else "causal"
    sizes = ["task.validation_size=8", "task.test_size=8", *(["task.ood_size=8"] if kind != "text" else [])]
    leaky = ["waive=[task.shortcut]"] if kind.endswith("as_published") else []
    result = run(
        load_recipe(
            "looped",
            [
                f"task={name}", f"mask={mask}", *sizes, *leaky, "training.max_steps=1", "training.batch_size=2",
                "training.schedule.warmup_steps=0", "evaluation.knockouts=false", "evaluation.depth_factor=1",
                "model.core.loops.high=2", "model.width=16",
            ],
        )
    )  # fmt: skip
    assert result.status == "finished" and (result.ood is None) == (not result.metrics.get("ood/loss"))


@pytest.mark.parametrize("schedule", ["mad", "mad_as_published"])
def test_mads_protocols_differ_in_the_schedule_alone(schedule):
    recipe = load_recipe("looped", ["task=mad_in_context_recall", f"training={schedule}"])
    rates = build(recipe.training.schedule, recipe.training.max_steps)
    assert (rates.share(10_000) == 1) == (schedule == "mad_as_published")
    assert recipe.training.max_steps * recipe.training.batch_size == 200 * 12_800


@pytest.mark.slow
def test_attention_solves_the_smallest_setting_of_figure_2():
    """Figure 2 of Zoology (arXiv 2312.04927), attention, length 64 with 4 pairs: 1.00 in the paper."""
    solved = []

    def over(step, scores):
        if scores.accuracy >= 0.99:
            solved.append(step)
            raise Pruned("solved")

    often = ["training.validate_every=100", "task.validation_size=512"]  # it is solved after some 1,600 steps
    run(load_recipe("mqar", ["training.max_steps=3000", "training.num_threads=1", *often]), on_validation=over)
    assert solved
