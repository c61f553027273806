"""A verb builds a recipe's task once, and its model once without numbers and once with them, before it saves any."""

import pytest
import torch
from typer.testing import CliRunner

from mythos_blocks import LoopedTransformer
from mythos_blocks.declaring.registry import slot_info
from mythos_lab.cli import app
from tests.lab.search.conftest import quiet
from tests.lab.search.tiny import OVERRIDES

# Whoever saves weights holds them against what the declaration alone builds.
VERBS = {"check": ["meta", "cpu"], "cost": ["meta"], "train": ["meta", "cpu", "meta"]}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_assembles_once(verb, tmp_path, monkeypatch):
    quiet(tmp_path, monkeypatch)
    built = []

    def counting(cls, what):
        construct = cls.__init__

        def counted(self, *args, **kwargs):
            construct(self, *args, **kwargs)
            built.append(what())

        monkeypatch.setattr(cls, "__init__", counted)

    counting(slot_info("task").kinds["word_problem"], lambda: "task")
    counting(LoopedTransformer, lambda: torch.get_default_device().type)
    done = CliRunner().invoke(app, [verb, "gated_loop", *OVERRIDES])
    assert done.exit_code == 0, done.output
    assert built == ["task", *VERBS[verb]]
