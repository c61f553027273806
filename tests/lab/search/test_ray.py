"""Ray: the same trials as everywhere, and none lost with a process or laid down without a checkpoint."""

import os
import signal
from pathlib import Path

import psutil
import pytest
from optuna.trial import TrialState
from typer.testing import CliRunner

from mythos_lab.cli import app
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.search.attributes import ATTEMPT, OUTCOME, REASON, RETRY_OF
from mythos_lab.search.spaces.space import load_space
from mythos_lab.search.study import run_study
from tests.lab.search.driving import begun, drive, fields, job_of, pid_of, results, to_the_end
from tests.lab.search.tiny import work_off, write

ray = pytest.importorskip("ray")
from ray.cluster_utils import Cluster  # noqa: E402

from mythos_lab.search.engines.ray import Ray  # noqa: E402

SECRET = "hunter2"


@pytest.fixture(scope="module")
def cluster():
    """A Ray of one machine with two CPUs, which others can join. Ray heeds SIGTERM from then on, and gives it back."""
    heeded = signal.getsignal(signal.SIGTERM)
    os.environ.pop("RAY_ADDRESS", None)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    ray.init(started.address, log_to_driver=False, logging_level="ERROR")
    yield started
    ray.shutdown()
    started.shutdown()
    signal.signal(signal.SIGTERM, heeded)


@pytest.fixture
def session(cluster):
    """The folder of that Ray."""
    return Path(cluster.head_node.get_session_dir_path())


@pytest.fixture(autouse=True)
def password(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)


@pytest.mark.slow
def test_ray_finds_what_one_worker_finds(session, tmp_path):
    alone = results(work_off(write(tmp_path, **fields("alone", 12))))
    assert len(alone) == 4
    assert results(run_study(write(tmp_path, **fields("ray", 12)), num_workers=2, engine="ray")) == alone
    written = b"".join(path.read_bytes() for path in session.rglob("*") if path.is_file() and "sock" not in path.name)
    assert SECRET.encode() not in written, "secrets travel as arguments, which Ray does not write down"


@pytest.mark.slow
def test_killed_processes_and_abandoned_trials_come_to_the_same_numbers(session, tmp_path):
    whole = results(work_off(write(tmp_path, **fields("whole", 150))))
    engine = Ray(job_of(write(tmp_path, **fields("broken", 150))))
    study = engine.job.study

    victim = drive(engine, lambda: begun(engine.job))[0]
    assert psutil.Process(pid_of(victim)).cmdline()[0] == "ray::broken", "so Ray's dashboard lists the study's trials"
    os.kill(pid_of(victim), signal.SIGKILL)
    drive(engine, lambda: study.get_trials()[victim.number].state.is_finished())
    assert study.get_trials()[victim.number].user_attrs[OUTCOME] == "killed"

    held = drive(engine, lambda: begun(engine.job))
    engine.abandon()
    trials = study.get_trials()
    assert not [trial for trial in trials if trial.state is TrialState.RUNNING]
    laid_down = [trials[trial.number] for trial in held if trials[trial.number].user_attrs[OUTCOME] == "killed"]
    assert laid_down and all(trial.user_attrs[REASON].startswith("stopped after step") for trial in laid_down)
    retries = {trial.user_attrs[RETRY_OF]: trial for trial in trials if RETRY_OF in trial.user_attrs}
    assert retries[victim.number].user_attrs[ATTEMPT] == 1, "its worker was lost with it"
    assert all(retries[t.number].user_attrs[ATTEMPT] == t.user_attrs.get(ATTEMPT, 0) for t in laid_down), "not so here"

    to_the_end(Ray(engine.job))
    assert results(study) == whole


def test_a_trial_that_fits_nowhere_is_refused_before_it_waits(session, tmp_path, monkeypatch):
    from mythos_lab.search.engines import ray as module

    monkeypatch.setattr(module, "connect", lambda address, carried: True)  # as if this Ray were the engine's own
    job = job_of(write(tmp_path, **fields("wide", 12)))
    with pytest.raises(RecipeError, match="--cpus-per-trial: a trial needs 3, and this machine has 2"):
        Ray(job, cpus_per_trial=3)
    with pytest.raises(RecipeError, match="--gpus-per-trial: a trial needs 1, and this machine has 0"):
        Ray(job, gpus_per_trial=1)
    with pytest.raises(RecipeError, match="--resources a100: a trial needs 1, and this machine has 0"):
        Ray(job, resources='{"a100": 1}')
    for text, said in (("a100", "expected amounts by name"), ('{"a100": -1}', "expected amounts by name"),
                       ('{"GPU": 1}', "--gpus-per-trial says that")):  # fmt: skip
        with pytest.raises(RecipeError, match=f"--resources .*{said}"):
            Ray(job, resources=text)


