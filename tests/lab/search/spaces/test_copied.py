"""A study's copy of its file, from which its folder alone can be read."""

import pytest

from mythos_lab.recipe.files import names
from mythos_lab.search.identity import meaning_of
from mythos_lab.search.parent_run import copied
from mythos_lab.search.spaces.space import load_space
from tests.lab.search import tiny

ARMS = {"arms": {"full": {}, "deep": {"model.core.depth": 2}}, "seeds": 2, "matters": 0.02, "declared": ["parameters"]}


@pytest.mark.parametrize("name", [*names("search_spaces"), "arms"])
def test_the_copy_in_a_studys_folder_means_the_same_study(tmp_path, name):
    space = tiny.write(tmp_path, **ARMS) if name == "arms" else load_space(name)
    (tmp_path / "space.yaml").write_text(copied(space))
    again = load_space(str(tmp_path / "space.yaml"), tmp_path)
    assert again.file == space.file and meaning_of(again) == meaning_of(space)
