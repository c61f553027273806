"""What a file or a folder is, and what it would do, told without doing any of it."""

from mythos_lab.inspection.inspect import inspect as inspect
