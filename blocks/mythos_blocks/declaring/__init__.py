"""What can be declared, and how: components, slots, and the specs that constructors make."""

from mythos_blocks.declaring import slots as slots  # declares the slots that components fill
from mythos_blocks.declaring.component import Component, Module, component
from mythos_blocks.declaring.contract import contract
from mythos_blocks.declaring.registry import declare_slot, load_plugins
from mythos_blocks.declaring.spec import BuildError, Slot, Spec, SpecLike, build
from mythos_blocks.declaring.types import Count, Depth, NonNegative, Positive, Probability, Real

__all__ = [
    "BuildError",
    "Component",
    "Count",
    "Depth",
    "Module",
    "NonNegative",
    "Positive",
    "Probability",
    "Real",
    "Slot",
    "Spec",
    "SpecLike",
    "build",
    "component",
    "contract",
    "declare_slot",
    "load_plugins",
]
