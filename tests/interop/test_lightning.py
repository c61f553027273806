"""Lightning's Trainer and Fabric, with modules as their users write them."""

import lightning as L
import torch
from torch.utils.data import DataLoader

from mythos_lab.recipe import load_recipe
from mythos_lab.training.module import LoopedModule
from tests.interop.conftest import VOCAB, make
from tests.lab.search.tiny import OVERRIDES

QUIET = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}


class Theirs(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.model = make()

    def training_step(self, batch, index):
        return torch.nn.functional.cross_entropy(self.model(batch).logits[:, :-1].flatten(0, 1), batch[:, 1:].flatten())

    def predict_step(self, batch, index):
        return self.model(batch)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=3e-3)


def batches():
    return DataLoader(torch.randint(0, VOCAB, (8, 12)), batch_size=4)


def test_a_module_of_ones_own_is_fitted_checkpointed_and_gone_on_with(alone):
    keep = L.pytorch.callbacks.ModelCheckpoint(alone, save_last=True)
    trainer = L.Trainer(max_epochs=2, callbacks=[keep], gradient_clip_val=1.0, **QUIET)
    trainer.fit(Theirs(), batches())
    again = L.Trainer(max_epochs=3, **QUIET)
    again.fit(Theirs(), batches(), ckpt_path=alone / "last.ckpt")
    assert trainer.global_step == 4 and again.global_step == 6


def test_predictions_keep_their_form():
    given = L.Trainer(**QUIET).predict(Theirs(), batches())
    assert given[0].logits.shape == (4, 12, VOCAB) and type(given[0]).__name__ == "ModelOutput"


def test_a_recipe_is_trained_by_a_trainer():
    recipe = load_recipe("gated_loop", OVERRIDES)
    trainer = L.Trainer(max_steps=4, **QUIET)
    trainer.fit(LoopedModule(recipe))
    assert trainer.global_step == 4


def test_fabric_sets_a_model_up_and_calls_it(tokens):
    fabric = L.Fabric(accelerator="cpu", devices=1)
    model, optimizer = fabric.setup(module := make(), torch.optim.AdamW(module.parameters()))
    output = model(tokens)
    fabric.backward(output.logits.square().mean())
    optimizer.step()
    assert output.logits.shape == (2, 12, VOCAB)
