"""Any recipe trains, evaluates and decodes, or is refused in one line before; see ``random_recipes`` for thousands."""

import pytest

from tests.lab.drawing import Draw
from tests.lab.random_recipes import prepare, tried

NUM = 40  # about a minute


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("random")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MYTHOS_CACHE", "")  # which is put back
        prepare(folder)
        yield folder


def test_a_random_recipe_runs_or_is_refused_in_one_line(folder):
    outcomes = [tried(Draw(seed, folder).recipe(), folder, costs=seed % 16 == 0) for seed in range(NUM)]
    assert outcomes.count("ran") >= NUM // 4, outcomes


def test_a_seed_gives_the_same_recipe(folder):
    assert Draw(3, folder).recipe() == Draw(3, folder).recipe() != Draw(4, folder).recipe()
