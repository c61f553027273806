"""Optuna's command line and dashboard, MLflow's clients, Hydra's instantiate."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import mythos_blocks as mb
from mythos_lab.search.study import run_study
from mythos_lab.search.trial_states import is_settled
from tests.interop.conftest import VOCAB
from tests.lab.search.tiny import write

BIN = Path(sys.executable).parent
LR = "training.optimizer.lr"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study of three trials in SQLite, and its MLflow store, worked off as `mythos study` does."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        storage = f"sqlite:///{folder}/study.db"
        space = write(folder, space={LR: {"float": [1e-3, 1e-2], "log": True}}, trials=3, storage=storage)
        run_study(space)
        yield space


def optuna_cli(space, *words):
    command = [BIN / "optuna", *words, "--study-name", "tiny", "--storage", space.storage]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_optunas_command_line_reads_a_study_and_names_its_objective(study):
    trials = json.loads(optuna_cli(study, "trials", "-f", "json"))
    assert len(trials) >= 3 and all("val/accuracy" in str(trial) for trial in trials[:3])
    assert "number" in json.loads(optuna_cli(study, "best-trial", "-f", "json"))


def test_optunas_command_line_asks_and_tells_and_the_study_goes_on(study, monkeypatch):
    monkeypatch.chdir(study.source.parent)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{study.source.parent}/mlflow.db")
    space = json.dumps(
        {LR: {"name": "FloatDistribution", "attributes": {"low": 1e-3, "high": 1e-2, "log": True, "step": None}}}
    )
    asked = json.loads(optuna_cli(study, "ask", "--search-space", space, "-f", "json"))
    optuna_cli(study, "tell", "--trial-number", str(asked["number"]), "--values", "2.0")
    ended = run_study(study, num_trials=4)
    told = ended.trials[asked["number"]]
    assert told.value == 2.0 and sum(map(is_settled, ended.trials)) == 4


def test_optunas_dashboard_shows_a_study(study):
    import optuna
    from optuna_dashboard import wsgi

    app, answered = wsgi(optuna.storages.RDBStorage(study.storage)), []
    asked = {"REQUEST_METHOD": "GET", "PATH_INFO": "/api/studies", "wsgi.input": None, "SERVER_PROTOCOL": "HTTP/1.1"}
    body = b"".join(app(asked, lambda status, headers, *rest: answered.append(status)))
    (shown,) = json.loads(body)["study_summaries"]
    assert answered == ["200 OK"] and shown["study_name"] == "tiny"


def test_optunas_dashboard_shows_what_a_trial_was_and_its_files(study):
    import optuna
    from optuna.artifacts import FileSystemArtifactStore, get_all_artifact_meta
    from optuna_dashboard import get_note, wsgi

    storage = optuna.storages.RDBStorage(study.storage)
    loaded = optuna.load_study(study_name="tiny", storage=storage)
    own = [trial for trial in loaded.trials if is_settled(trial)][0]
    assert get_note(optuna.Trial(loaded, own._trial_id)).startswith("**complete**\n\n- `val/accuracy`: ")
    app = wsgi(storage, artifact_store=FileSystemArtifactStore(study.folder / "artifacts"))
    for file in get_all_artifact_meta(own, storage=storage):
        answered, path = [], f"/artifacts/{loaded._study_id}/{own._trial_id}/{file.artifact_id}"
        asked = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "wsgi.input": None, "SERVER_PROTOCOL": "HTTP/1.1"}
        body = b"".join(app(asked, lambda status, headers, *rest, to=answered: to.append((status, dict(headers)))))
        assert answered == [("200 OK", {**answered[0][1], "Content-Type": file.mimetype})] and len(body) > 500


def test_optunas_plots_and_frames(study):
    import optuna

    loaded = optuna.load_study(study_name="tiny", storage=study.storage)
    frame = loaded.trials_dataframe()
    assert f"params_{LR}" in frame and any("val/accuracy" in str(column) for column in frame)
    optuna.visualization.matplotlib.plot_slice(loaded)


def test_optunas_mlflow_callback_takes_a_studys_trials(study, alone):
    import mlflow
    import optuna
    from optuna_integration import MLflowCallback

    loaded = optuna.load_study(study_name="tiny", storage=study.storage)
    own = [trial for trial in loaded.trials if is_settled(trial)]
    copying = MLflowCallback(tracking_uri=f"sqlite:///{alone}/theirs.db", metric_name=loaded.metric_names)
    for trial in own:
        copying(loaded, trial)
    found = {run.info.run_name: run.data for run in mlflow.search_runs(experiment_names=["tiny"], output_format="list")}
    assert found.keys() == {str(trial.number) for trial in own}
    for trial in own:
        data = found[str(trial.number)]
        assert float(data.params[LR]) == trial.params[LR] and data.metrics["val/accuracy"] == trial.value
        assert data.tags["outcome"] == "complete"


def test_mlflows_clients_find_a_studys_runs_and_their_files(study):
    import mlflow

    uri = f"sqlite:///{study.source.parent}/mlflow.db"
    mlflow.set_tracking_uri(uri)
    found = mlflow.search_runs(experiment_names=["mythos"], output_format="list")
    parents = {run.data.tags.get("mlflow.parentRunId") for run in found}
    children = [run for run in found if run.data.tags.get("mlflow.parentRunId")]
    assert {run.info.status for run in found} == {"FINISHED"} and len(parents) == 2 and len(children) >= 3
    folder = mlflow.artifacts.download_artifacts(run_id=children[0].info.run_id)
    assert {"recipe.yaml", "environment.yaml"} & {path.name for path in Path(folder).iterdir()}
    history = mlflow.MlflowClient(uri).get_metric_history(children[0].info.run_id, "val/loss")
    assert [point.step for point in history] == [2, 4]
    said = subprocess.run([BIN / "mlflow", "experiments", "search"], check=True, capture_output=True, text=True, env={"MLFLOW_TRACKING_URI": uri, "PATH": str(BIN)})  # fmt: skip
    assert "mythos" in said.stdout


def test_hydra_instantiates_parts_and_models(tokens):
    from hydra.utils import instantiate

    attention = instantiate({"_target_": "mythos_blocks.GroupedQueryAttention", "width": 32, "num_heads": 4})
    assert isinstance(attention, mb.GroupedQueryAttention) and attention(torch.randn(2, 5, 32)).shape == (2, 5, 32)
    core = {"injection": "lti", "loops": {"kind": "fixed", "num_loops": 2}}
    given = {"_target_": "mythos_blocks.LoopedTransformer", "vocab_size": VOCAB, "width": 32, "core": core}
    for convert in ("none", "all"):
        model = instantiate({**given, "_convert_": convert})
        assert model(tokens).logits.shape == (2, 12, VOCAB)
    part = instantiate({**given, "_partial_": True})
    assert isinstance(part(), mb.LoopedTransformer)
