"""What a verb imports: to list verbs and to say a mistake neither torch nor MLflow; to look at a recipe no tracker."""

import subprocess
import sys

HEAVY = {"torch", "mlflow", "lightning", "optuna", "hydra", "matplotlib", "scipy", "pandas"}
CODE = """
import sys
from mythos_lab.cli import app
try:
    app(sys.argv[1:])
except SystemExit as ended:
    pass
print("imported:", *sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_listing_verbs_and_refusing_an_unknown_one_import_nothing_that_takes_long():
    for arguments in (["--help"], ["trian"], ["train", "--multirun"]):
        done = subprocess.run([sys.executable, "-c", CODE, *arguments], capture_output=True, text=True)
        assert not HEAVY & set(done.stdout.rpartition("imported:")[2].split()), (arguments, done.stdout, done.stderr)


LOOKING = """
import sys
from mythos_lab.recipe import load_recipe
load_recipe("gated_loop")
print("loaded:", *sorted(sys.modules))
from mythos_lab.cli import app
try:
    app(["check", "gated_loop", "task.validation_size=64"])
except SystemExit:
    pass
print("checked:", *sorted({name.partition(".")[0] for name in sys.modules} | {"torch._dynamo"} & {*sys.modules}))
"""


def test_a_recipe_is_loaded_and_checked_without_torchs_compiler_a_tracker_or_a_trainer():
    done = subprocess.run([sys.executable, "-c", LOOKING], capture_output=True, text=True)
    loaded, checked = (done.stdout.partition(f"{what}:")[2].split("\n")[0].split() for what in ("loaded", "checked"))
    assert "torch" in loaded and "torch._dynamo" not in loaded, done.stderr
    left_out = {
        "mlflow",
        "lightning",
        "lightning_fabric",
        "optuna",
        "matplotlib",
        "pandas",
        "torch._dynamo",
        "transformers",
    }
    assert "torch" in checked and not left_out & set(checked)


def test_recipes_are_listed_without_torch():
    done = subprocess.run([sys.executable, "-c", CODE, "recipes"], capture_output=True, text=True)
    assert "gated_loop" in done.stdout, done.stderr
    assert not HEAVY & set(done.stdout.rpartition("imported:")[2].split())


def test_whoever_sits_at_a_terminal_hears_at_once_that_something_is_loaded(monkeypatch, capsys):
    from mythos_lab.cli import output

    for at_terminal, said in ((True, "loading ...\n"), (False, "")):
        monkeypatch.setattr(output.sys.stderr, "isatty", lambda here=at_terminal: here)
        with output.telling(False):
            assert capsys.readouterr().err == said
