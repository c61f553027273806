"""Optuna's gRPC proxy: one process talks to the database, and any number of workers to that process."""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
import warnings
from pathlib import Path

import optuna

from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.reading import read_at_most
from mythos_lab.recipe.screen import say
from mythos_lab.recipe.urls import completed, without_password
from mythos_lab.search.storage import open_storage

TOKEN_VARIABLE = "MYTHOS_PROXY_TOKEN"
"""The variable of the token that whoever asks the proxy has to say."""

_SHORTEST_TOKEN = 16  # characters
_CONNECTIONS = 8  # to the database: while one waits for its disk, others need not
_MAX_PEM = 2**20  # bytes


def serve(url: str, host: str, port: int, certificate: Path | None = None, key: Path | None = None) -> None:
    """Serve a database until the process is ended.

    Args:
        url: Of a database; see :func:`~mythos_lab.search.storage.open_storage`.
        host: Where to listen. Whoever reaches it may read and write, if he says the token of ``MYTHOS_PROXY_TOKEN``;
            on this machine's loopback it may be without one, and asks nobody who he is.
        port: Port on this machine.
        certificate: PEM file of the certificate chain with which it encrypts; with ``key``, or neither.
        key: PEM file of the certificate's private key.

    Raises:
        RecipeError: The database does not answer, the port is taken, the URL names no database, or others would get in
            without a token.
    """
    if url.partition("://")[0] in ("journal", "grpc", "grpcs"):
        raise RecipeError(
            f"--storage {without_password(url)}: Optuna's proxy needs a database; expected sqlite:///path, "
            "postgresql+psycopg:// or mysql+pymysql://"
        )
    pair = _certificate(certificate, key)
    address, is_open = _address(host, port)
    token = _token()
    scheme = "grpc" if pair is None else "grpcs"
    if is_open and token is None:
        raise RecipeError(
            f"--host {host}: other machines would get in, and the proxy asks nobody who they are; set {TOKEN_VARIABLE} "
            f"here and name {scheme}://:TOKEN@HOST:{port} there, or stay on localhost and tunnel: "
            f"ssh -N -L {port}:localhost:{port} {socket.gethostname()}"
        )
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = open_storage(completed(url, "MYTHOS_STORAGE"), Path(), _CONNECTIONS)
    try:
        from mythos_lab.search.grpc_token import server_of

        server = server_of(storage, address, token, pair)
    except ModuleNotFoundError as error:
        raise RecipeError(f"proxy: {error.name} is not installed; pip install 'mythos-lab[grpc]'") from None
    server.start()
    who = "everybody who says its token" if token is not None else "all users of this machine"
    where = "open to other machines" if is_open else "this machine alone"
    clear = ", in clear: whoever listens on the way learns it; --tls-cert and --tls-key encrypt"
    who += clear if is_open and pair is None else ""
    named = f"{host}:{port}" if host else address
    say(f"proxy of {without_password(url)} on {scheme}://{named}: {address}, {where}, {who} (Ctrl-C ends it)")
    server.wait_for_termination()


def _certificate(certificate: Path | None, key: Path | None) -> tuple[bytes, bytes] | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise RecipeError("--tls-cert, --tls-key: expected both, or neither")
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key, password=_no_password)
        return read_at_most(certificate, _MAX_PEM, "certificate"), read_at_most(key, _MAX_PEM, "key")
    except (OSError, ValueError) as error:  # of which ssl.SSLError is one
        raise RecipeError(f"--tls-cert {certificate}, --tls-key {key}: {error}") from None


def _no_password() -> str:
    raise ValueError("the key is encrypted, and nobody is there to be asked for its password")


def _token() -> str | None:
    token = os.environ.get(TOKEN_VARIABLE) or None
    if token is not None and (len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isalnum()):
        raise RecipeError(
            f"{TOKEN_VARIABLE}: expected {_SHORTEST_TOKEN} or more letters and digits, as of openssl rand -hex 24"
        )
    return token


def _address(host: str, port: int) -> tuple[str, bool]:
    """The address to listen on, by its numbers, and whether other machines reach it.

    A second server on a port would be given every other call, as gRPC binds its ports; so it has to be free.
    """
    try:
        family, _, _, _, place = socket.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise RecipeError(f"--host {host}: {getattr(error, 'strerror', None) or error}") from None
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(place)
        except OSError as error:
            raise RecipeError(f"--host {host} --port {port}: {error.strerror or error}") from None
    number = str(place[0])
    is_open = not ipaddress.ip_address(number.partition("%")[0]).is_loopback
    return (f"[{number}]:{port}" if family == socket.AF_INET6 else f"{number}:{port}"), is_open
