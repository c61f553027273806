"""Comparisons read studies: their tests work where those of the search do."""

from tests.lab.search.conftest import here as here
