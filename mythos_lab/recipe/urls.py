"""URLs of stores and storages: as they are used, as they are written down, and as they may be seen.

A URL may hold a login, and options that are one. What is recorded, logged, shown or put on the command line of another
process goes through :func:`without_password` or :func:`recorded`. Where a URL is opened, :func:`completed` puts in what
it names of the environment, ``postgresql://me:${oc.env:DB_PASSWORD}@host/runs``, which is recorded as it is written.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

ENVIRONMENT = re.compile(r"\$\{oc\.env:([A-Za-z_]\w*)\}")
"""A reference to a variable of the environment, in OmegaConf's words."""

# With one slash it is what a path makes of a URL.
_SCHEME = re.compile(r"[A-Za-z][\w+.-]+:/{1,2}")
_IN_TEXT = re.compile(r"[A-Za-z][\w+.-]+:/{1,2}[^\s\"'<>]+")
_USER = re.compile(r"[^:/?#@\s]*@")
_USER_AND_PASSWORD = re.compile(r"[^:/?#@]*:.*@", re.DOTALL)
_WITHOUT_SCHEME = re.compile(r"^[^/:?#@\s]+:[^@\s]*@")
_NAMED = re.compile(rf"([A-Za-z][\w+.-]+://)[\w.-]*:{ENVIRONMENT.pattern}@")  # a password that is a name
_PORT = re.compile(r"[^:/?#@]*:\d*(?:[/?#]|$)")
_REFERENCES = {"http", "https", "hf", "s3", "gs", "file", "ftp"}  # of which a path or an option may have an @
# Options of stores that say nothing of who asks; any other may be a login.
_HARMLESS = {
    "cache", "charset", "check_same_thread", "connect_timeout", "immutable", "mode", "nolock", "sslmode", "timeout",
    "uri", "vfs",
}  # fmt: skip
_TELLING = re.compile(r"pass|pwd|secret|token|key|auth|cred|sig|login|user", re.IGNORECASE)


def without_password(url: str) -> str:
    """A URL as it may be shown and written down: without its login, and without options that may be one."""
    found = _SCHEME.match(url)
    if found is None:
        return _WITHOUT_SCHEME.sub("", url)
    scheme, rest = found[0].partition(":")[0].lower(), url[found.end() :]
    is_reference = scheme.partition("+")[0] in _REFERENCES
    if user := _USER.match(rest):
        rest = rest[user.end() :]
    elif (login := _USER_AND_PASSWORD.match(rest)) and not (is_reference and _PORT.match(rest)):
        rest = rest[login.end() :]
    place, question, options = rest.partition("?")
    options, sharp, fragment = options.partition("#")
    kept = [part for part in options.split("&") if _is_harmless(part.partition("=")[0], is_reference)]
    return f"{found[0]}{place}{'?' * bool(question and any(kept))}{'&'.join(kept)}{sharp}{fragment}"


def in_text(text: str) -> str:
    """A text in which every URL is one that may be shown."""
    return _IN_TEXT.sub(lambda found: without_password(found[0]), text) if ":/" in text else text


def has_login(text: str) -> bool:
    """Whether a text holds a URL with something that may not be shown."""
    return in_text(text) != text


def in_argument(text: str) -> str:
    """An argument of a command line, all of which from its URL on may be the URL, as it may be seen."""
    found = _SCHEME.search(text)
    return text if found is None else text[: found.start()] + without_password(text[found.start() :])


def recorded(value: Any) -> Any:
    """Plain values as they are written down: URLs without login, unless its password is a name of the environment."""
    if isinstance(value, Mapping):
        return {key: recorded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [recorded(item) for item in value]
    if not isinstance(value, str):
        return value
    if _NAMED.match(value) and not has_login(_NAMED.sub(r"\1", value)):
        return value
    return without_password(value) if _SCHEME.match(value) and not value.split()[1:] else in_text(value)


def completed(url: str, variable: str) -> str:
    """A URL as it is opened: with the values that it names, and the login that a variable has for the same place.

    Raises:
        RecipeError: A variable that it names is not set.
    """
    named = os.environ.get(variable)
    return with_environment(named if named and not has_login(url) and without_password(named) == url else url)


def with_environment(url: str) -> str:
    """The URL with the values of the variables that it names, for whoever opens it and for nobody else.

    Raises:
        RecipeError: A variable is not set.
    """

    from mythos_lab.recipe.errors import RecipeError

    def value(found: re.Match[str]) -> str:
        if (said := os.environ.get(found[1])) is None:
            raise RecipeError(f"{without_password(url)}: the variable {found[1]} is not set")
        return said

    return ENVIRONMENT.sub(value, url)


def _is_harmless(option: str, is_reference: bool) -> bool:
    return not _TELLING.search(option) if is_reference else option.lower() in _HARMLESS
