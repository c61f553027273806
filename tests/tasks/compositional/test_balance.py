"""Balance: no cell tells anything about the label, whatever the cells' shares and rates."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mythos_lab.tasks.compositional.balance import balanced_rows

NUM = 3000


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_every_cell_has_as_many_of_each_label(seed, rates):
    """Cells that have one label only yield nothing; one at least has both."""
    rates = np.array([0.5, *rates])
    rng = np.random.default_rng(seed)

    def draw(rows):
        cell = rng.integers(0, len(rates), len(rows))
        label = (rng.random(len(rows)) < rates[cell]).astype(int)
        return np.stack((label, cell), 1), label, cell

    def pool(parts, which, place):
        return np.stack([parts[w][p] for w, p in zip(which, place, strict=True)])

    wanted = rng.integers(0, 2, NUM)
    rows = balanced_rows(rng, draw, wanted, np.zeros(NUM, dtype=int), pool)
    assert (rows[:, 0] == wanted).all()
    for cell in range(len(rates)):
        here = rows[rows[:, 1] == cell, 0]
        # A fair coin, to five standard deviations.
        assert abs(here.mean() - 0.5) <= 2.5 / np.sqrt(len(here)) if len(here) else True
    assert (rows[:, 1] == 0).any()
