"""Docstrings as the site shows them.

Sphinx's roles are names in code, without the path where it begins with ``~``; a session with ``>>>``, which Markdown
takes for quotations, is code.
"""

import re

import griffe

_ROLE = re.compile(r":(?:class|func|meth|mod|attr|data|exc):`(~?)([^`]+)`")
_SESSION = re.compile(r"^>>> .*(?:\n(?!\s*\n).+)*", re.MULTILINE)


class Roles(griffe.Extension):
    """Rewrites docstrings when they have been read."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        if obj.docstring is not None:
            shown = _ROLE.sub(_shown, obj.docstring.value).replace("``", "`")
            obj.docstring.value = _SESSION.sub(r"```pycon\n\g<0>\n```", shown)


def _shown(match: re.Match[str]) -> str:
    return f"`{match[2].rpartition('.')[2] if match[1] else match[2]}`"
