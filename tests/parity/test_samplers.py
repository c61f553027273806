"""Samplers against the published distributions, and the published defects by name."""

import math

import pytest
import torch

import mythos_blocks as mb


def spread(pmf):
    counts = torch.arange(len(pmf), dtype=torch.float64)
    mean = float((pmf * counts).sum())
    return mean, math.sqrt(float((pmf * (counts - mean) ** 2).sum()))


def test_huginns_sampler_draws_one_loop_more_than_its_field_says():
    published = mb.PoissonLognormal(mean=33.0, sigma=0.5, maximum=400)
    mean, deviation = spread(published.pmf())
    assert mean == pytest.approx(33.0, abs=1e-6) and deviation == pytest.approx(18, abs=0.5)
    assert published.quantile(0.5) == 29
    assert (published.quantile(0.05), published.quantile(0.95), published.quantile(0.99)) == (12, 67, 94)


@pytest.mark.parametrize("sigma", [0.25, 0.5, 1.0])
def test_the_mixture_has_the_variance_of_a_poisson_with_a_log_normal_rate(sigma):
    sampler = mb.PoissonLognormal(mean=9.0, sigma=sigma, maximum=4000)
    rate = 8.0
    wanted = rate + rate**2 * (math.exp(sigma**2) - 1)
    assert spread(sampler.pmf())[1] ** 2 == pytest.approx(wanted, rel=2e-3)


def test_parcaes_sampler_is_a_poisson_of_at_least_one():
    published = mb.Poisson(mean=8 + math.exp(-8), maximum=60)
    k = torch.arange(61, dtype=torch.float64)
    poisson = torch.exp(k * math.log(8) - 8 - torch.lgamma(k + 1))
    poisson[1] += poisson[0]
    poisson[0] = 0
    torch.testing.assert_close(published.pmf(), poisson / poisson.sum(), atol=1e-9, rtol=0)
    mean, deviation = spread(published.pmf())
    assert mean == pytest.approx(8.0, abs=0.03) and deviation == pytest.approx(2.8, abs=0.05)
    assert (published.quantile(0.01), published.quantile(0.99)) == (2, 15)


def test_defect_parcaes_batch_mode_counts_the_gradient_steps_twice():
    """Its sampler returns n = total and k = min(total, 4), and the loop runs n + k."""
    pmf = mb.Poisson(mean=8.0, maximum=60).pmf()
    twice = sum(p * (n + min(n, 4)) for n, p in enumerate(pmf.tolist()))
    assert twice == pytest.approx(11.9, abs=0.15)

    core = {"loops": {"kind": "poisson", "mean": 8.0, "gradient_window": 4}, "injection": "add"}
    model = mb.LoopedTransformer(16, width=16, core=core).train()
    generator = torch.Generator().manual_seed(0)
    shape = torch.Size((2, 3))
    counts = [model.core.draw(generator, shape) for _ in range(4000)]
    assert sum(counts) / 4000 == pytest.approx(8.0, abs=0.2)
    assert all(model(torch.zeros(2, 3, dtype=torch.long), iterations=n).num_loops == n for n in counts[:5])


@pytest.mark.parametrize("per, shape", [("sequence", (6,)), ("token", (6, 5))])
def test_a_count_is_drawn_for_each_sequence_or_token(per, shape):
    core = {"loops": {"kind": "poisson", "mean": 4.0}, "loops_per": per}
    model = mb.LoopedTransformer(16, width=16, core=core)
    counts = model.core.draw(torch.Generator().manual_seed(0), torch.Size((6, 5)))
    assert counts.shape == shape and counts.min() >= 1 and len(counts.unique()) > 2
    assert torch.equal(counts, model.core.draw(torch.Generator().manual_seed(0), torch.Size((6, 5))))


def test_half_the_mean_is_the_window_that_parcae_takes():
    for mean, window in ((8.0, 4), (5.0, 3), (7.0, 4)):
        sampler = mb.Poisson(mean=mean, gradient_window="half_mean")
        assert sampler.window(20) == window and sampler.window(2) == 2


@pytest.mark.parametrize("shape, at_half", [("linear", 0.5), ("one_minus_sqrt", 1 - math.sqrt(0.5))])
def test_a_curriculum_ramps_up_to_its_base(shape, at_half):
    sampler = mb.Curriculum(
        base={"kind": "fixed", "num_loops": 9, "gradient_window": 5}, share=0.5, shape=shape, on="both"
    )
    generator = torch.Generator().manual_seed(0)
    seen = []
    for progress in (0.0, 0.25, 0.5, 1.0):
        sampler.progress = progress
        seen.append((sampler.sample(generator), sampler.window(9), int(sampler.pmf_now().argmax())))
    middle = math.ceil(1 + 8 * at_half - 1e-9), math.ceil(1 + 4 * at_half - 1e-9)
    assert seen == [(1, 1, 1), (middle[0], middle[1], middle[0]), (9, 5, 9), (9, 5, 9)]
    assert sampler.max_loops == 9 and sampler.mean == 9
    assert 5 < spread(sampler.training_pmf())[0] < 9


def test_a_curriculum_on_a_window_needs_one():
    with pytest.raises(ValueError, match="base has none"):
        mb.Curriculum(on="backward")
