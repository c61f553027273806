"""Checkpoints of other versions are told apart from this one's."""

import pytest
import torch

from mythos_lab.recipe.errors import Misplaced
from mythos_lab.training.checkpoint import num_steps_of


def test_a_checkpoint_that_lightning_s_trainer_wrote_is_refused_in_one_line(tmp_path):
    path = tmp_path / "last.ckpt"
    torch.save({"global_step": 3, "state_dict": {}, "pytorch-lightning_version": "2.6.0"}, path)
    with pytest.raises(
        Misplaced, match="last.ckpt: a checkpoint of another version of mythos-lab, .* in another folder"
    ):
        num_steps_of(path)
