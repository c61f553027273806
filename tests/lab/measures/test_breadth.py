"""Several starts: what they come to together, and that the first is the one that every other number is of."""

import pytest
import torch

from mythos_blocks.initial_state import restarted
from mythos_lab.measures.breadth import Answers, answers_at, breadths
from mythos_lab.measures.evaluate import evaluate, sampler
from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.recipe.assembled import task_of

SMALL = ["task.validation_size=60", "evaluation.batch_size=32", "mask=task", "model.width=16"]
STATES = [
    "model.core.initial_state=normal",
    "model.core.initial_state={kind: truncated_normal, at_evaluation: fresh}",
    "model.core={kind: hierarchical, initial_low_state: normal}",
]


def made(state, num_starts=1):
    recipe = load_recipe("gated_loop", [*SMALL, state, f"evaluation.breadth={num_starts}"])
    task = task_of(recipe)
    torch.manual_seed(0)
    return recipe.model_spec().build(task.vocab_size), task, recipe


@pytest.mark.parametrize("state", STATES)
def test_one_start_is_the_plain_evaluation_to_the_bit(state):
    model, task, recipe = made(state)
    count = sampler(model).eval_loops
    found = breadths(model, task, recipe, [1, count])
    if "fresh" not in state:
        for at in (1, count):
            plain = evaluate(model, task, recipe, iterations=at).tally
            for tally in (found[at].single, found[at].vote, found[at].confident):
                assert torch.equal(tally.hits, plain.hits) and torch.equal(tally.totals, plain.totals)
        assert found[count].metrics() == dict.fromkeys(["breadth/single", "breadth/vote", "breadth/confident"], plain.accuracy) | {"breadth/gain": 0.0}  # fmt: skip
    assert found.keys() == {1, count} and found[count].intervals()["breadth/vote"] is not None


@pytest.mark.parametrize("state", STATES)
def test_starts_differ_are_the_same_again_and_leave_no_trace(state):
    model, task, recipe = made(state, num_starts=4)
    numbers, mode = torch.get_rng_state(), model.training
    batch = task.batch("validation", range(32))
    found = [breadths(model, task, recipe, [4])[4] for _ in range(2)]
    assert found[0].metrics() == found[1].metrics()
    assert torch.equal(torch.get_rng_state(), numbers) and model.training == mode
    model.eval()
    answers = answers_at(model, task, batch, recipe, [4])[4]
    assert len(answers.logs.unique(dim=0)) == 4, "no two starts are the same"
    few = answers_at(model, task, batch, made(state, num_starts=2)[2], [4])[4]
    assert torch.equal(few.logs, answers.logs[:2]), "a start is one whatever their number"
    ours = [module for module in model.modules() if hasattr(module, "at_evaluation")]
    assert [(s.start, s.at_evaluation) for s in ours] == [(0, "fresh" if "fresh" in state else "fixed")]


def test_a_vote_goes_to_the_many_then_to_the_surer_and_confidence_to_one_start_a_sample():
    tokens = torch.tensor([[5, 5, 7], [6, 8, 7], [6, 9, 9]])  # starts; the first two tokens are of one sample
    logs = torch.tensor([[0.9, 0.5, 0.2], [0.1, 0.6, 0.2], [0.2, 0.5, 0.9]]).log()
    answers = Answers(tokens, logs, torch.tensor([0, 0, 1]))
    assert answers.vote().tolist() == [6, 8, 7]
    assert answers.confident().tolist() == [5, 5, 9]


def test_independent_mistakes_are_outvoted():
    torch.manual_seed(0)
    right = torch.rand(9, 4000) < 0.6
    tokens = torch.where(right, 0, torch.randint(1, 4, (9, 4000)))
    answers = Answers(tokens, torch.zeros(9, 4000) - 1, torch.arange(4000))
    assert (answers.vote() == 0).float().mean() > 0.85 > 0.65 > right.float().mean()


@pytest.mark.parametrize("kind", ["zeros", "input", "fixed", "learned"])
def test_where_nothing_is_drawn_it_is_refused(kind):
    with pytest.raises(RecipeError, match=f"evaluation.breadth=2: no initial state of the model is drawn \\({kind}\\)"):
        load_recipe("gated_loop", [*SMALL, f"model.core.initial_state={kind}", "evaluation.breadth=2"])
    model, *_ = made(f"model.core.initial_state={kind}")
    with pytest.raises(ValueError, match="no initial state of the model is drawn"), restarted(model, 1):
        pass
