"""Named places inside a looped transformer, to read what stands there or to put something else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from mythos_blocks.checkpoints.files import declared_model
from mythos_blocks.declaring.registry import suggest
from mythos_blocks.frame.frame import Frame
from mythos_blocks.model.looped_transformer import LoopedTransformer

Change = Callable[[Tensor], Tensor]
"""From what stands at a site, ``(batch, positions, width)``, to what shall stand there."""

STATE = "core.state"
_PARTS = ("attention", "feedforward")


@dataclass
class Seen:
    """What passed a site, in order.

    Attributes:
        site: Its name.
        values: What stood there, before it was changed: ``(batch, positions, width)``, zeros where a position was not
            computed.
        iterations: The iteration index of each; ``None`` outside the loop.
    """

    site: str
    values: list[Tensor] = field(default_factory=list)
    iterations: list[int | None] = field(default_factory=list)

    @property
    def value(self) -> Tensor:
        """The last one.

        Raises:
            ValueError: Nothing has passed.
        """
        if not self.values:
            raise ValueError(f"nothing has passed the site {self.site!r} yet; run the model first")
        return self.values[-1]


def sites(model: nn.Module) -> list[str]:
    """The sites of a model, by name.

    ``core.state`` is the state after an iteration; ``core.0.residual`` is the residual stream after a layer,
    ``core.0.attention`` and ``core.0.feedforward`` what the layer's branches give to it. Layers of a prelude, of a coda
    and of the high state of a hierarchical loop stand under ``prelude``, ``coda`` and ``core.high``.
    """
    return list(_sites(declared_model(model)))


@contextmanager
def at_site(model: nn.Module, site: str, iteration: int | None = None, change: Change | None = None) -> Iterator[Seen]:
    """Read what stands at a site, or replace it, while the context is open.

    Args:
        model: A looped transformer, whatever wraps it, or an exported one.
        site: Its name; :func:`sites` lists those of a model.
        iteration: The iteration index (0-based) at which; ``None`` is every one.
        change: From what stands there to what shall; ``None`` reads.

    Raises:
        ValueError: The model has no such site, or the site is in no loop; ``change`` gave another shape; or no pass
            ran the iteration.

    Example:
        >>> with at_site(model, "core.state", iteration=1, change=torch.zeros_like):
        ...     logits = model(tokens).logits
    """
    known = _sites(declared_model(model))
    if site not in known:
        raise ValueError(f"unknown site {site!r}; {suggest(site, known)}")
    in_loop = site.startswith("core.")
    if iteration is not None:
        _check_iteration(declared_model(model), site, iteration, in_loop)
    seen, passed = Seen(site), set[int | None]()

    def hook(module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any], out: Tensor) -> Tensor | None:
        told = named.get("frame", arguments[1] if len(arguments) > 1 else None)
        frame = told if isinstance(told, Frame) else None
        t = told if frame is None else frame.t
        passed.add(t)
        if iteration is not None and t != iteration:
            return None
        selection = None if frame is None else frame.selection
        whole = out if frame is None or selection is None else _spread(out, frame)
        seen.values.append(whole)
        seen.iterations.append(t)
        if change is None:
            return None
        changed = change(whole)
        if changed.shape != whole.shape:
            there, given = tuple(whole.shape), tuple(changed.shape)
            raise ValueError(f"site {site!r}: change gave {given}, and {there} stands there")
        changed = changed.to(whole.dtype)
        return changed if selection is None else selection.take(changed)

    handle = known[site].register_forward_hook(hook, with_kwargs=True)
    try:
        yield seen
    finally:
        handle.remove()
    if passed and iteration is not None and iteration not in passed:
        ran = ", ".join(str(t) for t in sorted(t for t in passed if t is not None))
        raise ValueError(f"site {site!r}: no pass ran iteration {iteration}; those that ran are {ran}")


def _check_iteration(model: LoopedTransformer, site: str, iteration: int, in_loop: bool) -> None:
    if not in_loop:
        raise ValueError(f"site {site!r} is in no loop, and has no iteration {iteration}; leave iteration out")
    last = model.core.last_index
    if iteration < 0 or (last is not None and iteration > last):
        raise ValueError(
            f"site {site!r}: iteration={iteration} does not exist; expected an index from 0"
            f"{'' if last is None else f' to {last}'}"
        )


def _spread(x: Tensor, frame: Frame) -> Tensor:
    """What was computed of some positions, among zeros."""
    assert frame.selection is not None and frame.shape is not None
    return frame.selection.put(x.new_zeros(*frame.shape, *x.shape[2:]), x)


def _sites(model: LoopedTransformer) -> dict[str, nn.Module]:
    """Modules whose output stands at a site, by the site's name."""
    found: dict[str, nn.Module] = {}
    high = getattr(model.core, "high_layers", None)
    places: dict[str, nn.ModuleList] = {"prelude": model.prelude.layers, "core": model.core.layers}
    if high is not None and high is not model.core.layers:
        places["core.high"] = high
    for place, layers in {**places, "coda": model.coda.layers}.items():
        for i, layer in enumerate(layers):
            found[f"{place}.{i}.residual"] = layer
            parts = ((name, getattr(layer, name, None)) for name in _PARTS)
            found |= {f"{place}.{i}.{name}": part for name, part in parts if isinstance(part, nn.Module)}
    found[STATE] = model.core.state_site
    return found
