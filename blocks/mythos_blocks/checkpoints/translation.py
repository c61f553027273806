"""From a published system's names to ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from mythos_blocks.checkpoints.published import without_prefix
from mythos_blocks.checkpoints.weights import assign, empty_model, nearest
from mythos_blocks.declaring.spec import Slot
from mythos_blocks.model.looped_transformer import LoopedTransformer

Convert = Callable[..., Sequence[Tensor]]


@dataclass(frozen=True)
class Rule:
    """How some of their tensors become some of ours.

    Attributes:
        theirs: Their names.
        ours: Our names; none where the tensor is left out.
        convert: From their tensors, in order, to ours.
        note: What happens on the way.
        optional: Whether they may be missing.
    """

    theirs: tuple[str, ...]
    ours: tuple[str, ...]
    convert: Convert = lambda tensor: (tensor,)
    note: str = ""
    optional: bool = False


def rename(theirs: str, ours: str) -> Rule:
    """The same tensor under another name."""
    return Rule((theirs,), (ours,))


def split(theirs: str, ours: Sequence[str], sizes: Sequence[int]) -> Rule:
    """A fused matrix, cut along its output channels."""
    return Rule((theirs,), tuple(ours), lambda tensor: tensor.split(list(sizes), dim=0), "split")


def stack(theirs: Sequence[str], ours: str) -> Rule:
    """Matrices of many modules as one tensor."""
    return Rule(tuple(theirs), (ours,), lambda *tensors: (torch.stack(tensors),), "stacked")


def left_out(theirs: str, why: str, optional: bool = True) -> Rule:
    """A tensor that nothing of ours needs."""
    return Rule((theirs,), (), lambda tensor: (), why, optional)


@dataclass(frozen=True)
class Translation:
    """A published system's model in our terms.

    Attributes:
        model: The declaration of our model.
        vocab_size: The size of its vocabulary.
        rules: What becomes of each of their tensors.
    """

    model: dict[str, Any]
    vocab_size: int
    rules: tuple[Rule, ...]

    def apply(self, entries: Mapping[str, Tensor], *, partial: bool = False) -> dict[str, Tensor]:
        """Their state dict, or gradients by name, under our names.

        Args:
            entries: Theirs; a prefix that all names carry (``module.``, ``_orig_mod.model.``) is taken off where what
                remains are names that are expected.
            partial: Leave out what is missing instead of refusing it.

        Raises:
            ValueError: A name is unknown or missing.
        """
        known = {name for rule in self.rules for name in rule.theirs}
        entries = without_prefix(entries, known)
        for name in entries:
            if name not in known:
                raise ValueError(f"{name!r} is not expected of this config; {nearest(name, known)}")
        out: dict[str, Tensor] = {}
        for rule in self.rules:
            missing = [name for name in rule.theirs if name not in entries]
            if missing:
                if not (partial or rule.optional):
                    raise ValueError(f"{missing[0]!r} is missing; {nearest(missing[0], entries)}")
                continue
            try:
                converted = rule.convert(*(entries[name] for name in rule.theirs))
            except RuntimeError as error:
                shapes = ", ".join(str(tuple(entries[name].shape)) for name in rule.theirs)
                raise ValueError(f"{rule.theirs[0]!r} has shape {shapes}, which does not fit the config") from error
            out.update(zip(rule.ours, converted, strict=True))
        return out

    def build(self, state_dict: Mapping[str, Tensor]) -> LoopedTransformer:
        """Our model with copies of their weights, in evaluation mode.

        Raises:
            ValueError: The blocks refuse the declaration, a name is unknown or missing, or a shape does not fit.
        """
        tensors = {name: x.detach().clone().contiguous() for name, x in self.apply(state_dict).items()}
        source = {ours: rule.theirs[0] for rule in self.rules for ours in rule.ours}
        try:
            model = empty_model(Slot("model").resolve(self.model), self.vocab_size)
        except ValueError as error:
            raise ValueError(f"the blocks refuse what the config declares: {_in_one_line(error)}") from error
        shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
        for name, tensor in tensors.items():
            if name in shapes and tensor.shape != shapes[name]:
                raise ValueError(
                    f"{source[name]!r} becomes {name!r} of shape {tuple(tensor.shape)}, "
                    f"and the config asks for {tuple(shapes[name])}"
                )
        return assign(model, tensors).eval()

    def table(self) -> str:
        """Their names and ours, as a Markdown table."""
        rows = ["| theirs | ours | |", "| --- | --- | --- |"]
        for rule in self.rules:
            theirs = f"`{rule.theirs[0]}`" + (f" ... ({len(rule.theirs)})" if len(rule.theirs) > 1 else "")
            rows.append(f"| {theirs} | {', '.join(f'`{name}`' for name in rule.ours) or '-'} | {rule.note} |")
        return "\n".join(rows) + "\n"


def _in_one_line(error: ValueError) -> str:
    """What is wrong first, and where."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}={first['input']!r}: {first['msg']}"