def test_a_trial_reserves_what_its_recipe_declares(session, tmp_path):
    wide = fields("wide", 12)
    wide["overrides"] = [*wide["overrides"], "training.num_threads=2", "training.num_devices=2"]
    engine = Ray(job_of(write(tmp_path, **wide)))
    assert (engine.cpus, engine.gpus) == (4, 0)
    wide["overrides"] = [*wide["overrides"], "training.accelerator=gpu"]
    wide["name"] = "gpus"
    assert Ray(job_of(write(tmp_path, **wide))).gpus == 2
    assert Ray(job_of(write(tmp_path, **wide)), gpus_per_trial=0.5).gpus == 0.5


def test_what_no_machine_has_is_said_once_and_the_end_takes_back_what_waits(session, tmp_path, capsys, monkeypatch):
    engine = Ray(
        job_of(write(tmp_path, **fields("queue", 12))), cpus_per_trial=8, gpus_per_trial=1, resources='{"a100": 0.5}'
    )
    engine.tend()
    assert len(engine.tasks) == 2 and not engine.is_idle()
    engine.tend()
    (said,) = capsys.readouterr().err.splitlines()
    assert (
        "1 GPU (the most that one has is 0), 0.5 a100 (the most that one has is 0), and no machine of the cluster has all"
        in said
    )
    monkeypatch.setattr("mythos_lab.search.engines.ray._PENDING_SECONDS", 0)
    monkeypatch.setattr(engine, "_missing", lambda: "")  # a machine has joined, and others have it
    engine.tend()
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("ray: trials wait for a place in the cluster; free of what one needs: ")
    assert said.endswith("of 8 CPU, 0 of 1 GPU, 0 of 0.5 a100")
    engine.finish()
    drive(engine, engine.is_idle) if engine.tasks else None
    assert not begun(engine.job)


HIDES = """
import os
look = os.stat

def stat(path, *args, **kwargs):
    if not isinstance(path, int) and os.fsdecode(path).startswith({hidden!r}):
        raise FileNotFoundError(2, "hidden", path)
    return look(path, *args, **kwargs)

os.stat = stat
"""


@pytest.fixture
def apart(cluster, tmp_path, tmp_path_factory):
    """A second machine of the cluster, which does not see the working directory of the first."""
    (hides := tmp_path_factory.mktemp("hides")).joinpath("sitecustomize.py").write_text(
        HIDES.format(hidden=str(tmp_path))
    )
    path = os.pathsep.join([str(hides), os.environ.get("PYTHONPATH", "")])
    node = cluster.add_node(num_cpus=2, resources={"apart": 1}, env_vars={"PYTHONPATH": path})
    yield node
    cluster.remove_node(node)


@pytest.mark.slow
def test_a_machine_without_the_folder_is_left_out_or_is_brought_what_it_needs(
    cluster, apart, tmp_path, tmp_path_factory, monkeypatch, capsys
):
    engine = Ray(job_of(write(tmp_path, **fields("shared", 12))), cpus_per_trial=2)
    to_the_end(engine)
    (node,) = engine.left_out
    assert node == apart.node_id and len(results(engine.job.study)) == 4
    assert f"ray: a machine is left out: {tmp_path}: not on " in capsys.readouterr().err
    alone = Ray(job_of(write(tmp_path, **fields("nowhere", 12)), 1), resources='{"apart": 1}')
    monkeypatch.setattr(alone, "_nodes", list)  # as if it were the only machine
    with pytest.raises(RecipeError, match="not on .*; a cluster's machines have to share the study's disk"):
        drive(alone, lambda: False)

    reached = tmp_path_factory.mktemp("reached")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{reached}/mlflow.db")
    monkeypatch.setenv("MYTHOS_ARTIFACTS", str(reached / "artifacts"))
    (tmp_path / ".secret").write_text(SECRET)
    file = write(tmp_path, **fields("carried", 12)).source
    space = load_space(str(file), storage=f"journal://{reached}/study.log")
    with pytest.raises(RecipeError, match="--carry: this process is connected to Ray already"):
        Ray(job_of(space, 1), carry=True)
    ray.shutdown()
    engine = Ray(job_of(space, 1), ray_address=cluster.address, resources='{"apart": 0.5}', carry=True)
    to_the_end(engine)
    assert len(results(engine.job.study)) == 4 and not engine.left_out
    assert not list((tmp_path / "studies/carried").glob("trials/*")), "they ran where the folder is not"
    assert len(list((reached / "artifacts/carried/trials").glob("*/seed-0/listing.json"))) == 4


@pytest.mark.parametrize(
    "address, said", [("ray://127.0.0.1:9", "expected host:port"), ("nonsense", "--ray-address nonsense: ")]
)
def test_a_cluster_that_is_not_there_is_said_in_one_line(address, said, tmp_path, monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    if address == "nonsense":
        monkeypatch.setattr(ray, "init", lambda *_, **__: (_ for _ in ()).throw(ConnectionError("no\nsuch host")))
    write(tmp_path, **fields("far", 12))
    result = CliRunner().invoke(app, ["study", "tiny.yaml", "--engine", "ray", "--ray-address", address])
    assert result.exit_code == 2 and said in result.stderr and len(result.stderr.strip().splitlines()) == 1
