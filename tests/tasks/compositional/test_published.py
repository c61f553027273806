"""What the published generators leak, as measured on them elsewhere, comes out of ours."""

import numpy as np
import pytest

from mythos_lab.tasks import PHop, PublishedKinship, PublishedReachability


def shares(task, feature, num):
    return {s.difficulty: s.accuracy for s in task.audit(num) if s.feature == feature}


def test_isolated_ends_give_86_percent_at_every_hop_count_of_published_graphs():
    """Measured on the published code: .865."""
    task = PublishedReachability(max_nodes=20, max_hops=8, ood_range=4)
    for hops, share in shares(task, "s leads nowhere or nothing leads to t", 4000).items():
        assert abs(share - 0.87) <= 0.03, hops  # four standard errors of the half that is measured


def test_word_counts_give_the_published_result_of_kinship():
    """Bayes accuracies by depth, measured on the published code: .872, .850, .837, .829."""
    found = shares(PublishedKinship(), "counts of relations and question", 60_000)
    for hops, share in ((2, 0.872), (3, 0.850), (4, 0.837), (5, 0.829)):
        assert abs(found[hops] - share) <= 0.015, (hops, found[hops])


def test_published_graphs_have_the_distance_that_they_claim():
    task = PublishedReachability()
    batch = task.batch("train", range(400))
    edges, source, target = task.read(batch)
    yes = (batch.targets == 4).any(1).numpy()
    for i in np.flatnonzero(yes):
        far, reached, hops = {int(source[i])}, {int(source[i])}, 0
        while target[i] not in reached:
            far = {int(v) for u in far for v in np.flatnonzero(edges[i, u])} - reached
            reached |= far
            hops += 1
            assert far, "a positive has a path"
        assert hops == batch.difficulty[i]


@pytest.mark.parametrize("repeats, most", [(True, 0.8), (False, 0.1)])
def test_equal_neighbours_are_what_leaks_in_p_hop(repeats, most):
    task = PHop(alphabet=8, length=48, repeats=repeats)
    worst = max(s.explained for s in task.audit() if not s.partial)
    assert worst <= most and (worst > 0.25) == repeats
