"""The first steps of every recipe, to the bit, against a training loop that is written out in plain torch."""

import pytest
import torch

from mythos_blocks import knocked_out
from mythos_blocks.declaring.registry import slot_info
from mythos_lab.measures.knockout import SLOTS
from mythos_lab.recipe import load_recipe
from mythos_lab.recipe.losses import Losses
from mythos_lab.training.assembly import assemble
from mythos_lab.training.lead import Lead
from mythos_lab.training.loop import fit
from mythos_lab.training.result import load_run, write_state
from mythos_lab.training.run import run
from mythos_lab.training.state import Training
from mythos_lab.training.stop_reasons import Stopped
from tests.lab.counting import TEXT
from tests.lab.recipes import DISTINCT
from tests.lab.training import plain

NUM_STEPS = 4
FEW = [
    "training.batch_size=4", "training.log_every=1", "training.validate_every=2", "training.num_threads=1",
    "evaluation.batch_size=6", "seed=3",
]  # fmt: skip
SIZES = {
    **dict.fromkeys(TEXT, ["task.length=32", "task.validation_size=10"]),
    **dict.fromkeys(["mqar", "gated_loop", "looped"], ["task.validation_size=10", "task.test_size=10"]),
}

VARIANTS = {
    "bfloat16": ("openmythos", ["training.precision=bfloat16"]),
    "no clipping, a constant rate": (
        "gated_loop",
        ["training.gradient_clip=0", "training.schedule={kind: constant, warmup_steps: 3}"],
    ),
    "parts of a batch with other numbers of scored tokens and padding, an average": (
        "gated_loop",
        ["task={kind: parity, max_length: 6, validation_size: 10}", "mask=full", "training.num_microbatches=2", "model.core.depth=2",
         "training.penalties=[z_loss, weight_cosine]",
         "model.core.loops_per=sequence", "training.ema=0.7"],
    ),
    "Muon, groups by slot, a decay at the end": (
        "openmythos",
        ["training.optimizer={kind: muon, lr: 0.003, momentum: 0.8}", "training.max_steps=6",
         "training.groups=[{slot: injection, lr: 0.1}, {slot: norm, lr: 2}, {slot: core, weight_decay: 3}]",
         "training.schedule={kind: wsd, warmup_steps: 2, decay_steps: 0.5, final: 0.1}"],
    ),
    "hard clipping": ("gated_loop", ["training.gradient_clip=0.01"]),
    "every iteration, penalties, padding": (
        "gated_loop",
        ["task={kind: parity, max_length: 6, validation_size: 10}", "mask=full", "model.core.halting=gate_cdf",
         "training.objective=expected", "training.penalties=[gate_improvement, {kind: z_loss, weight: 0.1}]"],
    ),
    "a curriculum for each token": (
        "looped",
        ["model.core.loops={kind: curriculum, base: {kind: uniform, low: 1, high: 7}, share: 0.5}", "training.max_steps=8",
         "training.schedule.warmup_steps=2", "model.core.loops_per=token", "model.core.initial_state=truncated_normal"],
    ),
}  # fmt: skip

CASES = {name: (name, []) for name in DISTINCT} | VARIANTS


class Kept:
    """A tracker that keeps what it is sent."""

    def __init__(self):
        self.sent = {}

    def metrics(self, values, step, at=None):
        self.sent.setdefault(step, {}).update(values)

    def flush(self):
        pass


def ours(recipe, folder):
    """What the lab's training sends, by step, and its clipped gradients and weights after every step."""
    training, tracker, seen = Training(recipe, *assemble(recipe)), Kept(), []
    write_state(folder, {"key": "of this test"})  # whose checkpoint it is

    def look():
        parameters = dict(training.model.named_parameters())
        gradients = {name: p.grad.clone() for name, p in parameters.items() if p.grad is not None}
        seen.append((gradients, {name: x.clone() for name, x in training.model.state_dict().items()}))
        return len(seen) == NUM_STEPS

    with pytest.raises(Stopped):
        fit(training, folder / "last.ckpt", resumed=False, lead=Lead(tracker, should_stop=look))
    return training, tracker.sent, seen


def same(some, others):
    return some.keys() == others.keys() and all(torch.equal(x, others[name]) for name, x in some.items())


@pytest.mark.parametrize("name, overrides", CASES.values(), ids=CASES)
def test_the_first_steps_are_those_of_the_plain_loop(name, overrides, tmp_path):
    recipe = load_recipe(
        name, [*FEW, *([] if any("task=" in o for o in overrides) else SIZES.get(name, [])), *overrides]
    )
    training, sent, seen = ours(recipe, tmp_path)
    task = training.task
    for index, (shown, gradients, model, evaluated) in enumerate(plain.train(recipe, NUM_STEPS)):
        measured = {
            n: sent[index][n] for n in sent[index] if n.startswith(("train/", "auxiliary/", "penalty/", "experts/"))
        }
        assert measured == shown, index
        assert same(seen[index][0], gradients), index
        assert same(seen[index][1], model.state_dict()), index
        if (index + 1) % 2 == 0:
            scores = plain.scores(recipe, evaluated, task)
            once = plain.scores(recipe, evaluated, task, iterations=1)
            scores["loops/gain"] = plain.quality(task, scores) - plain.quality(task, once)
            validated = {n: sent[index + 1][n] for n in scores}
            assert validated == pytest.approx(scores, rel=1e-12, abs=1e-12), index
            assert not shown.keys() & scores.keys(), "two quantities under one metric"
    assert any(shown["train/num_loops"] > 1 for shown in sent.values() if "train/num_loops" in shown) or name in (
        "fixed_depth", "mqar",
    )  # fmt: skip


def test_every_kind_of_term_is_in_a_case():
    """Components' own losses, penalties, and clipping on and off: a case without them would not miss them."""
    sums = {name: load_recipe(n, [*FEW, *o]) for name, (n, o) in VARIANTS.items()}
    assert any(Losses.of(recipe).penalties for recipe in sums.values())
    assert {0.0, 0.01} <= {recipe.training.gradient_clip for recipe in sums.values()}


def test_a_knock_out_is_what_the_trained_model_loses_without_the_component(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    few = ["training.max_steps=6", "training.schedule.warmup_steps=2", "evaluation.depth_factor=1"]
    result = run(load_recipe("openmythos", [*FEW, *SIZES["openmythos"], *few]))
    recipe, model, task = load_run(result.folder)
    whole, lost = plain.quality(task, plain.scores(recipe, model, task)), {}
    for slot in SLOTS:
        assert getattr(model.core, slot).kind != slot_info(slot).off
        with knocked_out(model.core, slot):
            lost[f"knockout/{slot}"] = whole - plain.quality(task, plain.scores(recipe, model, task))
    assert {name: result.metrics[name] for name in lost} == pytest.approx(lost, rel=1e-9, abs=1e-12)
    assert all(lost.values())
