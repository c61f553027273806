"""A finished run is opened from its folder alone, and what cannot be had without its data is one line."""

import json
import shutil

import pytest
import torch

import mythos_lab
from mythos_blocks.checkpoints import load_model
from mythos_lab.comparison.reporting.reported import report_of
from mythos_lab.finished.locating import joined
from mythos_lab.recipe import RecipeError
from mythos_lab.training.result import load_run


def test_a_run_is_opened_with_all_that_it_has(words, trained):
    run = mythos_lab.load(trained)
    recipe, model, task = load_run(trained)
    tokens = torch.arange(16)[None]
    assert torch.equal(run.model(tokens).logits, model.eval()(tokens).logits)
    assert run.recipe == recipe and run.task.fingerprint() == task.fingerprint()
    assert run.result["metrics"]["val/loss"] == words[1].metrics["val/loss"]
    assert run.tokenizer.decode(run.tokenizer.encode(["é loops"])[0].tolist()) == "é loops"


def test_whoever_may_read_a_new_file_may_read_all_of_a_run(trained, tmp_path):
    (tmp_path / "new").touch()
    modes = {path.name: path.stat().st_mode for path in trained.iterdir() if path.suffix != ".lock"}
    assert "model.safetensors" in modes and set(modes.values()) == {(tmp_path / "new").stat().st_mode}


def test_its_id_in_mlflow_names_it(words, trained):
    assert mythos_lab.load(words[1].run_id).folder == trained
    with pytest.raises(RecipeError, match="MLflow has no such run"):
        mythos_lab.load("0" * 32)


def test_an_id_whose_folder_holds_another_run_is_refused(words, trained):
    from mlflow import MlflowClient

    other = shutil.copytree(trained, trained.parent / "other")
    state = json.loads((other / "run.json").read_text())
    client = MlflowClient()
    try:
        (other / "run.json").write_text(json.dumps({"key": state["key"], "run_id": "1" * 32}))
        client.set_tag(words[1].run_id, "mythos.folder", str(other))
        with pytest.raises(RecipeError, match="which holds another run"):
            mythos_lab.load(words[1].run_id)
    finally:
        client.set_tag(words[1].run_id, "mythos.folder", str(trained))
        shutil.rmtree(other)


def test_at_another_place_without_its_data_the_model_the_tokenizer_and_the_history_are_there(words, moved):
    run = mythos_lab.load(moved)
    assert run.model(torch.arange(5)[None]).logits.shape == (1, 5, 280)
    assert run.tokenizer.decode(run.tokenizer.encode(["more words"])[0].tolist()) == "more words"
    assert run.history[-1]["val/loss"] == words[1].metrics["val/loss"]
    with pytest.raises(RecipeError, match="the run's data are not here") as caught:
        _ = run.task
    assert len(caught.value.lines) == 1
    with pytest.raises(RecipeError, match="there is no such store"):
        mythos_lab.load(words[1].run_id)


def test_another_tokenizer_in_the_folder_is_refused(moved):
    content = json.loads((moved / "tokenizer.json").read_text())
    a, b = list(content["model"]["vocab"])[:2]
    vocab = content["model"]["vocab"]
    vocab[a], vocab[b] = vocab[b], vocab[a]
    (moved / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(RecipeError, match="is not the tokenizer"):
        _ = mythos_lab.load(moved).tokenizer


def test_the_weights_of_another_run_are_refused(moved):
    from mythos_blocks.checkpoints import save

    save(load_model(moved / "model.safetensors"), moved / "model.safetensors", {"run": "another"})
    with pytest.raises(RecipeError, match="belongs to run another"):
        _ = mythos_lab.load(moved).model


def test_a_folder_of_several_runs_asks_which(trained, tmp_path):
    for seed in (0, 1):
        shutil.copytree(trained, tmp_path / "trial" / f"seed-{seed}")
    with pytest.raises(RecipeError, match="holds 2 runs; expected one of: .*seed-0"):
        mythos_lab.load(tmp_path / "trial")
    shutil.rmtree(tmp_path / "trial" / "seed-1")
    assert mythos_lab.load(tmp_path / "trial").folder == tmp_path / "trial" / "seed-0"


def test_what_exists_is_one_run_though_there_is_a_comma_in_its_name(trained, tmp_path):
    one = tmp_path / "width=8,depth=2"
    one.symlink_to(trained.absolute())
    assert joined(str(one)) == [str(one)] and joined(f"{trained},{trained}") == [str(trained)] * 2
    assert report_of([str(one)]).folder == one / "report"
    with pytest.raises(RecipeError, match="one of them is empty"):
        joined(f"{trained},")


def test_importing_the_laboratory_imports_no_torch():
    import subprocess
    import sys

    code = "import sys, mythos_lab; assert 'torch' not in sys.modules; assert 'load' in dir(mythos_lab)"
    subprocess.run([sys.executable, "-c", code], check=True)
