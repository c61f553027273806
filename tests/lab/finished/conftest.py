"""One finished run on text, with a tokenizer of its own, made once; whoever changes a file of it takes a copy."""

import pytest

from mythos_lab.recipe import load_recipe
from mythos_lab.training.run import run
from tests.lab.search.conftest import quiet

RECIPE = """
version: 1
defaults: [/task: text, /training: text, _self_]
name: words
model:
  width: 32
  core:
    loops: {kind: fixed, num_loops: 3}
    injection: lti
    layer: {attention: gqa, feedforward: swiglu}
task:
  path: words.txt
  split_by: position
  tokenizer: {kind: bpe, vocab_size: 280}
  packing: packed
  length: 16
  validation_size: 24
training:
  max_steps: 6
  batch_size: 4
  validate_every: 3
  log_every: 2
  schedule: {kind: constant, warmup_steps: 1}
evaluation: {depth_factor: 1, knockouts: false}
measures: []
"""

WORDS = "\n".join(f"{i} loops over {i * i} words, é and more of them" for i in range(400))


@pytest.fixture(scope="session")
def words(tmp_path_factory):
    """The folder in which it was trained, and the run's result."""
    root = tmp_path_factory.mktemp("words")
    (root / "words.txt").write_text(WORDS)
    (root / "words.yaml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        quiet(root, patch)
        return root, run(load_recipe("words.yaml"))


@pytest.fixture
def trained(words, monkeypatch):
    """The run's folder, in the working directory."""
    root, result = words
    quiet(root, monkeypatch)
    return result.folder


@pytest.fixture
def moved(trained, tmp_path, monkeypatch):
    """A copy of the folder at another place, where there is neither its corpus nor a cache nor its store."""
    import shutil

    copied = shutil.copytree(trained, tmp_path / "moved")
    quiet(tmp_path, monkeypatch)
    monkeypatch.setenv("MYTHOS_CACHE", str(tmp_path / "cache"))
    return copied
