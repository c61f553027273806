"""Triton kernels for looped transformers, each beside the plain-torch reference that defines its meaning."""

from mythos_kernels.state_update import state_update

__all__ = ["state_update"]
