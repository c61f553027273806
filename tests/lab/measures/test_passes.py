"""One pass serves all loop counts: it gives the numbers of each one's own."""

import torch

import mythos_blocks as mb
from mythos_blocks.core.prefixes import prefixes
from mythos_blocks.core.straight import StraightPass
from mythos_blocks.declaring.registry import slot_info
from mythos_blocks.frame.inlining import by_module
from mythos_lab.measures.passes import passes
from mythos_lab.recipe import load_recipe
from mythos_lab.recipe.step import updates_of
from mythos_lab.tasks import IGNORE
from mythos_lab.tasks.base import Batch
from tests.blocks import random_cores

COUNTS = [1, 2, 3, 6]
EXITS = {"kl": {"threshold": 0.1}, "cosine": {"threshold": 0.1}, "argmax": {}}
RECIPE = load_recipe("looped")


def models(seeds=range(120)):
    """Random cores, and what of a pass is not fixed by its loop count added to some."""
    for seed in seeds:
        model = random_cores.build(seed)
        if model is not None:
            if seed % 4 == 0 and model.core.tying == "cycle":
                kind = list(EXITS)[seed // 4 % len(EXITS)]
                model.core.exit = slot_info("exit").kinds[kind](model.core.state_width, **EXITS[kind])
            yield seed, model.eval()


def test_a_count_that_shares_its_pass_comes_to_the_same_numbers():
    """To rounding: a pass of its own may run past the modules, and one that is shared records its states."""
    tokens = random_cores.tokens(0)
    targets = tokens.masked_fill(torch.tensor([[True, False, False, True, False, False]]), IGNORE)
    batch, differ, ended_early = Batch(tokens, targets), [], 0
    for seed, model in models():
        for count, (logits, state) in zip(COUNTS, passes(model, batch, RECIPE, COUNTS), strict=True):
            with torch.no_grad():
                alone = model(tokens, iterations=count, logits_at=targets != IGNORE)
            same = (
                torch.allclose(logits, alone.logits, rtol=1e-12, atol=1e-12)
                and torch.equal(state.executed, alone.executed)
                and torch.equal(state.halting.depth_read(), alone.halting.depth_read())
                and torch.equal(updates_of(state), updates_of(alone))
            )
            if not same:
                differ.append((seed, count))
            ended_early += int(alone.executed.max()) < count
    assert not differ and ended_early


def test_prefixes_past_the_modules_are_those_of_steps(monkeypatch):
    """To the bit, whatever the parts: the same states, read alike, and the same said of what has run."""
    ran, differ, seen, go_on = [], [], set(), StraightPass.go_on
    monkeypatch.setattr(StraightPass, "go_on", lambda self, *ends: ran.append(self) or go_on(self, *ends))
    tokens = random_cores.tokens(0)
    for seed, model in models(range(1, 200, 2)):
        with torch.no_grad():
            frame = mb.Frame(tokens=tokens)
            e, ran_before = model.encode(tokens, frame), len(ran)
            fast = list(prefixes(model.core, e, frame, COUNTS, read=model.read))
            if len(ran) == ran_before or model.core.tying == "sequence":
                continue
            with by_module():
                plain = list(prefixes(model.core, e, frame, COUNTS, read=model.read))
        core = model.core
        seen |= {core.injection.kind, core.update.kind, core.depth_signal.kind, core.depth_adapter.kind}
        for count, one, other in zip(COUNTS, fast, plain, strict=True):
            same = torch.equal(one.h, other.h) and torch.equal(one.halting.readout, other.halting.readout)
            same &= torch.equal(one.executed, other.executed) and one.num_loops == other.num_loops == count
            if not same or not torch.equal(torch.stack(one.halting.weights), torch.stack(other.halting.weights)):
                differ.append((seed, count, float((one.h - other.h).abs().max())))
    assert not differ and len(seen) > 12


def test_one_pass_runs_as_many_iterations_as_the_largest_count(monkeypatch):
    ran = []
    plain = mb.Loop._iterate
    monkeypatch.setattr(mb.Loop, "_iterate", lambda self, *args: ran.append(1) or plain(self, *args))
    model = mb.LoopedTransformer(11, width=16).eval()
    tokens = torch.zeros(2, 4, dtype=torch.long)
    assert len(list(passes(model, Batch(tokens, tokens), RECIPE, COUNTS))) == 4 and len(ran) == COUNTS[-1]
