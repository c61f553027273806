"""Quality by loop, and what follows from it, as a measure of any model."""

from __future__ import annotations

from collections.abc import Mapping

from mythos_blocks import component
from mythos_blocks.declaring.types import Count, Probability
from mythos_lab.measures.base import Measure, Outcome, Value
from mythos_lab.measures.depth_curve import loop_counts
from mythos_lab.measures.saturation import Saturation, saturation
from mythos_lab.measures.subject import Subject
from mythos_lab.measures.tally import Interval, Tally
from mythos_lab.metrics import Metric


@component("measure", "depth_curve")
class DepthCurveMeasure(Measure):
    """Accuracy and loss at 1, 2, ... 8, 16, ... loops, up to ``depth_factor`` times the evaluated loop count.

    The marginal value of a loop is on the same samples: accuracy less that at the loop count before, and the loss
    before less this one, for each loop between. Useful depth is the first loop count whose accuracy is within
    ``tolerance`` of the best; overthinking is what is lost from the best to the last. ``L(T) = L_inf + Z exp(-z T)`` is
    fitted to the losses up to the lowest, and withheld where they do not determine it.

    Args:
        depth_factor: The curve ends at so many times the evaluated loop count.
        tolerance: Accuracy that useful depth may lack.
    """

    quantities = {
        "depth_curve/accuracy": Metric("share", "Answers right at a loop count."),
        "depth_curve/loss": Metric("nats/token", "Cross-entropy of the answers at a loop count."),
        "depth_curve/marginal": Metric("share/loop", "Accuracy that each loop since the count before has added."),
        "depth_curve/marginal_loss": Metric("nats/token/loop", "Loss that each of them has taken away."),
        "depth_curve/useful_depth": Metric("loops", "First loop count within the tolerance of the best accuracy."),
        "depth_curve/overthinking": Metric("share", "Best accuracy less that at the last loop count."),
        "depth_curve/floor": Metric("nats/token", "L_inf of the saturating law."),
        "depth_curve/height": Metric("nats/token", "Z of the saturating law."),
        "depth_curve/rate": Metric("1/loop", "z of the saturating law."),
    }
    source = "design of every run; law arXiv 2604.12946"
    null = "Flat, of a loop that does nothing: no marginal value, and no law."
    deceives = (
        "A model that was trained at r loops and is bad at fewer looks like test-time scaling; one trained at fewer "
        "may be as good there. The best count is the best of these samples, so that overthinking is never below 0. "
        "The law is no promise beyond the counts that it was fitted to."
    )

    def __init__(self, *, depth_factor: Count = 4, tolerance: Probability = 0.01) -> None:
        self.depth_factor, self.tolerance = depth_factor, tolerance

    def measure(self, subject: Subject) -> Outcome:
        tallies = {n: each.tally for n, each in subject.at_counts(counts_of(subject, self.depth_factor)).items()}
        values, before = [], None
        for count, tally in tallies.items():
            values.append(Value("depth_curve/accuracy", tally.accuracy, count, tally.accuracy_interval()))
            values.append(Value("depth_curve/loss", tally.loss, count, tally.loss_interval()))
            values += [] if before is None else _marginal(count, tally, before, tallies[before])
            before = count
        best, last = max(tallies, key=lambda n: (tallies[n].accuracy, -n)), max(tallies)
        useful, bounds = useful_depth(tallies, self.tolerance)
        lost = tallies[best].accuracy - tallies[last].accuracy
        values.append(Value("depth_curve/useful_depth", useful, interval=bounds))
        values.append(Value("depth_curve/overthinking", lost, interval=tallies[best].accuracy_gain(tallies[last])))
        lowest = min(tallies, key=lambda n: (tallies[n].loss, n))
        law = saturation([(n, tally) for n, tally in tallies.items() if n <= lowest])
        said = f"accuracy is best at {best} loops: {tallies[best].accuracy:.1%}; useful depth {useful}"
        if isinstance(law, str):
            return self.outcome(f"{said}; no saturating law: {law}", *values)
        fitted = f"L(T) = {law.floor[0]:.3g} + {law.height[0]:.3g} exp(-{law.rate[0]:.3g} T) to {lowest} loops"
        return self.outcome(f"{said}; {fitted}", *values, *_of_law(law, lowest))


def counts_of(subject: Subject, factor: int) -> list[int]:
    """The loop counts of a curve up to so many times the evaluated one, or to where a table of the core ends."""
    last = subject.num_loops * factor
    if (end := subject.model.core.last_index) is not None:
        last = min(last, end + 1)
    return loop_counts(min(subject.num_loops, last), last)


def useful_depth(tallies: Mapping[int, Tally], tolerance: float) -> tuple[int, Interval | None]:
    """The first loop count whose accuracy is within a tolerance of the best, and from where to where it may lie.

    The ends are the first loop counts whose paired interval of what is lost against the best reaches into the
    tolerance, and lies within it; they are of each count's own interval.

    Args:
        tallies: What the same samples came to, by loop count in ascending order.
        tolerance: Accuracy that may be lacking.
    """
    best = max(tallies, key=lambda n: (tallies[n].accuracy, -n))
    useful = min(n for n in tallies if tallies[best].accuracy - tallies[n].accuracy <= tolerance)
    lost = {n: tallies[best].accuracy_gain(tallies[n]) for n in tallies if n < best}
    known = {n: interval for n, interval in lost.items() if interval is not None}
    if len(known) < len(lost) or tallies[best].accuracy_interval() is None:
        return useful, None
    least = min((n for n, (low, _) in known.items() if low <= tolerance), default=best)
    most = min((n for n, (_, high) in known.items() if high <= tolerance), default=best)
    return useful, (float(least), float(most))


def _marginal(count: int, tally: Tally, before: int, other: Tally) -> list[Value]:
    num = count - before
    found = {
        "depth_curve/marginal": (tally.accuracy - other.accuracy, tally.accuracy_gain(other)),
        "depth_curve/marginal_loss": (other.loss - tally.loss, tally.loss_gain(other)),
    }
    return [
        Value(name, value / num, count, None if interval is None else (interval[0] / num, interval[1] / num))
        for name, (value, interval) in found.items()
    ]


def _of_law(law: Saturation, last: int) -> list[Value]:
    note = f"1 to {last} loops, off by {law.misfit:.2g} nats"
    return [
        Value(f"depth_curve/{name}", value, interval=interval, note=note)
        for name, (value, interval) in (("floor", law.floor), ("height", law.height), ("rate", law.rate))
    ]
