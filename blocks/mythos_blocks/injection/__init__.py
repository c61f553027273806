"""How the input e enters every iteration."""

from mythos_blocks.injection.add import Add
from mythos_blocks.injection.base import Injection
from mythos_blocks.injection.blend import Blend
from mythos_blocks.injection.concat import Concat
from mythos_blocks.injection.ffn import FFN
from mythos_blocks.injection.gate import Gate
from mythos_blocks.injection.lti import LTI
from mythos_blocks.injection.lti_input import LTIInput
from mythos_blocks.injection.modulated import Modulated
from mythos_blocks.injection.none import NoInjection
from mythos_blocks.injection.scaled_add import ScaledAdd

__all__ = [
    "FFN",
    "LTI",
    "Add",
    "Blend",
    "Concat",
    "Gate",
    "Injection",
    "LTIInput",
    "Modulated",
    "NoInjection",
    "ScaledAdd",
]
