"""Parity with OpenMythos 0.5.0 where every weight is random, at every loop count, forward and backward."""

import pytest
import torch

from tests.parity.open_mythos import in_float64, ours, published_model, translate, with_weights

TOKENS = torch.randint(0, 61, (2, 11), generator=torch.Generator().manual_seed(1))
LOOPS = (1, 4, 16)
EACH = pytest.mark.parametrize("attention", ["gqa", "mla"])


@torch.no_grad()
def pair(attention, *, bias, seed=None, num_loops=16):
    """Both models with the published weights; with a seed, all of them random and the router bias moved."""
    theirs = published_model(attention, halting_bias=bias, num_loops=num_loops)
    if seed is not None:
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in theirs.named_parameters():
            if name == "recurrent.act.halt.bias":
                continue
            noise = torch.randn(parameter.shape, generator=generator)
            if name == "embed.weight":
                parameter.copy_(noise)
            elif parameter.dim() == 1:  # gains, log_A, log_dt, B
                parameter.add_(0.3 * noise)
            else:
                parameter.copy_(noise * parameter.shape[-1] ** -0.5)
        theirs.recurrent.block.ffn.router_bias.normal_(generator=generator)
    return theirs, with_weights(ours(attention, num_loops), theirs)


def error(value, wanted):
    """The largest difference against the largest value, or against 1e-6 where all values are smaller."""
    return float((value - wanted).abs().max() / wanted.abs().max().clamp_min(1e-6))


@EACH
def test_every_published_parameter_is_mapped_and_every_one_of_ours_filled(attention):
    theirs, mine = pair(attention, bias=0.0, seed=0)

    values = translate(dict(theirs.named_parameters()))
    values.pop("head.weight", None)  # one tensor with the embedding, there and here

    assert set(values) == set(dict(mine.named_parameters()))
    for name, parameter in mine.named_parameters():
        assert torch.equal(parameter, values[name]), name
    assert sum(p.numel() for p in theirs.parameters()) == sum(p.numel() for p in mine.parameters())
    assert torch.equal(mine.core.layers[0].feedforward.bias, theirs.recurrent.block.ffn.router_bias)
    assert mine.head.weight is mine.embedding.weight and theirs.head.weight is theirs.embed.weight


@EACH
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("num_loops", LOOPS)
@pytest.mark.parametrize("bias", [-3.0, -6.0])
@torch.no_grad()
def test_logits_are_equal_where_every_weight_is_random_and_large(attention, bias, num_loops, seed):
    theirs, mine = pair(attention, bias=bias, seed=seed)

    wanted = theirs(TOKENS, num_loops)

    assert wanted.std() > 1, "the weights are meant to be large"
    assert error(mine(TOKENS, iterations=num_loops).logits, wanted) <= 1e-5


@EACH
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("num_loops", LOOPS)
@pytest.mark.parametrize("bias", [0.0, -3.0, -6.0])
@torch.no_grad()
def test_logits_are_equal_at_initialisation_whichever_loops_run(attention, bias, num_loops, training):
    theirs, mine = (m.train(training) for m in pair(attention, bias=bias))

    difference = (mine(TOKENS, iterations=num_loops).logits - theirs(TOKENS, num_loops)).abs().max()

    assert difference <= 1e-5


@EACH
@torch.no_grad()
def test_logits_are_equal_beyond_the_trained_loops(attention):
    theirs, mine = pair(attention, bias=-6.0, seed=0, num_loops=4)

    wanted = theirs(TOKENS, 9)

    assert error(mine(TOKENS, iterations=9).logits, wanted) <= 1e-5
    assert error(theirs(TOKENS, 4), wanted) > 1e-3


def gradients(theirs, mine, num_loops):
    """What backward leaves, by our names: theirs and ours."""
    direction = torch.randn(*TOKENS.shape, 61, generator=torch.Generator().manual_seed(2))
    (theirs(TOKENS, num_loops) * direction).sum().backward()
    (mine(TOKENS, iterations=num_loops).logits * direction).sum().backward()
    unused = [n for n, p in theirs.named_parameters() if p.grad is None]
    assert all("routed_experts" in name for name in unused)
    wanted = {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in theirs.named_parameters()}
    return translate(wanted), {n: p.grad for n, p in mine.named_parameters()}


CASES = [
    EACH,
    pytest.mark.parametrize("seed", [None, 0], ids=["at initialisation", "every weight random"]),
    pytest.mark.parametrize("num_loops", LOOPS),
    pytest.mark.parametrize("bias", [0.0, -3.0, -6.0]),
]


def in_each_case(test):
    for mark in CASES:
        test = mark(test)
    return test


@in_each_case
@pytest.mark.filterwarnings("ignore:Casting complex")
def test_gradients_of_all_parameters_are_equal(attention, bias, num_loops, seed, monkeypatch):
    """In float64: the gradient of a scalar is a sum of thousands, which may cancel to less than float32 rounds."""
    theirs, mine = in_float64(*pair(attention, bias=bias, seed=seed), monkeypatch)

    wanted, got = gradients(theirs, mine, num_loops)

    for name, gradient in got.items():
        assert gradient.dtype is torch.float64
        assert error(gradient, wanted[name]) <= 1e-10, name


@in_each_case
def test_gradients_of_matrices_and_vectors_are_equal_in_float32(attention, bias, num_loops, seed):
    wanted, got = gradients(*pair(attention, bias=bias, seed=seed), num_loops)

    for name, gradient in got.items():
        if gradient.numel() > 1:
            assert error(gradient, wanted[name]) <= 1e-4, name
