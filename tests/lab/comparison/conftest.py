"""Comparisons read studies: their tests work where those of the search do, and make a task once, as a verb does."""

import pytest

from mythos_lab.recipe.assembled import assembled_once
from tests.lab.search.conftest import here as here


@pytest.fixture(autouse=True)
def once():
    with assembled_once():
        yield
