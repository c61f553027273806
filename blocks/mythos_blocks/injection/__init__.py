"""How the input e enters every iteration."""

from mythos_blocks.injection.add import Add
from mythos_blocks.injection.base import Injection
from mythos_blocks.injection.lti import LTI
from mythos_blocks.injection.none import NoInjection

__all__ = ["LTI", "Add", "Injection", "NoInjection"]
