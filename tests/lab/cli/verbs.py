"""All verbs: how each is called, what it reads and where it writes. A verb that is missing here fails the tests."""

from mythos_lab.cli import app
from mythos_lab.training.history import HISTORY
from mythos_lab.training.result import CHECKPOINT, DATA, ENVIRONMENT, MEASURES, RECIPE, RESULT, STATE, WEIGHTS
from tests.lab.cli.conftest import STOPPED

FULL, DEEP = "studies/tiny/trials/0000", "studies/tiny/trials/0001"
ARMS = [f"{FULL}/seed-0,{FULL}/seed-1", f"{DEEP}/seed-0,{DEEP}/seed-1"]
COMPARED = (STATE, RECIPE, RESULT, DATA, ENVIRONMENT)
OPENED = (STATE, RECIPE, RESULT, WEIGHTS)

RESULTS = {
    "check": ["openmythos_as_published"],
    "cost": ["gated_loop", "training.batch_size=2", "--loops", "1,4"],
    "recipes": [],
    "task": ["reachability", "validation_size=64", "--samples", "1"],
    "components": ["injection"],
    "train": ["gated_loop", *STOPPED],
    "depth": [f"{FULL}/seed-0"],
    "measure": [f"{FULL}/seed-0", "loop_verdict"],
    "runs": ["studies"],
    "clean": ["studies"],
    "evaluate": [f"{FULL}/seed-0", "--loops", "1,2"],
    "generate": [f"{FULL}/seed-0", "--tokens", "1,2,3", "--max-new-tokens", "2"],
    "export": [f"{FULL}/seed-0", "exported"],
    "report": [f"{FULL}/seed-0"],
    "study": ["tiny.yaml"],
    "holdout": ["tiny.yaml"],
    "match": ["looped", "training.batch_size=2"],
    "compare": [*ARMS, "--declare", "model"],
    "ablate": ["gated_loop", "--hold", "none", "--dry-run"],
    "worth": ["--fit-only", "studies/tiny"],
    "necessary": ["gated_loop", "--depths", "1,2", "--hold", "none", "--dry-run"],
    "reproduce": ["thinking_deeper", "--dry-run"],
    "inspect": [f"{FULL}/seed-0"],
    "new": ["component", "injection.mine"],
}
"""Verbs that print a result, and arguments with which they do."""

NO_RESULT = {
    "ui": "becomes MLflow's server",
    "proxy": "serves until it is ended",
    "worker": "works until the study is full, and leaves what it came to to `study`",
    "schema": "prints JSON and nothing else, with or without being asked",
}

READS = {
    "check": None,
    "cost": None,
    "recipes": None,
    "task": None,
    "components": None,
    "schema": None,
    "match": None,
    "ablate": None,
    "necessary": None,
    "reproduce": None,
    "proxy": None,
    "ui": None,
    "new": None,
    "inspect": None,  # it says of any file what it is
    "study": (f"{FULL}/seed-0", COMPARED),
    "worker": None,  # it looks at trials, not at their runs
    "train": ("stopped", (STATE, RECIPE, DATA, ENVIRONMENT, CHECKPOINT)),
    "depth": (f"{FULL}/seed-0", (*COMPARED, WEIGHTS)),
    "clean": None,  # what cannot be read is left alone
    "runs": None,  # what cannot be read is listed as such
    "evaluate": (f"{FULL}/seed-0", (*COMPARED, WEIGHTS)),
    "generate": (f"{FULL}/seed-0", OPENED),
    "export": (f"{FULL}/seed-0", OPENED),
    "measure": (f"{FULL}/seed-0", (*COMPARED, WEIGHTS, MEASURES)),
    "report": (f"{FULL}/seed-0", (STATE, RECIPE, RESULT, ENVIRONMENT, MEASURES)),
    "holdout": (f"{DEEP}/seed-1", (*COMPARED, WEIGHTS)),
    "compare": (f"{DEEP}/seed-1", COMPARED),
    "worth": (f"{DEEP}/seed-0", COMPARED),
}
"""The folder of a run that a verb reads, and the files of it; ``None`` where it reads no run."""

LEFT_ALONE = {
    CHECKPOINT: "of a run that has ended: nothing goes on from it",
    "depth_curve.png": "a figure, which only people read",
    "ood_depth_curve.png": "a figure, which only people read",
    "halting.png": "a figure, which only people read",
    "measures.csv": "a table, which only people read; rows that are none are left out where it is written anew",
    "measures.parquet": "the same",
    HISTORY: "what was logged, which `mythos_lab.load` reads, by the hash in the result",
    "report": "a page, which only people read",
    "code.zip": "the source of what was imported, which only people read",
}
"""Files of a finished run that no verb reads."""

WITHOUT = {
    ("train", CHECKPOINT): "a run that was killed before its first checkpoint has none, and begins again",
    (
        "report",
        ENVIRONMENT,
    ): "it says which code a recipe's imports were, and a recipe without imports needs no such word",
    ("report", MEASURES): "nothing was measured",
    ("measure", MEASURES): "nothing was measured before",
    ("worth", RESULT): "a run without it has not ended, and is left out by name",
}
"""Files that may be gone."""

WRITES = {
    "check": (),
    "cost": (),
    "recipes": (),
    "task": (),
    "components": (),
    "schema": (),
    "proxy": (),
    "compare": (),
    "holdout": (),
    "ui": (),
    "inspect": (),
    "new": (("refused", ["component", "injection.mine", "--folder", "refused"]),),
    "train": (("runs", ["gated_loop", *STOPPED]),),
    "depth": ((f"{FULL}/seed-0", [f"{FULL}/seed-0"]),),
    "measure": ((f"{FULL}/seed-0", [f"{FULL}/seed-0"]),),
    "runs": (),
    "clean": (),
    "evaluate": (),
    "generate": (),
    "export": (("refused", [f"{FULL}/seed-0", "refused/exported"]),),
    "report": (
        (f"{FULL}/seed-0", [f"{FULL}/seed-0"]),
        ("refused", [f"{DEEP}/seed-0", "--output", "refused"]),
    ),
    "match": (("refused", ["gated_loop", "--write", "refused/other.yaml"]),),
    "ablate": (("studies", ["gated_loop", "--hold", "none", "--dry-run"]),),
    "necessary": (("studies", ["gated_loop", "--depths", "1,2", "--hold", "none", "--dry-run"]),),
    "reproduce": (
        ("studies", ["thinking_deeper", "--dry-run"]),
        ("refused", ["thinking_deeper", "--dry-run", "--out", "refused"]),
        ("refused", ["--index", "--out", "refused"]),
    ),
    "worth": (
        ("studies", ["gated_loop", "--widths", "48,96", "--steps", "60,120", "--dry-run"]),
        ("refused", ["--fit-only", "refused"]),
    ),
    "study": (("studies", ["tiny.yaml"]),),
    "worker": (("studies", ["tiny.yaml"]),),
}
"""Places that a verb writes to, and arguments with which it would."""


def names():
    """The names of all verbs."""
    return {command.name or command.callback.__name__ for command in app.registered_commands}
