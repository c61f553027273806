"""``python -m mythos_lab.cli``: the command where it is not on the path."""

from mythos_lab.cli import app

app()
