"""Optuna's proxy with a token, encrypted or not.

The server answers whoever says the token, and the client says it with every call.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from optuna.storages import BaseStorage, GrpcStorageProxy
from optuna.storages._grpc.auto_generated import api_pb2_grpc
from optuna.trial import FrozenTrial

from mythos_lab.recipe.errors import RecipeError
from mythos_lab.search.grpc_looks import FULL, LookingService, RememberingCache
from mythos_lab.search.room import Full

_api: Any = api_pb2_grpc
_HEADER = "authorization"
ROOTS_VARIABLE = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"
"""gRPC's own variable: a PEM file of the certificates that are trusted."""

_THREADS = 128  # most of which wait for a look that they share


def server_of(
    storage: BaseStorage, address: str, token: str | None, certificate: tuple[bytes, bytes] | None = None
) -> grpc.Server:
    """A server of a storage, which has not been started.

    Args:
        storage: What it serves.
        address: Where it listens, by numbers.
        token: What callers have to say; ``None`` asks for nothing.
        certificate: The certificate chain and its key, as PEM, with which it encrypts; ``None`` talks in clear.

    Raises:
        RuntimeError: The address cannot be had.
    """
    server = grpc.server(ThreadPoolExecutor(max_workers=_THREADS), interceptors=[_Asked(token)] if token else [])
    _api.add_StorageServiceServicer_to_server(LookingService(storage), server)
    if certificate is None:
        server.add_insecure_port(address)
    else:
        chain, key = certificate
        server.add_secure_port(address, grpc.ssl_server_credentials([(key, chain)]))
    return server


class TokenProxy(GrpcStorageProxy):
    """Optuna's client, which says a token.

    Args:
        host: Of the server.
        port: Of the server.
        token: What it asks for; ``None`` says nothing.
        encrypted: Whether to talk by TLS, with a server whose certificate is one of gRPC's roots', or of those that
            ``GRPC_DEFAULT_SSL_ROOTS_FILE_PATH`` names.
    """

    def __init__(self, host: str, port: int, token: str | None, *, encrypted: bool = False) -> None:
        self._token, self._encrypted = token, encrypted
        super().__init__(host=host, port=port)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        try:
            return int(super().create_new_trial(study_id, template_trial))
        except grpc.RpcError as error:
            if error.code() == FULL:
                raise Full(error.details()) from None
            raise

    def wait_server_ready(self, timeout: float | None = None) -> None:
        if not self._encrypted:
            super().wait_server_ready(timeout)
            return
        try:
            grpc.channel_ready_future(self._channel).result(timeout=timeout)
        except grpc.FutureTimeoutError:
            raise ConnectionError("no answer by TLS with a certificate that is trusted here") from None

    def _setup(self) -> None:
        super()._setup()
        if self._encrypted:
            self._channel.close()
            self._channel = grpc.secure_channel(f"{self._host}:{self._port}", _trusted())
        if self._encrypted or self._token:
            sayings = [_Saying(self._token)] if self._token else []
            said = grpc.intercept_channel(self._channel, *sayings)
            self._stub = _api.StorageServiceStub(said)
        self._cache = RememberingCache(self._stub)


def _trusted() -> grpc.ChannelCredentials:
    """Whose certificates are taken; read here, as gRPC would look once in the life of a process."""
    named = os.environ.get(ROOTS_VARIABLE)
    try:
        return grpc.ssl_channel_credentials(Path(named).read_bytes() if named else None)
    except OSError as error:
        raise RecipeError(f"{ROOTS_VARIABLE}: {named}: {error.strerror or error}") from None


class _Asked(grpc.ServerInterceptor):
    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()
        self._refused = grpc.unary_unary_rpc_method_handler(_refuse)

    def intercept_service(self, continuation: Callable[[Any], Any], call: Any) -> Any:
        said = next((value for name, value in call.invocation_metadata if name == _HEADER), "")
        known = said if isinstance(said, bytes) else said.encode()
        return continuation(call) if hmac.compare_digest(known, self._expected) else self._refused


def _refuse(request: Any, context: Any) -> None:
    context.abort(grpc.StatusCode.UNAUTHENTICATED, "the proxy asks for its token; expected grpc://:TOKEN@host:port")


class _Saying(grpc.UnaryUnaryClientInterceptor):
    def __init__(self, token: str) -> None:
        self._said = (_HEADER, f"Bearer {token}")

    def intercept_unary_unary(self, continuation: Callable[[Any, Any], Any], details: Any, request: Any) -> Any:
        with_token = details._replace(metadata=[*(details.metadata or ()), self._said])
        return continuation(with_token, request)
