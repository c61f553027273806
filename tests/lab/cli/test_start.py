"""What a verb imports before it does anything: to list verbs and to say a mistake, neither torch nor MLflow."""

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
