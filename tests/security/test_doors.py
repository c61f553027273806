"""What listens, listens on this machine alone unless somebody declared otherwise, and says as it is."""

import datetime
import os
import socket
import stat

import grpc
import optuna
import psutil
import pytest
from optuna.storages import get_storage
from typer.testing import CliRunner

from mythos_lab.cli import app
from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.recipe.errors import Unreachable
from mythos_lab.search import proxy, storage
from mythos_lab.search.grpc_token import server_of
from mythos_lab.search.storage import open_storage
from mythos_lab.tracking import viewing
from mythos_lab.training.run import Stopped, run
from tests.lab.search.tiny import OVERRIDES, write

TOKEN = "0123456789abcdef0123"


def listening(process):
    return {c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN}


def test_ranks_that_are_started_here_listen_on_the_loopback_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    before, found = listening(psutil.Process()), []

    def look():
        for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
            found.append(listening(process) - (before if process.pid == os.getpid() else set()))
            assert str(tmp_path / "run") not in " ".join(process.environ().get("PYTHONPATH", "").split(os.pathsep))
        return True

    recipe = load_recipe("gated_loop", [*OVERRIDES, "training.num_devices=2", "training.accelerator=cpu"])
    with pytest.raises(Stopped):
        run(recipe, folder=tmp_path / "run", should_stop=look)
    assert len(found) >= 2 and set.union(*found) <= {"127.0.0.1", "::1"}
    assert "GLOO_SOCKET_IFNAME" not in os.environ


OPENERS = {
    "MLFLOW_HOST": "0.0.0.0",
    "MLFLOW_PORT": "1",
    "MLFLOW_GUNICORN_OPTS": "--bind 0.0.0.0:1",
    "MLFLOW_UVICORN_OPTS": "--host 0.0.0.0",
    "UVICORN_HOST": "0.0.0.0",
    "UVICORN_UDS": "/tmp/door",
    "UVICORN_APP_DIR": ".",
    "MLFLOW_SERVER_ALLOWED_HOSTS": "*",
    "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "true",
}


@pytest.mark.parametrize("variable", OPENERS)
def test_no_variable_opens_the_ui(variable, tmp_path, monkeypatch):
    monkeypatch.setenv(variable, OPENERS[variable])
    monkeypatch.setattr(viewing, "check_store", lambda uri: None)
    command, environment = viewing.server("postgresql://host/x", 5999)
    assert command[command.index("--host") + 1] == "127.0.0.1" and variable not in environment
    assert "--app-dir=/dev/null" in command, "where uvicorn looks before all else, which by itself is where it stands"


HOSTS = ["0.0.0.0", "::", "", "0", "192.0.2.1", "10.0.0.1"]


@pytest.mark.parametrize("host", HOSTS)
def test_the_proxy_lets_no_other_machine_in_without_a_token(host, tmp_path, monkeypatch):
    monkeypatch.delenv(proxy.TOKEN_VARIABLE, raising=False)
    result = CliRunner().invoke(
        app, ["proxy", "--storage", f"sqlite:///{tmp_path}/a.db", "--host", host, "--port", "13999"]
    )
    assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1 and not list(tmp_path.iterdir())
    assert "ssh -N -L 13999:localhost:13999" in result.stderr or "Cannot assign requested address" in result.stderr


@pytest.mark.parametrize("token", ["short", "with spaces in it and long", "umläute-umläute-umläute", "a\nb" * 9])
def test_a_token_is_long_and_plain(token, monkeypatch):
    monkeypatch.setenv(proxy.TOKEN_VARIABLE, token)
    with pytest.raises(RecipeError, match="expected 16 or more letters and digits") as refused:
        proxy.serve("sqlite:///a.db", "0.0.0.0", 13999)
    assert token not in str(refused.value)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_the_proxy_answers_whoever_says_its_token_and_nobody_else(tmp_path):
    port = free_port()
    server = server_of(get_storage(f"sqlite:///{tmp_path}/study.db"), f"127.0.0.1:{port}", TOKEN)
    server.start()
    try:
        study = optuna.create_study(storage=open_storage(f"grpc://:{TOKEN}@127.0.0.1:{port}", tmp_path))
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
        assert len(study.get_trials()) == 2
        for login in ("", f":{TOKEN[:-1]}@", f":{TOKEN}x@"):
            with pytest.raises(grpc.RpcError) as refused:
                optuna.create_study(storage=open_storage(f"grpc://{login}127.0.0.1:{port}", tmp_path))
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED and TOKEN not in str(refused.value)
    finally:
        server.stop(None)


