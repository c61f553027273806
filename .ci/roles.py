"""Sphinx's roles in docstrings, as the site shows them: a name in code, without the path where it begins with ``~``."""

import re

import griffe

_ROLE = re.compile(r":(?:class|func|meth|mod|attr|data|exc):`(~?)([^`]+)`")


class Roles(griffe.Extension):
    """Rewrites docstrings when they have been read."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        if obj.docstring is not None:
            obj.docstring.value = _ROLE.sub(_shown, obj.docstring.value).replace("``", "`")


def _shown(match: re.Match[str]) -> str:
    return f"`{match[2].rpartition('.')[2] if match[1] else match[2]}`"
