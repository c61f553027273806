"""What a model is that has the component in it: it learns, is what its seed says, and looks ahead nowhere."""

from __future__ import annotations

import torch

import mythos_blocks as mb
from mythos_blocks.testing.case import PLACES, POSITIONS, VOCAB, WIDTH, Case, contract, tokens

_LEARNING = tuple(slot for slot in PLACES if slot != "exit")
"""Slots with a place in the pass of a training step."""


@contract(*_LEARNING)
def its_model_learns_everywhere(case: Case) -> None:
    """Two steps bring gradient to every parameter; those behind a matrix of zeros get theirs once it has moved."""
    model, read = case.model(), tokens()
    for _ in range(2):
        model.zero_grad()
        out = model(read, case.mask, max(3, model.core.loops.max_loops), record=True)
        loss = case.objective.loss(model, out, read)
        (loss if out.auxiliary_loss is None else loss + out.auxiliary_loss).backward()
        for parameter in model.parameters():
            if parameter.dim() >= 2 and not parameter.any() and parameter.grad is not None and parameter.grad.any():
                parameter.data.normal_(std=0.02)
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not idle, f"no gradient reaches {', '.join(idle)}"


@contract(*_LEARNING)
def its_model_is_what_its_seed_says(case: Case) -> None:
    """The same declaration has the same weights, another seed has others, and all of it exists without memory."""
    model, again = case.model(), case.model()
    pairs = list(zip(model.named_parameters(), again.parameters(), strict=True))
    unlike = [name for (name, one), other in pairs if not torch.equal(one, other)]
    assert not unlike, f"{', '.join(unlike)} differ between two models of one seed"
    model.initialize(1)
    assert any(not torch.equal(one, other) for (_, one), other in pairs), "another seed changes nothing"
    with torch.device("meta"):
        meta = model.spec.build(VOCAB)
    assert sum(p.numel() for p in meta.parameters()) == sum(p.numel() for p in model.parameters())
    assert meta(tokens().to("meta"), case.mask, 2).logits.shape == (*tokens().shape, VOCAB)


@contract(*PLACES)
@torch.no_grad()
def evaluation_is_deterministic_and_runs_no_more_loops_than_asked(case: Case) -> None:
    """Two passes agree to the bit, and between one iteration and as many as are asked for are run."""
    model, read = case.model().eval(), tokens()
    for num_loops in (1, 5):
        out = model(read, case.mask, num_loops)
        assert torch.equal(out.logits, model(read, case.mask, num_loops).logits), "two passes differ"
        most = num_loops * len(model.core.layers)
        assert 1 <= int(out.executed.min()) and int(out.executed.max()) == out.num_loops <= most


@contract(*(slot for slot in _LEARNING if slot not in ("loops", "initialization")))
@torch.no_grad()
def its_model_looks_ahead_nowhere(case: Case) -> None:
    """What a position predicts does not depend on later ones, and does on its own token."""
    if not case.causal:
        return
    model, read = case.model().eval(), tokens()
    changed = read.clone()
    changed[:, 6] = (changed[:, 6] + 1) % VOCAB
    before, after = model(read).logits, model(changed).logits
    torch.testing.assert_close(before[:, :6], after[:, :6], rtol=0, atol=1e-5)
    assert (before[:, 6:] - after[:, 6:]).abs().max() > 1e-6, "a token changes nothing at its own position"


@contract("attention", "feedforward", "injection", "halting")
def its_model_runs_in_bfloat16(case: Case) -> None:
    """With weights and states in bfloat16 its logits are numbers."""
    assert case.model().to(torch.bfloat16)(tokens(), case.mask).logits.isfinite().all()


@contract("norm", "attention", "feedforward", "layer")
def it_keeps_dtype_and_shape(case: Case) -> None:
    """A state comes back as it was but for its numbers: ``(batch, positions, width)`` of the same dtype."""
    x = torch.randn(2, POSITIONS, WIDTH, generator=torch.Generator().manual_seed(1))
    frame = () if case.slot == "norm" else (mb.Frame(case.mask),)
    for dtype in (torch.float32, torch.bfloat16):
        out = case.alone().to(dtype)(x.to(dtype), *frame)
        assert out.shape == x.shape and out.dtype == dtype, f"{tuple(out.shape)} of {out.dtype}"
