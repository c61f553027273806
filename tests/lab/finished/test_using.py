"""What is done with a finished run: evaluated elsewhere, gone on with a text, exported, listed."""

import json

import pytest
import torch
from typer.testing import CliRunner

import mythos_lab
from mythos_blocks.generation import Sampling
from mythos_blocks.generation import generate as generate_tokens
from mythos_lab.cli import app
from mythos_lab.finished.evaluation import _check_division, breadth, evaluate
from mythos_lab.finished.export import export
from mythos_lab.finished.generation import Asked, generated, prompt_tokens
from mythos_lab.finished.listing import listed, listing
from mythos_lab.finished.run import Run
from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.recipe.assembled import task_of
from mythos_lab.recipe.schema import Evaluation
from mythos_lab.training.held import data_of
from mythos_lab.training.result import DATA, write_state, write_values
from mythos_lab.training.run import run
from tests.lab.search.conftest import quiet
from tests.lab.search.tiny import OVERRIDES

GREEDY = Sampling(temperature=0)
ACTS = ("batch_size", "breadth")


def test_evaluated_without_overrides_it_scores_what_its_result_says(words, trained):
    curve = evaluate(mythos_lab.load(trained), num_loops=[1, 3])
    metrics = words[1].metrics
    assert curve.scores[3].loss == metrics["val/loss"] and curve.scores[3].bits_per_byte == metrics["val/bits_per_byte"]
    assert curve.scores[1].loss != curve.scores[3].loss


def test_another_text_is_read_by_the_runs_own_tokenizer(moved, tmp_path):
    (tmp_path / "other.txt").write_text("\n".join(f"another text, line {i}" for i in range(300)))
    curve = evaluate(mythos_lab.load(moved), ["task.path=other.txt"], [2])
    assert curve.task.tokenizer.identity() == mythos_lab.load(moved).tokenizer.identity()
    assert curve.scores[2].num_scored > 100
    with pytest.raises(RecipeError, match="gives other tokens"):
        evaluate(mythos_lab.load(moved), ["task.path=other.txt", "task.tokenizer=bytes"])


