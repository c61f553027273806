"""One pass shows what separate passes of every loop count come to."""

import pytest
import torch

from mythos_blocks import load_plugins
from mythos_lab.checks import Assembly
from mythos_lab.checks.counts import states_by_count
from mythos_lab.recipe.compose import validate
from mythos_lab.training.assembly import assemble
from tests.blocks.parts import kinds

load_plugins()
LOOPS = 5
PARTS = ("halting", "exit", "update", "injection", "depth_signal", "depth_adapter", "kv_policy", "interface")
MORE = {
    "layers in turn": {"depth": 2, "tying": "sequence"},
    "two states": {"kind": "hierarchical", "layer": "post_norm"},
    "a frozen position": {"halting": {"kind": "act", "halted_state": "frozen", "initial_bias": 0.0}},
}


def cores():
    for slot, kind in kinds(*PARTS):
        core = {slot: kind}
        if kind == "recursion_wise":
            core["halting"] = "token_choice"
        if kind == "token_choice":
            core = {"halting": {"kind": kind, "num_depths": LOOPS}}
        yield f"{slot}-{kind}", core
    yield from MORE.items()


CORES = dict(cores())


def assembly_of(core):
    core = {"loops": {"kind": "fixed", "num_loops": LOOPS}, **core}
    recipe = validate(
        {
            "name": "counts",
            "mask": "full",
            "model": {"width": 16, "core": core},
            "task": {
                "kind": "parity",
                "min_length": 2,
                "max_length": 6,
                "ood_range": 0,
                "validation_size": 8,
                "test_size": 8,
            },
            "training": {"batch_size": 4, "max_steps": 10},
            "evaluation": {"depth_factor": 1},
        },
        "test",
    )
    model, task = assemble(recipe)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    return Assembly(recipe, model.eval(), task, task.batch("train", range(4)))


@pytest.mark.parametrize("core", CORES.values(), ids=CORES)
def test_counts_of_one_pass_are_passes_of_their_own(core):
    assembly = assembly_of(core)
    model, real = assembly.model, assembly.batch.real_values
    rule = model.core.exit
    for num_loops, state in zip(range(1, LOOPS + 1), states_by_count(assembly, rule), strict=False):
        out = assembly.forward(num_loops)
        if model.core.halting.kind != "none":
            mass, alone = (real(torch.stack(each.weights).sum(0)) for each in (state.halting, out.halting))
            torch.testing.assert_close(mass, alone, rtol=0, atol=1e-6)
        logits, wanted = (real(model.read(each.readout, out.frame)) for each in (state.halting, out.halting))
        torch.testing.assert_close(logits, wanted, rtol=1e-5, atol=1e-5)
