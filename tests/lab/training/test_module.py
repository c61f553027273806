"""The training step under a Trainer that somebody else brings: the weights of ``run``, to the bit."""

import lightning as L
import pytest
import torch
from lightning_utilities.core.apply_func import apply_to_collection

from mythos_blocks import LoopedTransformer
from mythos_blocks.declaring.registry import slots
from mythos_lab.measures.evaluate import evaluate
from mythos_lab.recipe import load_recipe
from mythos_lab.training import compiled
from mythos_lab.training.assembly import assemble
from mythos_lab.training.lead import Lead
from mythos_lab.training.loop import fit
from mythos_lab.training.module import LoopedModule
from mythos_lab.training.result import write_state
from mythos_lab.training.state import Training
from mythos_lab.training.stop_reasons import Stopped
from tests.lab.training.test_plain import FEW, SIZES, Kept
from tests.lab.training.test_stop import ALL

QUIET = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}


class Validate(L.Callback):
    """A callback as people write it: the recipe's validation, every so many steps."""

    def __init__(self, every):
        self.every, self.losses = every, {}

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if trainer.global_step % self.every == 0:
            self.losses[trainer.global_step] = evaluate(module.model, module.task, module.recipe).loss


def by_fit(recipe, folder, num_steps):
    training, tracker, asked = Training(recipe, *assemble(recipe)), Kept(), iter(range(1, 100))
    write_state(folder, {"key": "of this test"})
    with pytest.raises(Stopped):
        fit(
            training,
            folder / "last.ckpt",
            resumed=False,
            lead=Lead(tracker, should_stop=lambda: next(asked) == num_steps),
        )
    return training, tracker.sent


@pytest.mark.parametrize(
    "name, more", [("openmythos", []), ("gated_loop", ALL), ("parcae", []), ("gated_loop", ["training.compile=true"])]
)
def test_a_plain_trainer_reaches_the_same_weights_and_validations_also_from_its_own_checkpoint(
    name, more, tmp_path, monkeypatch
):
    monkeypatch.setattr(compiled, "BACKEND", "aot_eager")
    recipe = load_recipe(name, [*FEW, *SIZES.get(name, []), *more])
    ours, sent = by_fit(recipe, tmp_path, 4)
    validate = Validate(2)
    for max_steps, start in ((2, None), (4, tmp_path / "theirs.ckpt")):
        module = LoopedModule(recipe)
        trainer = L.Trainer(max_steps=max_steps, callbacks=[validate], enable_checkpointing=False, **QUIET)
        trainer.fit(module, ckpt_path=start, weights_only=True)
        trainer.save_checkpoint(tmp_path / "theirs.ckpt")
    theirs = module.model.state_dict()
    assert all(torch.equal(x, theirs[key]) for key, x in ours.model.state_dict().items())
    if module.average is not None:
        module.average.copy_into(module.model)
        assert all(torch.equal(x, theirs[key]) for key, x in ours.whole.state_dict().items())
        return
    assert validate.losses == {step: sent[step]["val/loss"] for step in (2, 4)}
    assert float(trainer.callback_metrics["train/loss"]) == sent[3]["train/loss"]
    assert trainer.callback_metrics.get("speed/num_graphs") == sent[3].get("speed/num_graphs")


def test_a_recipe_of_several_devices_is_refused_in_one_line():
    with pytest.raises(ValueError, match="training.num_devices=2: a Trainer's module trains on 1 device"):
        LoopedModule(load_recipe("gated_loop", ["training.num_devices=2"]))


@pytest.mark.parametrize("halting", sorted(slots()["halting"].kinds))
def test_what_a_pass_returns_goes_through_lightnings_collections(halting):
    """As `Trainer.predict` and Fabric send it to a device: everything that it holds can be set anew."""
    core = {"halting": halting, "loops": {"kind": "fixed", "num_loops": 2}}
    model = LoopedTransformer(16, width=8, core=core)
    tokens = torch.randint(0, 16, (2, 5))
    out = model(tokens, record=True)
    moved = apply_to_collection(out, torch.Tensor, lambda tensor: tensor.detach().clone())
    assert torch.equal(moved.logits, out.logits) and moved.logits is not out.logits
    assert moved.frame.mask == out.frame.mask
