"""Random pairs of kinds hold what all of them must; ``random_cores`` tries thousands."""

import pytest

from tests.blocks.random_cores import CHECKS, build

SEEDS = range(36)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_core(check, seed):
    check(seed)


def test_most_of_them_are_models():
    assert sum(build(seed) is not None for seed in SEEDS) > len(SEEDS) / 2
