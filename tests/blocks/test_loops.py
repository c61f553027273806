"""Every loop sampler draws what it reports, and reports what was declared."""

import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import mythos_blocks as mb
from tests.blocks.parts import declarations, deterministic, make

SAMPLERS = [declared for _, declared in declarations("loops")]
NUM_DRAWS = 20_000


def draws(sampler, seed=0, number=NUM_DRAWS):
    generator = torch.Generator().manual_seed(seed)
    return torch.tensor([sampler.sample(generator) for _ in range(number)], dtype=torch.float64)


@pytest.mark.parametrize("declared", SAMPLERS, ids=str)
def test_probabilities_sum_to_one_and_zero_loops_has_none(declared):
    pmf = make("loops", declared).pmf()

    assert pmf.dtype is torch.float64 and pmf[0] == 0 and (pmf >= 0).all()
    assert float(pmf.sum()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("declared", SAMPLERS, ids=str)
def test_draws_follow_the_probabilities(declared):
    sampler = make("loops", declared)
    drawn, pmf = draws(sampler), sampler.pmf()
    counts = torch.arange(len(pmf), dtype=torch.float64)

    deviation = float((pmf * (counts - sampler.mean) ** 2).sum()) ** 0.5
    assert abs(float(drawn.mean()) - sampler.mean) <= 4 * deviation / NUM_DRAWS**0.5 + 1e-9
    frequencies = torch.bincount(drawn.long(), minlength=len(pmf)) / NUM_DRAWS
    assert ((frequencies - pmf).abs() <= 5 * (pmf * (1 - pmf) / NUM_DRAWS).sqrt() + 1e-4).all()
    assert 1 <= drawn.min() and drawn.max() <= sampler.max_loops


@pytest.mark.parametrize("q", [0.05, 0.25, 0.5, 0.75, 0.95, 1.0])
@pytest.mark.parametrize("declared", SAMPLERS, ids=str)
def test_a_quantile_is_the_least_count_that_reaches_it(declared, q):
    sampler = make("loops", declared)
    cdf = sampler.pmf().cumsum(0)
    count = sampler.quantile(q)

    assert cdf[count] >= q - 1e-9 and cdf[count - 1] < q
    drawn = draws(sampler)
    assert float((drawn <= count).double().mean()) >= q - 0.015
    assert float((drawn < count).double().mean()) <= q + 0.015


@pytest.mark.parametrize("declared", SAMPLERS, ids=str)
def test_one_generator_seed_gives_one_sequence_of_draws(declared):
    sampler, again = make("loops", declared), make("loops", declared)

    assert torch.equal(draws(sampler, 3, 200), draws(again, 3, 200))
    if (sampler.pmf() > 0.01).sum() > 1:
        assert not torch.equal(draws(sampler, 3, 200), draws(sampler, 4, 200))


@pytest.mark.parametrize("draw", [0.0, 1 - 2**-53])
@pytest.mark.parametrize("declared", SAMPLERS, ids=str)
def test_the_extreme_draws_give_loop_counts_of_nonzero_probability(declared, draw, monkeypatch):
    sampler = make("loops", declared)
    monkeypatch.setattr(torch, "rand", lambda *args, **kwargs: torch.tensor(draw, dtype=torch.float64))

    assert sampler.pmf()[sampler.sample(torch.Generator())] > 0


@pytest.mark.parametrize("declared", SAMPLERS, ids=str)
def test_evaluation_runs_the_rounded_mean(declared):
    sampler = make("loops", declared)

    assert sampler.eval_loops == round(sampler.mean) >= 1
    core = {"loops": declared}
    assert mb.LoopedTransformer(5, width=8, core=core)(torch.zeros(1, 1).long()).num_loops == sampler.eval_loops


def test_evaluation_runs_what_is_declared_for_it():
    """Huginn draws counts of mean 33 and evaluates at 32; a curriculum evaluates as what it grows to."""
    declared = {"kind": "poisson_lognormal", "mean": 33.0, "eval_loops": 32}
    for sampler in (make("loops", declared), make("loops", {"kind": "curriculum", "base": declared})):
        assert sampler.eval_loops == 32 and sampler.mean == pytest.approx(33)


@pytest.mark.parametrize("declared", SAMPLERS, ids=str)
def test_a_sampler_made_on_the_meta_device_is_the_same_sampler(declared):
    with torch.device("meta"):
        sampler = make("loops", declared)
        described = sampler.mean, sampler.max_loops, sampler.eval_loops

    assert described == (make("loops", declared).mean, make("loops", declared).max_loops, sampler.eval_loops)
    assert sampler.sample(torch.Generator().manual_seed(0)) >= 1


@deterministic
@given(
    mean=st.floats(1, 40),
    sigma=st.floats(0.01, 4),
    maximum=st.one_of(st.none(), st.integers(1, 160)),
)
def test_poisson_lognormal_has_the_declared_mean_or_is_refused(mean, sigma, maximum):
    try:
        sampler = mb.PoissonLognormal(mean=mean, sigma=sigma, maximum=maximum)
    except ValueError as error:
        assert "maximum" in str(error)
        return

    assert sampler.mean == pytest.approx(mean, rel=1e-6)
    assert maximum is None or sampler.max_loops == maximum


@deterministic
@given(mean=st.floats(1, 40), sigma=st.floats(0.01, 1))
def test_poisson_lognormal_is_not_refused_where_it_is_used(mean, sigma):
    sampler = mb.PoissonLognormal(mean=mean, sigma=sigma)

    assert sampler.mean == pytest.approx(mean, rel=1e-9) and sampler.max_loops >= 4 * mean


@deterministic
@given(mean=st.floats(1.5, 20), sigma=st.floats(0.05, 1), seed=st.integers(0, 2**16))
def test_poisson_lognormal_draws_average_to_the_declared_mean(mean, sigma, seed):
    sampler = mb.PoissonLognormal(mean=mean, sigma=sigma)
    drawn = draws(sampler, seed, 2000)
    counts = torch.arange(sampler.max_loops + 1, dtype=torch.float64)
    deviation = float((sampler.pmf() * (counts - mean) ** 2).sum()) ** 0.5
    assume(deviation > 0)

    assert abs(float(drawn.mean()) - mean) <= 4.5 * deviation / 2000**0.5


@pytest.mark.parametrize("sigma", [0.1, 0.25, 0.5])
def test_poisson_lognormal_spreads_as_one_plus_a_poisson_with_lognormal_rate(sigma):
    """Var = E[rate] + E[rate]^2 * (exp(sigma^2) - 1), where the tail is cut far out."""
    sampler = mb.PoissonLognormal(mean=9.0, sigma=sigma, maximum=400)
    counts = torch.arange(sampler.max_loops + 1, dtype=torch.float64)

    variance = float((sampler.pmf() * (counts - 9) ** 2).sum())

    assert variance == pytest.approx(8 + 64 * (math.exp(sigma**2) - 1), rel=0.02)


def test_a_mean_that_no_rate_reaches_is_refused_with_its_numbers():
    with pytest.raises(
        ValueError, match="no negative_binomial has mean=7.9, dispersion=4.0 with the tail cut at 8; raise"
    ):
        mb.NegativeBinomial(mean=7.9, maximum=8)
    with pytest.raises(ValueError, match="no poisson_lognormal has mean=7.9999999, sigma=0.5 with the tail cut at 8"):
        mb.PoissonLognormal(mean=7.9999999, maximum=8)
    with pytest.raises(ValueError, match="maximum=4 must exceed mean=5"):
        mb.PoissonLognormal(mean=5.0, maximum=4)
    with pytest.raises(ValueError, match="low=3 exceeds high=2"):
        mb.Uniform(low=3, high=2)


@deterministic
@given(low=st.integers(1, 20), extra=st.integers(0, 20))
def test_uniform_draws_every_count_from_low_to_high_alike(low, extra):
    pmf = mb.Uniform(low=low, high=low + extra).pmf()

    assert not pmf[:low].any() and len(pmf) == low + extra + 1
    assert torch.allclose(pmf[low:], torch.full((extra + 1,), 1 / (extra + 1), dtype=torch.float64))


@deterministic
@given(num_loops=st.integers(1, 50), window=st.one_of(st.none(), st.integers(1, 50)))
def test_the_window_is_never_longer_than_the_loop(num_loops, window):
    sampler = mb.Fixed(num_loops=num_loops, gradient_window=window)

    assert sampler.window(num_loops) == (num_loops if window is None else min(num_loops, window))
