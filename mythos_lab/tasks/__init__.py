"""What a model learns: tasks as components, which importing this package registers."""

from mythos_lab.tasks.base import IGNORE, Batch, Shortcut, Task
from mythos_lab.tasks.reachability import Reachability
from mythos_lab.tasks.text import Text

__all__ = ["IGNORE", "Batch", "Reachability", "Shortcut", "Task", "Text"]
