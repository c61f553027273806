"""Sampling: each filter against its definition in NumPy, and draws against the inverse of the distribution."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mythos_blocks.generation import Sampling
from tests.blocks.parts import deterministic, randn

LOGITS = randn(6, 29, seed=3) * 3


def softmax(logits):
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def by_definition(logits, temperature=1.0, top_k=None, top_p=None, min_p=None):
    """One row: the filters one after the other, a loop over tokens each."""
    p = softmax(logits / temperature)
    if top_k is not None:
        kth = sorted(p, reverse=True)[min(top_k, len(p)) - 1]
        p = np.array([x if x >= kth else 0 for x in p])
        p = p / p.sum()
    if top_p is not None:
        kept, mass = np.zeros_like(p), 0.0
        for i in sorted(range(len(p)), key=lambda i: (-p[i], i)):
            if mass >= top_p:
                break
            kept[i], mass = p[i], mass + p[i]
        p = kept / kept.sum()
    if min_p is not None:
        p = np.array([x if x >= min_p * p.max() else 0 for x in p])
        p = p / p.sum()
    return p


FIELDS = [
    {},
    {"temperature": 0.5},
    {"temperature": 3.0},
    {"top_k": 1},
    {"top_k": 5},
    {"top_k": 29},
    {"top_k": 1000},
    {"top_p": 0.1},
    {"top_p": 0.75},
    {"top_p": 1.0},
    {"min_p": 0.0},
    {"min_p": 0.2},
    {"min_p": 1.0},
    {"temperature": 1.7, "top_k": 9, "top_p": 0.8, "min_p": 0.15},
]


@pytest.mark.parametrize("fields", FIELDS, ids=str)
def test_the_distribution_is_its_definition(fields):
    got = Sampling(**fields).probabilities(LOGITS).numpy()
    for row, logits in zip(got, LOGITS.double().numpy(), strict=True):
        np.testing.assert_allclose(row, by_definition(logits, **fields), rtol=1e-9, atol=1e-12)


@deterministic
@given(
    st.lists(st.sampled_from([-4.0, -1.0, 0.0, 0.5, 2.0]), min_size=1, max_size=12),
    st.sampled_from([0.25, 1.0, 2.0]),
    st.none() | st.integers(1, 15),
    st.none() | st.sampled_from([0.17, 0.49, 0.93]),
    st.none() | st.sampled_from([0.0, 0.13, 0.7]),
)
def test_the_definition_holds_with_ties_and_filters_together(logits, temperature, top_k, top_p, min_p):
    fields = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
    got = Sampling(**fields).probabilities(torch.tensor([logits], dtype=torch.float64)).numpy()[0]
    np.testing.assert_allclose(got, by_definition(np.array(logits), **fields), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("fields", FIELDS, ids=str)
def test_a_draw_is_the_token_at_which_the_cumulative_distribution_passes_the_uniform_number(fields):
    sampling = Sampling(**fields)
    edges = [0.0, 1e-12, 0.25, 0.5, 0.999, 1 - 2**-53]
    for row in range(len(LOGITS)):
        cumulative = np.cumsum(by_definition(LOGITS[row].double().numpy(), **fields))
        for u in edges:
            wanted = next(i for i, c in enumerate(cumulative / cumulative[-1]) if c > u)
            drawn = sampling.draw(LOGITS[row : row + 1], torch.tensor([u], dtype=torch.float64))
            assert drawn.tolist() == [wanted]


def test_an_even_grid_of_uniform_numbers_gives_each_token_its_share():
    sampling, num = Sampling(top_k=6, temperature=2.0), 20_000
    uniform = (torch.arange(num, dtype=torch.float64) + 0.5) / num
    drawn = sampling.draw(LOGITS[:1].expand(num, -1), uniform)
    share = torch.bincount(drawn, minlength=29) / num
    torch.testing.assert_close(share.double(), sampling.probabilities(LOGITS[0]), rtol=0, atol=1.5 / num)


def test_temperature_zero_takes_the_most_probable_whatever_is_filtered():
    for fields in ({}, {"top_k": 3}, {"top_p": 0.4}, {"min_p": 0.9}):
        drawn = Sampling(temperature=0, **fields).draw(LOGITS, torch.linspace(0, 0.99, 6).double())
        assert torch.equal(drawn, LOGITS.argmax(-1))


def test_a_filter_never_leaves_nothing_and_no_temperature_overflows():
    extreme = torch.tensor([[1e30, -1e30, 0.0], [-torch.inf, 0.0, -torch.inf], [3e38, 3e38, 0.0]])
    for fields in ({"temperature": 1e-30}, {"temperature": 1e30}, {"top_p": 1e-9}, {"min_p": 1.0}, {"top_k": 1}):
        p = Sampling(**fields).probabilities(extreme)
        assert p.isfinite().all()
        torch.testing.assert_close(p.sum(-1), torch.ones(3, dtype=torch.float64))


def test_half_precision_logits_are_filtered_in_full_precision():
    p = Sampling(top_p=0.9).probabilities(LOGITS.bfloat16())
    assert p.dtype == torch.float64
    torch.testing.assert_close(p.sum(-1), torch.ones(6, dtype=torch.float64))


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"temperature": -1.0}, "temperature=-1.0"),
        ({"temperature": float("nan")}, "temperature=nan"),
        ({"temperature": float("inf")}, "temperature=inf"),
        ({"top_k": 0}, "top_k=0"),
        ({"top_p": 0.0}, "top_p=0.0"),
        ({"top_p": 1.1}, "top_p=1.1"),
        ({"top_p": float("nan")}, "top_p=nan"),
        ({"min_p": -0.1}, "min_p=-0.1"),
        ({"min_p": 2.0}, "min_p=2.0"),
    ],
)
def test_fields_out_of_range_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        Sampling(**fields)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_no_numbers_are_refused(value, temperature):
    logits = LOGITS.clone()
    logits[2, 4] = value
    with pytest.raises(ValueError, match="not finite"):
        Sampling(temperature=temperature).probabilities(logits)
