"""What can be asked about a tensor while something other than a plain call runs the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch._ops import _len_torch_dispatch_stack_pre_dispatch
from torch._subclasses.fake_tensor import FakeTensor
from torch.autograd import forward_ad
from torch.utils._python_dispatch import _disable_current_modes

Function = TypeVar("Function", bound=Callable[..., Any])


def is_traced(x: Tensor) -> bool:
    """Whether the numbers of a tensor cannot be asked for, or would become constants of a graph.

    So it is on the meta device, among fake tensors, under ``torch.func.vmap``, and while ``torch.compile``,
    ``torch.export``, ``make_fx`` or ``torch.jit.trace`` makes a graph. What depends on numbers then takes its plain
    form.
    """
    return (
        torch.compiler.is_compiling()
        or x.is_meta
        or torch._C._get_tracing_state() is not None
        or isinstance(x, FakeTensor)
        or _is_recorded()
        or torch._C._functorch.is_batchedtensor(x)
    )


def constant_in_graphs(function: Function) -> Function:
    """Have a compiled graph hold what a function returns: it is the same at every call.

    This is what ``torch.compiler.assume_constant_result`` sets; using that would import the whole compiler with the
    blocks.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


def is_empty(x: Tensor) -> bool:
    """Whether a tensor stands for its shape and dtype alone: on the meta device, and in a ``FakeTensorMode``.

    The fake tensors that a graph is traced with are none of these: they stand for numbers that will come.
    """
    return x.is_meta or (not torch.compiler.is_compiling() and isinstance(x, FakeTensor) and not _is_recorded())


def is_computed_as_written(x: Tensor) -> bool:
    """Whether torch computes with ``x`` what is written, at once: a plain tensor, or one that stands for its shape.

    Where it does not (a graph is made, a transform of ``torch.func`` runs, a tensor is of a kind of its own),
    operations that few know, such as those on complex numbers, are better left out.
    """
    if torch.compiler.is_compiling() or type(x) not in (Tensor, torch.nn.Parameter, FakeTensor):
        return False
    return torch._C._get_tracing_state() is None and not _is_recorded() and not is_transformed()


def is_transformed() -> bool:
    """Whether a transform of ``torch.func`` or forward-mode differentiation runs, which know torch's own operations
    alone. A compiler that traces one of them takes care of that itself.
    """
    if torch.compiler.is_compiling():
        return False
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


@contextmanager
def real_tensors() -> Iterator[None]:
    """The span in which tensors that are made are real ones, on the CPU: whatever counts, fakes or traces around it.

    What is computed from a declaration alone is the same everywhere, and must not be kept in another form.
    """
    with ExitStack() as stack:
        # Asked first, since taking modes off imports all kinds of them, symbolic ones too.
        if torch._C._len_torch_dispatch_stack() or _len_torch_dispatch_stack_pre_dispatch():
            stack.enter_context(_disable_current_modes())
        if torch._C._functorch.peek_interpreter_stack() is not None:
            stack.enter_context(temporarily_clear_interpreter_stack())
        if (tracing := torch._C._get_tracing_state()) is not None:
            torch._C._set_tracing_state(None)  # type: ignore[attr-defined]
            stack.callback(torch._C._set_tracing_state, tracing)  # type: ignore[attr-defined]
        stack.enter_context(torch.device("cpu"))
        yield


def outside_of_graphs(why: str) -> None:
    """Say that what follows needs numbers, which a graph does not have while it is traced.

    ``torch.compile`` ends its graph here and goes on, unless it was asked for one graph; whatever else traces cannot.

    Args:
        why: Which component it is, what it needs the numbers for, and what to choose instead.

    Raises:
        ValueError: Something other than ``torch.compile`` traces.
    """
    if not torch.compiler.is_compiling() or torch.compiler.is_exporting():
        raise ValueError(why)
    torch._dynamo.graph_break(msg=why)  # whoever compiles has imported it


def _is_recorded() -> bool:
    """Whether ``make_fx`` records operations, as export does too."""
    return torch._C._get_dispatch_mode(torch._C._TorchDispatchModeKey.PROXY) is not None
