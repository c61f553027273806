"""What every test leaves behind it: the registry as it was."""

import gc
from pathlib import Path

import pytest

from mythos_blocks.declaring.registry import slots

# Ours register once, as their packages are loaded, which may be in the middle of a test.
OURS = ("mythos_blocks.", "mythos_lab.")


INTEROP = Path(__file__).parent / "interop"


def pytest_ignore_collect(collection_path, config):
    """Other projects' clients are in an environment of their own; who names these tests has it."""
    named = [
        Path(str(argument).partition("::")[0]).absolute()
        for argument in config.invocation_params.args
        if not str(argument).startswith("-")
    ]
    return True if collection_path == INTEROP and not any(path.is_relative_to(INTEROP) for path in named) else None


LONGEST = (
    "lab/training/test_devices.py",
    "lab/test_task_in_a_run.py",
    "blocks/test_tracing.py",
    "lab/search/test_chaos.py",
    "blocks/test_exporting.py",
    "lab/search/test_study.py",
    "lab/test_cost.py",
    "lab/search/test_slurm.py",
    "lab/test_recipe_fields_act.py",
    "lab/search/test_trial.py",
    "test_idea.py",
    "tasks/test_contract.py",
    "lab/training/test_recipes_train.py",
    "lab/training/test_learning.py",
    "lab/search/test_engines.py",
    "lab/tracking/test_claim.py",
    "lab/comparison/worth/test_fit.py",
    "blocks/test_past_modules.py",
    "lab/search/test_journal.py",
    "lab/measures/test_padding.py",
    "lab/test_run.py",
    "lab/cli/test_damaged.py",
    "blocks/test_precision.py",
    "lab/search/test_worker.py",
    "lab/training/test_stop.py",
    "lab/comparison/worth/test_sweep.py",
    "lab/comparison/worth/test_read.py",
    "lab/search/test_pruners.py",
    "lab/training/test_compiled.py",
    "lab/search/test_identity.py",
    "lab/search/test_interleavings.py",
    "parity/test_config_fields.py",
    "blocks/test_fields_act.py",
    "lab/comparison/test_match.py",
    "lab/recipe/test_systems.py",
    "lab/test_recipe.py",
    "blocks/test_generation_equals_full_pass.py",
    "lab/search/test_ray.py",
)
"""Files that take half a minute and more, the dearest first: they are begun first, so that no worker is left with one
while the other has none."""


def pytest_collection_modifyitems(items):
    place = {Path(__file__).parent / name: index for index, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(LONGEST)))


def pytest_collection_finish():
    """What is loaded by now stays: looking through it for garbage, again and again, is in vain."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter, config):
    if not any("interop" in str(argument) for argument in config.invocation_params.args):
        terminalreporter.write_line("left out: tests/interop, other projects' clients (make interop)")


@pytest.fixture(autouse=True)
def registry_as_it_was():
    """Forget the components that a test has registered, whichever way: the next one's schema has none of them."""
    before = {name: set(info.kinds) for name, info in slots().items()}
    yield
    for name, info in slots().items():
        for kind in set(info.kinds) - before.get(name, set()):
            if not info.kinds[kind].__module__.startswith(OURS):
                del info.kinds[kind]
