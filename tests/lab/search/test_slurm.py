"""SLURM through submitit: what is asked of sbatch, and workers that a preemption does not rob of their trial."""

import os
import re
import signal
import stat
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace

import pytest
from optuna.trial import TrialState
from typer.testing import CliRunner

from mythos_lab.cli import app
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.search.attributes import ATTEMPT, OUTCOME, REASON, RETRY_OF
from tests.lab.search.driving import begun, drive, fields, job_of, pid_of, results, to_the_end
from tests.lab.search.slurm_cluster import missing, slurm_cluster
from tests.lab.search.tiny import work_off, write

pytest.importorskip("submitit")
from mythos_lab.search.engines import slurm  # noqa: E402
from mythos_lab.search.engines.early_warning import keeping  # noqa: E402
from mythos_lab.search.engines.slurm import Slurm  # noqa: E402
from mythos_lab.search.engines.slurm_settings import read_settings  # noqa: E402

SECRET = "hunter2"


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """A PATH of one's own; what puts a command there that answers as it is told, and notes its environment."""
    place = tmp_path / "bin"
    place.mkdir()

    def put(name, script):
        (place / name).write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\nenv > {place}/{name}.env\n{script}\n")
        (place / name).chmod(stat.S_IRWXU)
        return place / f"{name}.env"

    monkeypatch.setenv("PATH", str(place))
    return put


def test_settings_are_submitits_own_with_their_types():
    given = ["partition=gpu", "time=240", "mem_gb=7.5", "slurm_qos=high", "exclusive=true", "name=12", "mem=4096"]
    assert read_settings([*given, "setup=module load a", "setup=. b", "additional_parameters.reservation=r"]) == {
        "slurm_partition": "gpu",
        "timeout_min": 240,
        "mem_gb": 4,
        "slurm_qos": "high",
        "slurm_exclusive": True,
        "name": "12",
        "slurm_setup": ["module load a", ". b"],
        "slurm_additional_parameters": {"reservation": "r"},
    }


@pytest.mark.parametrize(
    "setting, said",
    [
        ("gpus_per_nod=1", "--slurm gpus_per_nod: did you mean 'gpus_per_node'"),
        ("partition", "expected key=value"),
        ("partition=", "expected key=value"),
        ("time=soon", "expected a whole number of minutes"),
        ("timeout_min=1.5", "expected a whole number of minutes"),
        ("mem_gb=4 GB", "expected a number"),
        ("gpus_per_node=true", "expected a whole number"),
        ("stderr_to_stdout=1", "expected true or false"),
        ("nodes=2", "a worker is one process"),
        ("tasks_per_node=4", "a worker is one process"),
        ("cluster=debug", "expected slurm or local"),
    ],
)
def test_a_setting_that_is_none_is_refused_in_one_line(setting, said, tmp_path):
    write(tmp_path, **fields("refused", 12))
    result = CliRunner().invoke(app, ["study", "tiny.yaml", "--engine", "slurm", "--slurm", setting])
    assert result.exit_code == 2 and said in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert os.listdir(tmp_path) == ["tiny.yaml"]


def test_without_slurm_the_machine_is_to_blame_and_nothing_is_begun(commands, tmp_path):
    write(tmp_path, **fields("nowhere", 12))
    result = CliRunner().invoke(app, ["study", "tiny.yaml", "--engine", "slurm", "--slurm", "partition=gpu"])
    assert result.exit_code == 2 and result.stderr.strip().startswith("--engine slurm: there is no sbatch here")
    assert not (tmp_path / "studies").exists()


def test_sbatch_is_asked_for_an_array_and_told_the_storage_by_the_environment_alone(commands, tmp_path):
    told = commands("sbatch", "echo Submitted batch job 17")
    commands("srun", "")
    commands("sacct", "echo 'JobID|State'; echo '17_0|RUNNING'; echo '17_1|PENDING'; echo '17_2|PENDING'")
    cancelled = commands("scancel", 'echo "$@" >> $0.args')
    url = f"postgresql://me:{SECRET}@db/studies"
    job = job_of(write(tmp_path, **fields("array", 12)), num_workers=3)
    space = replace(job.space, storage=url)
    engine = Slurm(replace(job, space=space), slurm=["partition=gpu", "time=90", "gpus_per_node=1"])
    engine.tend()
    engine.tend()
    (script,) = (space.folder / "slurm").glob("*_submission.sh")
    asked = script.read_text()
    for flag in (
        "array=0-2%3",
        "partition=gpu",
        "time=90",
        "gpus-per-node=1",
        "cpus-per-task=1",
        "job-name=mythos-array",
        "requeue\n",
    ):
        assert f"#SBATCH --{flag}" in asked, "three workers in one array, submitted once"
    assert f"MYTHOS_STORAGE={url}" in told.read_text().splitlines()
    assert not any(SECRET.encode() in path.read_bytes() for path in (space.folder / "slurm").iterdir())
    assert "MYTHOS_STORAGE" not in os.environ
    engine.finish()
    assert (cancelled.parent / "scancel.args").read_text().split() == ["17_1", "17_2"], "what waits is taken back"
    assert list(engine.jobs) == [0] and not engine.is_idle()


