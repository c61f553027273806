"""What every test leaves behind it: the registry as it was."""

import pytest

from mythos_blocks.declaring.registry import slots

# Ours register once, as their packages are loaded, which may be in the middle of a test.
OURS = ("mythos_blocks.", "mythos_lab.")


@pytest.fixture(autouse=True)
def registry_as_it_was():
    """Forget the components that a test has registered, whichever way: the next one's schema has none of them."""
    before = {name: set(info.kinds) for name, info in slots().items()}
    yield
    for name, info in slots().items():
        for kind in set(info.kinds) - before.get(name, set()):
            if not info.kinds[kind].__module__.startswith(OURS):
                del info.kinds[kind]
