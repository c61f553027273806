"""Language modelling: documents from files or data sets, tokens, and windows over them."""

from mythos_lab.tasks.text.task import Text

__all__ = ["Text"]
