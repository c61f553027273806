"""Tables with a row for each iteration, and what lies beyond their end."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from mythos_blocks.tensors.tracing import is_traced

Index = int | Tensor
"""Which iteration it is, 0-based: a whole number, or, as the loop says it, a 0-dimensional int64 tensor. A tensor keeps
a compiled layer from being compiled anew for each iteration; arithmetic and :func:`row` take either."""

Beyond = Literal["clamp", "zero", "extrapolate", "error"]
"""What iterations past the end of a table read: its last row; zeros; the line through its last two rows; an error."""


def row(table: Tensor, t: Index, beyond: Beyond = "clamp") -> Tensor:
    """Row ``t`` of a table ``(rows, ...)``.

    Raises:
        ValueError: ``t`` is negative, or beyond the table where that is an error. Of a tensor on an accelerator this is
            not asked, since the answer would have to be waited for; the loop asks it ahead, of whole numbers.
    """
    last = table.shape[0] - 1
    if isinstance(t, int):
        check_index(t, last if beyond == "error" else None)
        within = min(t, last)
        picked = table[within]
    else:
        if beyond == "error" and t.device.type == "cpu" and not is_traced(t):
            check_index(int(t), last)
        picked = table.index_select(0, t.clamp(0, last).reshape(1)).squeeze(0)
    if beyond == "zero":
        return picked * (t <= last)
    if beyond == "extrapolate":
        excess = max(t - last, 0) if isinstance(t, int) else (t - last).clamp_min(0)
        return picked + excess * (table[last] - table[max(last - 1, 0)])
    return picked


def column(x: Tensor, t: Index) -> Tensor:
    """Of ``(..., columns)`` the one of iteration ``t``, the last one of later iterations: ``(...)``."""
    last = x.shape[-1] - 1
    if isinstance(t, int):
        return x[..., min(t, last)]
    return x.index_select(-1, t.clamp(0, last).reshape(1)).squeeze(-1)


def own_row(table: Tensor, t: Index, beyond: Beyond = "clamp") -> Tensor:
    """Row ``t`` of a table as :func:`row` gives it, but never a view: for rows that leave the module of the table.

    What spreads weights over processes frees them once the module's ``forward`` is through.
    """
    picked = row(table, t, beyond)
    return picked.clone() if isinstance(t, int) else picked


def check_index(t: Index, last: int | None = None) -> None:
    """Refuse an iteration that there is not; tensors are taken as they are.

    Args:
        t: The iteration.
        last: The last one that there is; ``None`` for no end.

    Raises:
        ValueError: ``t`` is negative or beyond ``last``.
    """
    if isinstance(t, int) and t < 0:
        raise ValueError(f"iteration indices count from 0, and this one is {t}")
    if isinstance(t, int) and last is not None and t > last:
        raise ValueError(f"iteration {t} is beyond the table's {last + 1} rows (beyond: 'error')")


def check_below(numbers: Tensor, limit: int, where: str) -> None:
    """Refuse whole numbers of which a table has no row; on an accelerator the table's reader does so.

    Args:
        numbers: Of any shape.
        limit: Rows of the table.
        where: What has them, for the message: "norm 'x' has num_rows".

    Raises:
        ValueError: One is ``limit`` or more.
    """
    if numbers.device.type != "cpu" or is_traced(numbers) or numbers.numel() == 0:
        return
    if (largest := int(numbers.max())) >= limit:
        raise ValueError(f"{where}={limit}, and the input reads {largest}; the largest that it can read is {limit - 1}")
