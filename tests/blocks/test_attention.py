"""Every attention reads what its mask allows and nothing else."""

import pytest
import torch

from mythos_blocks import AttentionMask, Frame
from tests.blocks.parts import WIDTH, declarations, make, randn

ATTENTION = [declared for _, declared in declarations("attention") if declared["kind"] != "mixer"]
POSITIONS = 9


def readers(attention, frame, x):
    """Which positions' outputs change when one position's input does: ``(batch, queries, keys)``."""
    before = attention(x, frame)
    columns = []
    for position in range(x.shape[1]):
        changed = x.clone()
        changed[:, position] += randn(WIDTH, seed=100 + position)
        columns.append((attention(changed, frame) - before).abs().amax(-1) > 1e-5)
    return torch.stack(columns, dim=-1)


@torch.no_grad()
@pytest.mark.parametrize("declared", ATTENTION, ids=str)
def test_a_position_reads_exactly_those_up_to_itself(declared):
    attention = make("attention", declared)

    seen = readers(attention, Frame(), randn(2, POSITIONS, WIDTH))

    assert torch.equal(seen, torch.ones(2, POSITIONS, POSITIONS, dtype=torch.bool).tril())


@torch.no_grad()
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("masks", [1, 2], ids=["one mask", "a mask for each sequence"])
@pytest.mark.parametrize("declared", ATTENTION, ids=str)
def test_a_position_reads_exactly_those_that_the_task_allows(declared, masks, causal):
    attention = make("attention", declared)
    allowed = randn(masks, POSITIONS, POSITIONS, seed=5) > 0.4
    allowed |= torch.eye(POSITIONS, dtype=torch.bool)

    seen = readers(attention, Frame(AttentionMask(causal=causal, allowed=allowed)), randn(2, POSITIONS, WIDTH))

    wanted = allowed.tril() if causal else allowed
    assert torch.equal(seen, wanted.expand(2, -1, -1))


@torch.no_grad()
@pytest.mark.parametrize("declared", ATTENTION, ids=str)
def test_changing_the_future_leaves_the_past_bit_equal(declared):
    attention, x = make("attention", declared), randn(2, POSITIONS, WIDTH)
    changed = torch.cat((x[:, :5], randn(2, POSITIONS - 5, WIDTH, seed=1)), dim=1)

    before, after = attention(x), attention(changed)

    assert torch.equal(before[:, :5], after[:, :5])
    assert not torch.equal(before[:, 5:], after[:, 5:])


@torch.no_grad()
@pytest.mark.parametrize("declared", ATTENTION, ids=str)
def test_a_sequence_is_answered_alike_in_any_batch(declared):
    attention, x = make("attention", declared), randn(4, POSITIONS, WIDTH)

    together = attention(x)

    for i in range(4):
        torch.testing.assert_close(attention(x[i : i + 1])[0], together[i])


@torch.no_grad()
@pytest.mark.parametrize("declared", ATTENTION, ids=str)
def test_the_order_of_positions_matters_where_rotary_embedding_is_on(declared):
    attention, x = make("attention", declared), randn(1, POSITIONS, WIDTH)
    order = [3, 1, 0, 2, 4, 5, 6, 7, 8]
    everywhere = Frame(AttentionMask(causal=False))

    plain, shuffled = attention(x, everywhere), attention(x[:, order], everywhere)

    same = torch.allclose(plain[:, order], shuffled, atol=1e-5)
    assert same is (attention.rope_theta is None)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("declared", ATTENTION, ids=str)
def test_every_parameter_gets_gradient(declared, dtype):
    attention = make("attention", declared).to(dtype)

    out = attention(randn(2, POSITIONS, WIDTH).to(dtype))
    out.square().sum().backward()

    assert out.shape == (2, POSITIONS, WIDTH) and out.dtype is dtype
    for name, parameter in attention.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), name


@torch.no_grad()
@pytest.mark.parametrize("declared", ATTENTION, ids=str)
def test_bfloat16_is_near_float32(declared):
    attention, x = make("attention", declared, std=0.15), randn(2, POSITIONS, WIDTH).bfloat16()
    attention.bfloat16()

    half = attention(x)
    full = attention.float()(x.float())

    assert (half.float() - full).abs().max() <= 0.04 * full.abs().max()
