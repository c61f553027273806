"""One rotation of channel pairs, wherever one stands: equal to what each place computed for itself, bit by bit."""

import pytest
import torch

import mythos_blocks as mb
from mythos_blocks.tensors.rotation import rotate, turned
from tests.blocks.parts import WIDTH, make, randn


def by_hand(x, angles):
    even, odd, cos, sin = x[..., 0::2], x[..., 1::2], angles.cos(), angles.sin()
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)


@pytest.mark.parametrize("t", [0, 3, 1000])
def test_every_place_rotates_by_its_own_angles(t):
    x = randn(2, 5, WIDTH)
    positions = torch.arange(5) + t
    frequencies = 1.0 / 50.0 ** (torch.arange(0, WIDTH, 2) / WIDTH)
    assert torch.equal(rotate(x, positions, 50.0), by_hand(x, positions[:, None].float() * frequencies))

    signal = mb.Rotary(WIDTH, 4, num_channels=10)
    wanted = torch.cat((by_hand(x[..., :10], t * signal.frequencies), x[..., 10:]), dim=-1)
    assert torch.equal(signal.transform(x, t), wanted)

    depth = make("depth_attention", {"kind": "own_token", "num_heads": 2})
    angles = t * 100.0 ** -(torch.arange(0, WIDTH // 2, 2, dtype=torch.float32) / (WIDTH // 2))
    frame = mb.Frame(t=t, index=torch.tensor(t))
    q, k, v = (linear(x).unflatten(-1, (2, -1)) for linear in (depth.q, depth.k, depth.v))
    assert torch.equal(depth._coded(depth.q(x), t).unflatten(-1, (2, -1)), by_hand(q, angles))
    torch.testing.assert_close(depth(x, frame), depth.out(v.flatten(-2)))

    experts = make("feedforward", "expert_attention")
    query = torch.nn.functional.rms_norm(experts.query(x.flatten(0, 1)), (experts.keys.shape[1],))
    scores = by_hand(query, t * experts.frequencies) @ experts.keys.T * experts.keys.shape[1] ** -0.5
    chosen = experts.choose(scores)
    weights = torch.nn.functional.logsigmoid(scores).gather(-1, chosen).softmax(-1)
    assert torch.equal(experts(x, frame), experts.dispatch(x.flatten(0, 1), chosen, weights).view_as(x))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("pairing", ["interleaved", "halves"])
def test_a_rotation_keeps_lengths_and_dtype_and_is_rounded_once(dtype, pairing):
    x, angles = randn(3, 8).to(dtype), torch.arange(4) * 0.7

    out = turned(x, angles, pairing)

    assert out.dtype is dtype
    exact = turned(x.double(), angles.double(), pairing)
    assert (out.double() - exact).abs().max() <= torch.finfo(dtype).eps * exact.abs().max() * (
        1 if dtype.itemsize < 4 else 4
    )
    torch.testing.assert_close(exact.norm(dim=-1), x.double().norm(dim=-1))
