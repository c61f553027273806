"""A normalisation over the positions of a sequence."""

from __future__ import annotations

from torch import Tensor, nn

from mythos_blocks.frame.frame import Frame
from mythos_blocks.norm.rms import RMSNorm
from mythos_blocks.tensors.precision import rms_norm


def check_normalises(norm: nn.Module) -> None:
    """Refuse a norm that has no meaning over positions.

    Raises:
        ValueError: It is another than ``rms``.
    """
    if not isinstance(norm, RMSNorm):
        kind = getattr(norm, "kind", type(norm).__name__)
        raise ValueError(f"attention_norm_over='positions' is a root mean square; norm must be 'rms', not {kind!r}")


def check_reads_all(reads_all: bool) -> None:
    """Refuse sequences whose positions may not all be read.

    Raises:
        ValueError: They may not.
    """
    if not reads_all:
        raise ValueError(
            "attention_norm_over='positions' reads all positions, which a mask or padding does not allow; use mask: "
            "full, and samples of one length"
        )


def normalised_over_positions(x: Tensor, norm: nn.Module, frame: Frame) -> Tensor:
    """``x / rms(x)`` with the mean square over each channel's positions, times the norm's gains of the channels.

    Shapes: ``(batch, positions, width) -> (batch, positions, width)``.

    Positions that have stopped count with what they had last.

    Raises:
        ValueError: The mask or padding keeps a position from reading another.
    """
    assert isinstance(norm, RMSNorm)
    check_reads_all(frame.reads_all)
    (whole,) = frame.exchange(x, shared=False)
    across = rms_norm(whole.transpose(1, 2), whole.shape[1], None, norm.eps).transpose(1, 2)
    if norm.weight is not None:
        across = across * norm.weight.to(across.dtype)
    if frame.selection is None or frame.selection.columns is None:
        return across
    return across.gather(1, frame.selection.columns.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