@pytest.fixture
def pair(tmp_path):
    """A certificate of this machine's loopback that nobody else has signed, and its key."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    made = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now + datetime.timedelta(1)
    )
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    (tmp_path / "cert.pem").write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (tmp_path / "key.pem").write_bytes(key.private_bytes(*form))
    return tmp_path / "cert.pem", tmp_path / "key.pem"


def test_an_encrypted_proxy_talks_to_whoever_trusts_its_certificate(pair, tmp_path, monkeypatch):
    port = free_port()
    server = server_of(
        get_storage(f"sqlite:///{tmp_path}/study.db"), f"localhost:{port}", TOKEN, proxy._certificate(*pair)
    )
    server.start()
    try:
        monkeypatch.setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", str(pair[0]))
        study = optuna.create_study(storage=open_storage(f"grpcs://:{TOKEN}@localhost:{port}", tmp_path))
        assert study.ask().number == 0
        monkeypatch.setattr(storage, "_OPENING_SECONDS", 1)
        for scheme in ("grpc", "grpcs"):
            monkeypatch.delenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", raising=False)  # no authority has signed it
            with pytest.raises(Unreachable) as refused:
                open_storage(f"{scheme}://:{TOKEN}@localhost:{port}", tmp_path)
            assert TOKEN not in str(refused.value)
    finally:
        server.stop(None)


@pytest.mark.parametrize("wrong", ["key alone", "no such file", "no certificate"])
def test_a_certificate_that_cannot_be_used_is_one_line(wrong, pair, tmp_path):
    certificate, key = pair
    given = {
        "key alone": (None, key), "no such file": (tmp_path / "none.pem", key), "no certificate": (key, key),
    }[wrong]  # fmt: skip
    with pytest.raises(RecipeError, match="--tls-cert") as refused:
        proxy.serve(f"sqlite:///{tmp_path}/a.db", "localhost", free_port(), *given)
    assert len(refused.value.lines) == 1 and not (tmp_path / "a.db").exists()


@pytest.mark.parametrize("host, shown", [("localhost", "127.0.0.1"), ("127.0.0.1", "127.0.0.1")])
def test_what_the_proxy_opens_is_printed_as_it_is(host, shown, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv(proxy.TOKEN_VARIABLE, raising=False)
    port = free_port()
    monkeypatch.setattr(grpc._server._Server, "wait_for_termination", lambda server: server.stop(None))
    proxy.serve(f"sqlite:///{tmp_path}/a.db", host, port)
    said = f"on grpc://{host}:{port}: {shown}:{port}, this machine alone, all users of this machine"
    assert said in capsys.readouterr().out


def test_a_ray_of_its_own_serves_this_machine_alone_and_imports_nothing_from_here(tmp_path, monkeypatch):
    pytest.importorskip("ray")
    from mythos_lab.search.engines import ray_session

    started = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    monkeypatch.setattr(
        ray_session.ray, "init", lambda address, **own: started.append((own, os.getcwd(), os.environ["PYTHONSAFEPATH"]))
    )
    assert ray_session.connect(None)
    [(own, directory, safe_path)] = started
    assert own["_node_ip_address"] == "127.0.0.1" and own["include_dashboard"] is False
    assert directory == "/" and safe_path == "1" and os.getcwd() == str(tmp_path)


def test_slurms_elements_read_a_folder_that_is_new_and_private_and_import_nothing_from_here(tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    from mythos_lab.search.engines.base import Job
    from mythos_lab.search.engines.slurm import Slurm

    monkeypatch.chdir(tmp_path)
    space = write(tmp_path, space={"seed": {"int": [0, 1]}})
    engines = [Slurm(Job(space, None, 1, 1), slurm=["cluster=local"]) for _ in range(2)]
    assert len({engine.folder for engine in engines}) == 2
    for engine in engines:
        assert stat.S_IMODE(engine.folder.stat().st_mode) == 0o700
        assert " -P " in f" {engine.executor._executor.python} "
