"""URLs of stores and storages, as they may be seen."""

from __future__ import annotations


def without_password(url: str) -> str:
    """A URL as it may be shown and written down: without what a database's login or options hold."""
    scheme, slashes, rest = url.partition("://") if "://" in url else ("", "", url)
    login, at, place = rest.rpartition("@")
    return f"{scheme}{slashes}{login.partition(':')[0]}{at}{place}".partition("?")[0]