@pytest.mark.parametrize(
    "overrides, loops, split, said",
    [
        (["training.max_steps=3"], [], "validation", "belongs to the training"),
        (["task.lenght=3"], [], "validation", "did you mean 'length'"),
        (["task=reachability", "mask=task"], [], "validation", "gives other tokens"),
        (["evaluation.breadth.vote=2"], [], "validation", "evaluation.breadth is a value and has no fields"),
        (["evaluation.breadth=2"], [], "validation", "evaluation.breadth=2: no initial state of the model is drawn"),
        ([], [0], "validation", "expected numbers from 1"),
        ([], [], "ood", "has no samples in ood"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(trained, overrides, loops, split, said):
    with pytest.raises(RecipeError, match=said):
        evaluate(mythos_lab.load(trained), overrides, loops, split)


@pytest.mark.parametrize("field", [*(name for name in Evaluation.model_fields if name not in ACTS), None])
def test_fields_of_the_evaluation_that_act_at_a_runs_end_alone_are_refused(trained, field):
    said = "evaluation={depth_factor: 2}" if field is None else f"evaluation.{field}=1"
    with pytest.raises(RecipeError, match="changes nothing here; expected task, mask, evaluation.batch_size"):
        evaluate(mythos_lab.load(trained), [said])


TEXTS = {
    "documents": "path: many", "stretches": "path: one.txt", "its end": "path: one.txt, split_by: position",
    "documents and a split of its own": "path: many, validation_path: other.txt",
    "stretches and a split of its own": "path: one.txt, validation_path: other.txt",
}  # fmt: skip
CUT_OTHERWISE = (
    "seed: 3", "held_out: .3", "length: 40", "split_by: position", "split_by: content", "max_bytes: 900",
    "validation_path: null, seed: 3", "validation_path: other.txt", "path: other.txt",
)  # fmt: skip


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_override_has_a_model_scored_on_what_it_was_trained_on(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "many").mkdir()
    numbers = [" ".join(str(i * j * j) for j in range(20, 60)) for i in range(7, 47)]
    for i, line in enumerate(numbers):
        (tmp_path / "many" / f"{i}.txt").write_text(line)
    (tmp_path / "one.txt").write_text(" ".join(numbers))
    (tmp_path / "other.txt").write_text(" ".join(str(i * i * i) for i in range(400, 700)))
    declared = f"kind: text, length: 16, validation_size: 40, {text}"
    recipe = load_recipe("looped", [f"task={{{declared}}}", "mask=causal"])
    task = task_of(recipe)
    write_state(tmp_path, {"key": "ours"})
    write_values(tmp_path, DATA, data_of(recipe, task))
    trained, outcomes = task.prepared.splits["train"].ids.tobytes(), set()
    for otherwise in CUT_OTHERWISE:
        pairs = (each.partition(": ") for each in f"{declared}, {otherwise}".split(", "))
        said = {name: value for name, _, value in pairs}
        try:
            other = load_recipe("looped", [f"task={json.dumps(said).replace(chr(34), '')}", "mask=causal"])
            _check_division(Run(tmp_path, recipe, {}), task_of(other), "validation")
        except RecipeError as error:
            outcomes.add("refused" if "divides the run's own text otherwise" in str(error) else "no such text")
            continue
        split = task_of(other).batch("validation", range(task_of(other).size("validation")))
        assert not any(bytes(window.tolist()) in trained for window in split.tokens), otherwise
        outcomes.add("scored")
    assert outcomes >= {"refused", "scored"}


def test_a_run_that_starts_anywhere_is_scored_from_several_starts(tmp_path, monkeypatch):
    quiet(tmp_path, monkeypatch)
    result = run(load_recipe("gated_loop", [*OVERRIDES, "model.core.initial_state=normal", "evaluation.breadth=3"]))
    ours = {name: value for name, value in result.metrics.items() if name.startswith("breadth/")}
    assert ours.keys() == {"breadth/single", "breadth/vote", "breadth/confident", "breadth/gain"}
    assert all(result.intervals[name][0] <= value <= result.intervals[name][1] for name, value in ours.items())
    opened = mythos_lab.load(result.folder)
    (again,) = breadth(opened).values()
    assert again.metrics() == ours
    assert (
        list(breadth(opened, ["evaluation.breadth=2"], [1, 2])) == [1, 2]
        and breadth(opened, ["evaluation.breadth=1"]) == {}
    )
    answer = CliRunner().invoke(app, ["evaluate", str(result.folder), "evaluation.breadth=2", "--loops", "1,2"])
    assert answer.exit_code == 0 and "several starts" in answer.output


def test_a_studys_test_split_is_left_to_holdout(moved):
    study = moved.parent / "studies"
    run = study / "trials" / "0000" / "seed-0"
    run.parent.mkdir(parents=True)
    moved.rename(run)
    (study / "space.yaml").write_text("name: s")
    with pytest.raises(RecipeError, match="`mythos holdout` opens, once"):
        evaluate(mythos_lab.load(run), split="test")


def test_tokens_come_one_by_one_as_generate_has_them_and_spell_the_text(trained):
    run = mythos_lab.load(trained)
    prompt = prompt_tokens(run, "2 loops é", None)
    found = list(generated(run, prompt, Asked(12, num_loops=2, sampling=Sampling(1.0, 20), seed=3), as_text=True))
    whole = generate_tokens(
        run.model, torch.tensor([prompt]), max_new_tokens=12, iterations=2, top_k=20, seed=3, eos=run.tokenizer.end
    )
    assert [each.token for each in found] == whole.tokens[0].tolist()
    assert "".join(each.text for each in found) == run.tokenizer.decode(whole.tokens[0].tolist())
    assert all(each.num_loops == 2 for each in found)
    asked = Asked(12, num_loops=2, sampling=Sampling(1.0, 20), seed=3, lazy=True)
    assert list(generated(run, prompt, asked, as_text=True)) == found


def test_a_prompt_is_a_text_or_numbers(trained):
    run = mythos_lab.load(trained)
    for prompt, tokens in ((None, None), ("a", [1]), ("", None)):
        with pytest.raises(RecipeError, match="expected"):
            prompt_tokens(run, prompt, tokens)
    with pytest.raises(RecipeError, match="vocabulary"):
        list(generated(run, [280], Asked(1), as_text=False))
    with pytest.raises(RecipeError, match="did you mean"):
        list(generated(run, [1], Asked(1, exit="kll"), as_text=False))


def test_transformers_reads_the_export_and_generates_the_same(trained, tmp_path):
    transformers = pytest.importorskip("transformers")
    run = mythos_lab.load(trained)
    files = export(run, tmp_path / "exported")
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in files}
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "exported", trust_remote_code=True)
    text = "4 loops, é"
    ids = tokenizer(text)["input_ids"]
    assert ids == prompt_tokens(run, text, None) and tokenizer.decode(ids) == text
    assert (
        tokenizer.eos_token_id == run.tokenizer.end == 279 and tokenizer.decode([279], skip_special_tokens=True) == ""
    )
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "exported", trust_remote_code=True)
    new = model.generate(torch.tensor([ids]), max_new_tokens=5, do_sample=False)[0, len(ids) :].tolist()
    assert new == [each.token for each in generated(run, ids, Asked(5, sampling=GREEDY), as_text=True)]
    with pytest.raises(RecipeError, match="is not empty"):
        export(run, tmp_path / "exported")


def test_bytes_are_exported_as_a_tokenizer_too(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    from mythos_lab.finished.export import _tokenizer
    from mythos_lab.tasks.text.tokenizer import Bytes

    content, config = _tokenizer(Bytes(True))
    library = tokenizers.Tokenizer.from_str(json.dumps(content))
    text = "".join(map(chr, range(32, 300))) + "\n\t\0 end"
    assert library.encode(text).ids == list(text.encode()) and library.decode(list(text.encode())) == text
    assert library.token_to_id(config["eos_token"]) == 256


def test_runs_are_listed_with_what_they_came_to_and_damaged_ones_with_why(words, trained, moved, tmp_path):
    other = moved.parent / "runs" / "b"
    other.parent.mkdir()
    moved.rename(other)
    (other / "result.json").write_bytes((other / "result.json").read_bytes()[:100])
    runs = listed([tmp_path / "runs", words[0] / "runs"])
    assert {run.status for run in runs} == {"finished", "unreadable"}
    facts = listing(runs, by="val/loss").facts["runs"]
    assert facts[0]["val/loss"] == words[1].metrics["val/loss"] and facts[0]["recipe"] == "words"
    assert "result.json" in facts[1]["problem"]
    with pytest.raises(RecipeError, match="did you mean 'val/loss'"):
        listing(runs, ["val/los"])
    assert len(listing(runs, most=1).facts["runs"]) == 1
    assert len(listing(runs, recipe="words").facts["runs"]) == len([run for run in runs if run.recipe == "words"])
    none = listing(runs, recipe="word")
    assert none.facts == {"runs": [], "num_of_others": 2}
    assert none.parts[-1].text.startswith("no runs of the recipe 'word'; 2 of ")
    assert listing([], recipe="word").parts[-1].text == "no runs"