def test_what_sbatch_says_is_passed_on_in_one_line(commands, tmp_path):
    commands("sbatch", "echo 'sbatch: error: invalid partition specified: gpu' >&2; exit 1")
    commands("srun", "")
    engine = Slurm(job_of(write(tmp_path, **fields("array", 12))), slurm=["partition=gpu"])
    with pytest.raises(RecipeError, match="^--engine slurm: sbatch: error: invalid partition specified: gpu$"):
        engine.tend()


@pytest.mark.parametrize(
    "shown, requeue, queued, said",
    [
        ("PreemptTime=2026-11-30T12:00:00", "exit 0", True, None),
        ("PreemptTime=2026-11-30T12:00:00", "exit 1", True, "does not queue this element again: .*exit status 1"),
        ("PreemptEligibleTime=2026-11-30T12:00:00 PreemptTime=None", "exit 0", False, "goes on with it"),
    ],
    ids=["preempted", "preempted where nothing is queued again", "cancelled"],
)
def test_sigterm_lays_the_trial_down_and_a_preempted_element_is_queued_again(
    shown, requeue, queued, said, commands, tmp_path, monkeypatch, capsys
):
    """Whoever submitted it may be gone: what is not queued again ends as failed, and says how to go on."""
    commands("scontrol", f'[ "$1" = show ] && echo "JobId=17 {shown}" && exit 0; echo "$@" > $0.args; {requeue}')
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    job = job_of(write(tmp_path, **fields("alone", 12)))
    monkeypatch.setattr(slurm, "work", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
    job.space.folder.mkdir(parents=True, exist_ok=True)
    element = slurm.Element(slurm.Assignment.of(job), 0, tmp_path / "outcome.json")

    def submitits(number, frame):
        subprocess.check_call(["scontrol", "requeue", "17_0"])
        raise SystemExit(255)

    before = signal.signal(signal.SIGUSR2, submitits)
    try:
        with pytest.raises(SystemExit) as ended:
            element()
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert ended.value.code == (255 if said is None else 143)
    assert (tmp_path / "bin" / "scontrol.args").exists() == queued
    assert (tmp_path / "outcome.json").exists() == (said is not None)
    shown_there = capsys.readouterr().err
    assert re.search(said, shown_there) and "mythos worker" in shown_there if said else not shown_there


def test_a_warning_that_comes_before_its_handler_waits_for_it(tmp_path):
    (tmp_path / "early.py").write_text(
        "import os, signal, sys\n"
        "os.kill(os.getpid(), signal.SIGUSR2)\n"
        "signal.signal(signal.SIGUSR2, lambda *_: print('heard', *sys.argv[1:]))\n"
        "print('here')\n"
        "signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR2])\n"
    )
    command = f"{keeping(sys.executable, signal.SIGUSR2)} -u -m early 'a folder'"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(tmp_path)}
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "here\nheard a folder\n", "")


@pytest.fixture(params=["submitit's own executor", "SLURM's daemons"])
def where(request, tmp_path):
    """Options by which an array is run."""
    if request.param == "SLURM's daemons":
        if reason := missing():
            pytest.skip(reason)
        with slurm_cluster(tmp_path / "slurm"):
            yield []
    else:
        yield ["cluster=local"]


@pytest.mark.slow
def test_preempted_and_abandoned_elements_come_to_the_same_numbers(tmp_path, a_store, where):
    whole = results(work_off(write(tmp_path, **fields("whole", 150))))
    engine = Slurm(job_of(write(tmp_path, **fields("broken", 150))), slurm=where)
    study = engine.job.study

    victim = drive(engine, lambda: begun(engine.job))[0]
    jobs = dict(engine.jobs)
    os.kill(pid_of(victim), signal.SIGUSR2)  # as SLURM does before it preempts, or at the end of the time limit
    drive(engine, lambda: any("Requeued job" in (job.stdout() or "") for job in jobs.values()))
    left = study.get_trials()[victim.number]
    assert left.user_attrs[OUTCOME] == "killed" and left.user_attrs[REASON].startswith("stopped after step")
    assert engine.jobs == jobs, "the element is started again in its own job"

    engine.abandon()
    trials = study.get_trials()
    assert not [trial for trial in trials if trial.state is TrialState.RUNNING]
    retries = [trial for trial in trials if RETRY_OF in trial.user_attrs]
    assert retries and all(trial.user_attrs[ATTEMPT] == 0 for trial in retries), "no worker was lost with its trial"

    to_the_end(Slurm(engine.job, slurm=where))
    assert results(study) == whole


@pytest.mark.slow
def test_an_element_that_does_not_see_the_storage_ends_the_study_in_one_line(tmp_path, monkeypatch):
    space = write(tmp_path, **fields("apart", 12), storage=f"sqlite:///{tmp_path}/study.db")
    engine = Slurm(job_of(space), slurm=["cluster=local"])
    write(tmp_path, **fields("apart", 12))  # a file without the storage, and an environment that is kept back
    monkeypatch.setattr(slurm.helpers, "environment_variables", lambda **_: nullcontext())
    with pytest.raises(RecipeError, match="was given none; does the cluster pass the environment on"):
        drive(engine, lambda: False)
