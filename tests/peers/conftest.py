"""Marks what is known not to apply; anything else that fails is a failure."""

from pathlib import Path

import pytest

from tests.peers.not_applicable import NOT_APPLICABLE, OF_PARTS

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if not item.path.is_relative_to(HERE):  # a hook is asked about the items of all folders
            continue
        name = item.cls.declaration + "::" + item.name
        reason = NOT_APPLICABLE.get(item.name) or NOT_APPLICABLE.get(name)
        if reason:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
        if name in OF_PARTS:
            item.add_marker(pytest.mark.skip(reason=OF_PARTS[name]))
