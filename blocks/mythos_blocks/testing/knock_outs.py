"""What is left of a model when its component is taken out."""

from __future__ import annotations

import torch

import mythos_blocks as mb
from mythos_blocks.declaring.registry import slot_info
from mythos_blocks.testing.case import CORE_SLOTS, Case, contract, model_with, randomise, tokens

SLOTS = ("depth_adapter", "depth_signal", "halting", "injection", "interface", "kv_policy", "update")
"""Slots whose component computes something else than its off kind: the initial state needs an injection beside it, and
gradient, stabiliser and exit act in training alone, or outside of it."""

assert set(SLOTS) <= CORE_SLOTS


@contract(*SLOTS)
def knocked_out_its_model_is_the_one_without_it(case: Case) -> None:
    """Its off kind in its place gives the bits of a model that never had it, and afterwards it is there again."""
    off = slot_info(case.slot).off
    if case.kind == off:
        return
    model, read = case.model().eval(), tokens()
    without = model_with(case.slot, off, **case.core).eval()
    part = getattr(model.core, case.slot)
    randomise(part, std=0.2)
    differs = False
    for bias in (3.0, -3.0) if case.slot == "halting" else (None,):  # so that it halts within the loops that are run
        for parameter in part.parameters() if bias is not None else ():
            if parameter.numel() == 1:
                parameter.data.fill_(bias)
        without.load_state_dict({k: v for k, v in model.state_dict().items() if k in without.state_dict()})
        with torch.no_grad():
            trained, plain = model(read, iterations=6).logits, without(read, iterations=6).logits
            with mb.knocked_out(model.core, case.slot):
                assert torch.equal(model(read, iterations=6).logits, plain), "something of it is left"
            assert torch.equal(model(read, iterations=6).logits, trained), "it did not come back"
        differs |= not torch.equal(trained, plain)
    assert differs or not case.off_differs, f"it computes what {off!r} does"
