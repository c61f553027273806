"""Marks what is known not to apply; anything else that fails is a failure."""

import pytest

from tests.peers.not_applicable import NOT_APPLICABLE, OF_PARTS


def pytest_collection_modifyitems(items):
    for item in items:
        name = item.cls.declaration + "::" + item.name
        reason = NOT_APPLICABLE.get(item.name) or NOT_APPLICABLE.get(name)
        if reason:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
        if name in OF_PARTS:
            item.add_marker(pytest.mark.skip(reason=OF_PARTS[name]))
