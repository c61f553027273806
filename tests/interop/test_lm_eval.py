"""A finished run in lm-evaluation-harness, by its own functions and its own command: its scores are the model's."""

import json
import sys

import pytest
import torch

from tests.lab.finished.conftest import trained, words  # noqa: F401

TASK = """
task: pairs
dataset_path: json
dataset_kwargs: {data_files: DATA}
test_split: train
output_type: loglikelihood
doc_to_text: "{{context}}"
doc_to_target: "{{continuation}}"
metric_list: [{metric: perplexity, aggregation: perplexity, higher_is_better: false}, {metric: acc}]
"""
PAIRS = [
    ("12 loops over", " 144 words"), ("3 loops", " over 9"), ("é and", " more of them"), ("17 loops", " over 289"),
    ("a text that is longer than the sixteen tokens that the model was trained on, of which", " the end is read"),
]  # fmt: skip


@pytest.fixture
def scorer(trained):  # noqa: F811
    from mythos_lab.lm_eval import Mythos

    return lambda **arguments: Mythos(str(trained), **arguments)


def plainly(folder, context, continuation, num_loops, length=16):
    """The score by the run's model alone, one row at a time."""
    import mythos_lab

    run = mythos_lab.load(folder)
    before, whole = (run.tokenizer.encode([text])[0].tolist() for text in (context, context + continuation))
    rows = torch.tensor([whole[-length - 1 :]])
    with torch.no_grad():
        logs = run.model(rows[:, :-1], iterations=num_loops).logits.double().log_softmax(-1)
    scored = range(len(rows[0]) - (len(whole) - len(before)), len(rows[0]))
    return sum(logs[0, i - 1, rows[0, i]].item() for i in scored)


@pytest.mark.parametrize("num_loops", [1, 3, 8])
def test_a_local_task_scores_as_the_model_does_at_each_loop_count(trained, tmp_path, num_loops):  # noqa: F811
    import lm_eval
    from lm_eval.tasks import TaskManager

    import mythos_lab.lm_eval  # noqa: F401

    data = tmp_path / "pairs.jsonl"
    data.write_text("".join(json.dumps({"context": a, "continuation": b}) + "\n" for a, b in PAIRS))
    (tmp_path / "pairs.yaml").write_text(TASK.replace("DATA", str(data)))
    found = lm_eval.simple_evaluate(
        model="mythos",
        model_args={"run": str(trained), "num_loops": num_loops},
        tasks=["pairs"],
        task_manager=TaskManager(include_path=str(tmp_path), include_defaults=False),
        batch_size=4,
        bootstrap_iters=0,
    )
    scores = {each["doc_id"]: each["filtered_resps"][0][0] for each in found["samples"]["pairs"]}
    for index, pair in enumerate(PAIRS):
        assert scores[index] == pytest.approx(plainly(trained, *pair, num_loops), abs=1e-6)


def test_exit_and_loops_are_arguments_and_generation_heeds_them(scorer):
    from lm_eval.api.instance import Instance

    ask = [Instance("generate_until", {}, ("12 loops", {"until": ["\n"], "max_gen_toks": 6}), 0)]
    one, deep = scorer(num_loops=1), scorer(num_loops=8, exit="none")
    assert one.generate_until(ask) == one.generate_until(ask) and "\n" not in one.generate_until(ask)[0]
    text = [Instance("loglikelihood_rolling", {}, ("12 loops over 144 words, " * 4,), 0)]
    assert one.loglikelihood_rolling(text)[0] < 0 and one.loglikelihood_rolling(text) != deep.loglikelihood_rolling(
        text
    )


def test_of_a_prompt_as_many_positions_are_read_as_of_a_text(scorer, monkeypatch):
    from lm_eval.api.instance import Instance

    seen, prompt = [], "12 loops over 144 words"
    monkeypatch.setattr(
        "mythos_lab.lm_eval.generated", lambda run, tokens, *rest, **options: seen.append(tokens) or iter(())
    )
    scorer(max_length=3).generate_until([Instance("generate_until", {}, (prompt, {}), 0)])
    assert seen == [scorer().tok_encode(prompt)[-3:]]


def test_what_cannot_be_done_is_refused(scorer, tmp_path):
    for arguments, said in (
        ({"num_loops": 0}, "at least 1"), ({"batch_size": "auto"}, "give a number"), ({"exit": "nonsense"}, "nonsense"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            scorer(**arguments)


def test_the_harness_s_own_command_takes_a_run(trained, tmp_path, monkeypatch, capsys):  # noqa: F811
    from mythos_lab.lm_eval import main

    data = tmp_path / "pairs.jsonl"
    data.write_text(json.dumps({"context": "3 loops", "continuation": " over 9"}) + "\n")
    (tmp_path / "pairs.yaml").write_text(TASK.replace("DATA", str(data)))
    command = ["lm_eval", "run", "--model", "mythos", "--model_args", f"run={trained.absolute()},num_loops=2"]
    monkeypatch.setattr(sys, "argv", [*command, "--tasks", "pairs", "--include_path", str(tmp_path), "--device", "cpu"])
    main()
    assert "pairs" in capsys.readouterr().out
