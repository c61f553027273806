"""Following the bytes that a computation keeps alive."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor, UntypedStorage
from torch.utils._python_dispatch import TorchDispatchMode


class LiveBytes(TorchDispatchMode):
    """Follows the storages that are made inside it, from their making to their end; works without numbers too.

    What operators take for themselves and give back before they return (attention's tiles, packed matrices) is not
    seen, and gradients of one tensor that torch would add in place are added to a new one. Storages that were there
    before count once :meth:`follow` is told of them.

    Attributes:
        now: Bytes alive.
        most: The most bytes that have been alive at a time.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self._alive: dict[int, weakref.ref[UntypedStorage]] = {}

    def follow(self, tensors: Iterable[Tensor]) -> None:
        """Count the storages of these tensors, each once."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            # A storage keeps its Python object for as long as it lives, so the address is its own.
            key, size = id(storage), storage.nbytes()
            if key not in self._alive:
                self._alive[key] = weakref.ref(storage, self._ending(key, size))
                self.now += size
        self.most = max(self.most, self.now)

    def _ending(self, key: int, size: int) -> Callable[[Any], None]:
        def end(_: Any) -> None:
            self.now -= size
            del self._alive[key]

        return end

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor):
            self.follow((out,))
        elif isinstance(out, list | tuple):
            self.follow(x for x in out if isinstance(x, Tensor))
        return out
