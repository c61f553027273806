"""What people type in applications of Hydra is honoured, or answered in one line with what does it here."""

import pytest
from hydra._internal.utils import get_args_parser
from typer.testing import CliRunner

from mythos_lab.cli import app
from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.recipe.hydra_habits import of_flag

FLAGS = [
    flag
    for action in get_args_parser()._actions
    for flag in action.option_strings
    if flag not in ("-h", "--help", "--version", "--hydra-version")  # ours, or of no use
]


def test_every_flag_of_hydras_is_answered():
    for flag in FLAGS:
        assert of_flag(flag) is not None, flag


@pytest.mark.parametrize("place", ["before", "behind"])
@pytest.mark.parametrize("flag", [*FLAGS, "--config-name=gated_loop"])
def test_a_flag_of_hydras_gets_one_line_wherever_it_stands(flag, place):
    typed = [flag, "train", "gated_loop"] if place == "before" else ["train", "gated_loop", "seed=1", flag]
    done = CliRunner().invoke(app, typed)
    assert done.exit_code == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"{flag}: ") and not done.stdout


def test_a_flag_that_nobody_has_is_no_such_option():
    done = CliRunner().invoke(app, ["train", "gated_loop", "--nonsense"])
    assert done.exit_code == 2 and "No such option: --nonsense" in done.stderr


@pytest.mark.parametrize(
    "override, said",
    [
        ("seed=1,2", "a sweep; one run takes one value; many are seed: .choice: .* under 'space'"),
        ("seed=range(1,5)", "a sweep; one run takes one value; many are seed:"),
        ("training.optimizer.lr=interval(0,1)", "a sweep; .* many are training.optimizer.lr:"),
        ("task=choice(copy,parity)", "a sweep; .* many are task:"),
        ("task=glob(*)", "a sweep; .* many are task:"),
        ("+task=copy", "'\\+' adds fields, and the schema has all that there are; write task=copy"),
        ("++seed=3", "write seed=3"),
        ("~task", "'~' deletes fields, and the schema has each; write task=null, or its none"),
        ("~model.core.gate=x", "write model.core.gate=null"),
        ("hydra.run.dir=/tmp/x", "Hydra composes recipes and runs nothing here; runs lie in runs/"),
        ("hydra.sweep.dir=x", "runs lie in runs/"),
        ("hydra/launcher=joblib", "mythos study takes --engine local, ray or slurm"),
        ("hydra/sweeper=optuna", "a search space names its sampler"),
        ("+hydra.job.num=3", "Hydra composes recipes and runs nothing here"),
        ("hydra.verbose=true", "there are no settings of Hydra's to change"),
        ("task@model=copy", "a group's files go where the group is; write task=..."),
    ],
)
def test_an_override_of_hydras_that_has_no_place_is_answered_with_what_has(override, said):
    with pytest.raises(RecipeError, match=said) as refused:
        load_recipe("gated_loop", [override])
    assert len(refused.value.lines) == 1 and override in refused.value.lines[0]


def test_what_hydras_grammar_says_of_one_value_is_honoured():
    recipe = load_recipe("gated_loop", ["task=reachability", "seed=${training.batch_size}", "training.optimizer={kind: adamw, lr: 0.5}"])  # fmt: skip
    assert recipe.task.kind == "reachability" and recipe.seed == recipe.training.batch_size
    assert recipe.training.optimizer.lr == 0.5
