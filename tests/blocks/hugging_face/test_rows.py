"""Padding, packing and masks: a sequence is what it is alone, wherever it stands."""

import pytest
import torch

from tests.blocks.hugging_face.declarations import DECLARATIONS, made
from tests.blocks.parts import tokens

LENGTHS = (3, 5, 1)
IDS = tokens(batch=2, positions=sum(LENGTHS))
PACKED = torch.cat([torch.arange(n) for n in LENGTHS])[None]
BLOCKS = torch.block_diag(*(torch.ones(n, n) for n in LENGTHS)).tril().bool()[None, None]


def apart(model, **given):
    return torch.cat([model(part, use_cache=False, **given).logits for part in IDS.split(LENGTHS, dim=1)], dim=1)


@pytest.fixture(scope="module", params=DECLARATIONS)
def model(request):
    return made(request.param)


@torch.no_grad()
def test_packed_rows_are_their_sequences(model):
    for positions in (PACKED, PACKED[0], PACKED.expand(2, -1)):
        out = model(IDS, position_ids=positions, output_hidden_states=True)
        torch.testing.assert_close(out.logits, apart(model), rtol=1e-5, atol=1e-5)
    assert out.past_key_values is None and all(x.shape[:2] == IDS.shape for x in out.hidden_states)
    assert out.loops_run.shape == IDS.shape
    assert float((model(IDS).logits - out.logits).abs().max()) > 1e-3


@torch.no_grad()
def test_rows_may_be_packed_differently_and_run_loop_counts_of_their_own(model):
    positions = torch.stack([PACKED[0], torch.arange(9)])

    out = model(IDS, position_ids=positions, iterations=torch.tensor([1, 2]))

    torch.testing.assert_close(out.logits[:1], apart(model, num_loops=1)[:1], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(out.logits[1:], model(IDS[1:], num_loops=2).logits, rtol=1e-5, atol=1e-5)


def test_gradients_of_packed_rows_are_those_of_their_sequences():
    model = made("openmythos")
    weights = torch.randn(2, 9, 1, generator=torch.Generator().manual_seed(0))
    gradients = []
    for logits in (model(IDS, position_ids=PACKED).logits, apart(model)):
        model.zero_grad()
        (logits * weights).sum().backward()
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])

    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_mask_by_heads_binds_or_is_refused(model):
    forms = (
        BLOCKS,
        BLOCKS.expand(2, -1, -1, -1),
        torch.where(BLOCKS, 0.0, torch.finfo(torch.float32).min),
        BLOCKS.long(),
    )
    for mask in forms:
        try:
            out = model(IDS, position_ids=PACKED, attention_mask=mask)
        except ValueError as error:
            assert "separable_convolution" in str(error) and "\n" not in str(error)
        else:
            torch.testing.assert_close(out.logits, apart(model), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
@torch.no_grad()
def test_padding_changes_nothing(model, side):
    mask = torch.ones_like(IDS)
    mask[0, slice(0, 4) if side == "left" else slice(5, 9)] = 0

    out = model(IDS, attention_mask=mask).logits

    alone = model(IDS[:1, 4:] if side == "left" else IDS[:1, :5]).logits
    torch.testing.assert_close(out[:1][mask[:1].bool()], alone[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(out[1:], model(IDS[1:]).logits, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_where_a_model_reads_its_positions_it_reads_those_that_are_given():
    model = made("universal_transformer")  # whose signal is of the position itself

    moved = model(IDS, position_ids=torch.arange(9)[None] + 5).logits

    assert float((moved - model(IDS).logits).abs().max()) > 1e-3
    past = model(IDS[:, :4], position_ids=torch.arange(4)[None] + 5).past_key_values
    rest = model(IDS[:, 4:], position_ids=torch.arange(4, 9)[None] + 5, past_key_values=past).logits
    torch.testing.assert_close(rest, moved[:, 4:], rtol=1e-5, atol=1e-5)
