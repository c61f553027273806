"""What a sampler of loop counts draws."""

from __future__ import annotations

import torch

from mythos_blocks.testing.case import Case, contract

_DRAWS = 20_000


@contract("loops")
def it_draws_the_distribution_that_it_reports(case: Case) -> None:
    """Mean, quantiles and largest count are those of what it draws."""
    sampler = case.alone()
    pmf = sampler.pmf()
    assert pmf[0] == 0 and abs(float(pmf.sum()) - 1) < 1e-12, "probabilities of the counts from 1 up have to sum to one"
    generator = torch.Generator().manual_seed(0)
    draws = torch.tensor([sampler.sample(generator) for _ in range(_DRAWS)], dtype=torch.float64)
    assert abs(float(draws.mean()) - sampler.mean) <= 4 * float(draws.std()) / _DRAWS**0.5 + 1e-9
    assert draws.min() >= 1 and draws.max() <= sampler.max_loops
    for q in (0.05, 0.5, 0.95):
        at = sampler.quantile(q)
        assert float((draws <= at).double().mean()) >= q - 0.02 and float((draws < at).double().mean()) <= q + 0.02
    if hasattr(sampler.spec, "mean"):
        assert abs(sampler.mean - sampler.spec.mean) <= 1e-9, "the mean is not the declared one"
