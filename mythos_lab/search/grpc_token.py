"""Optuna's proxy with a token: the server answers whoever says it, the client says it with every call."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from optuna.storages import BaseStorage, GrpcStorageProxy
from optuna.storages._grpc.auto_generated import api_pb2_grpc
from optuna.storages._grpc.servicer import OptunaStorageProxyService

_api: Any = api_pb2_grpc
_HEADER = "authorization"
_THREADS = 10


def server_of(storage: BaseStorage, address: str, token: str | None) -> grpc.Server:
    """A server of a storage, which has not been started.

    Args:
        storage: What it serves.
        address: Where it listens, by numbers.
        token: What callers have to say; ``None`` asks for nothing.

    Raises:
        RuntimeError: The address cannot be had.
    """
    server = grpc.server(ThreadPoolExecutor(max_workers=_THREADS), interceptors=[_Asked(token)] if token else [])
    _api.add_StorageServiceServicer_to_server(OptunaStorageProxyService(storage), server)
    server.add_insecure_port(address)
    return server


class TokenProxy(GrpcStorageProxy):
    """Optuna's client, which says a token.

    Args:
        host: Of the server.
        port: Of the server.
        token: What it asks for; ``None`` says nothing.
    """

    def __init__(self, host: str, port: int, token: str | None) -> None:
        self._token = token
        super().__init__(host=host, port=port)

    def _setup(self) -> None:
        super()._setup()
        if self._token:
            said = grpc.intercept_channel(self._channel, _Saying(self._token))
            self._stub = _api.StorageServiceStub(said)
            self._cache.grpc_client = self._stub


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
