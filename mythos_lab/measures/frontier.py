"""How many loops each difficulty needs."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks import component
from mythos_blocks.declaring.types import Count, Probability
from mythos_lab.measures.base import Measure, Outcome, Value
from mythos_lab.measures.depth import counts_of
from mythos_lab.measures.subject import Counted, Subject
from mythos_lab.measures.tally import Tally
from mythos_lab.metrics import Metric


@component("measure", "frontier")
class Frontier(Measure):
    """Accuracy by difficulty and loop count, and the frontier: the fewest loops from which on a difficulty is solved.

    A difficulty is solved where its accuracy is at least ``solved`` at that loop count and all larger ones up to the
    evaluated; one that never is has no depth.

    Args:
        solved: The accuracy at which a difficulty is solved.
        depth_factor: Accuracies are shown up to so many times the evaluated loop count.
    """

    quantities = {
        "frontier/accuracy": Metric("share", "Answers of a difficulty right at a loop count."),
        "frontier/depth": Metric("loops", "Fewest loops from which on a difficulty is solved."),
        "frontier/slope": Metric("1", "Loops that one more step of difficulty takes, by least squares."),
    }
    source = "design of every run"
    null = "One depth for all difficulties, and a slope of 0, of loops that difficulty does not need."
    deceives = (
        "A model that does in one loop what it was trained to do in several has a low frontier, whatever the task "
        "needs. Where half of the answers are right by chance, a low threshold is met by luck."
    )

    def __init__(self, *, solved: Probability = 0.95, depth_factor: Count = 2) -> None:
        self.solved, self.depth_factor = solved, depth_factor

    def refuses(self, subject: Subject) -> str | None:
        return subject.refuses_difficulties()

    def measure(self, subject: Subject) -> Outcome:
        found = subject.at_counts(counts_of(subject, self.depth_factor))
        difficulties = subject.difficulties().cpu()
        values, depths = [], {}
        for difficulty in difficulties.unique().tolist():
            name, accuracies = f"{subject.samples.difficulty_name} {difficulty}", {}
            for count, each in found.items():
                tally = _at(subject, each, difficulties == difficulty)
                accuracies[count] = tally.accuracy
                values.append(Value("frontier/accuracy", tally.accuracy, count, tally.accuracy_interval(), name))
            solved = [n for n in accuracies if n <= subject.num_loops]
            while solved and accuracies[solved[-1]] >= self.solved:
                depths[difficulty] = solved.pop()
            if difficulty in depths:
                values.append(Value("frontier/depth", depths[difficulty], of=name))
        said = ", ".join(f"{d}: {depths.get(d, 'never')}" for d in difficulties.unique().tolist())
        if len(depths) > 1:
            from scipy import stats  # which every worker would start with

            slope = float(stats.linregress(list(depths), list(depths.values())).slope)
            values.append(Value("frontier/slope", slope))
        return self.outcome(
            f"loops by {subject.samples.difficulty_name} until {self.solved:.0%} are right: {said}", *values
        )


def _at(subject: Subject, counted: Counted, here: Tensor) -> Tally:
    """What the answers of one difficulty came to."""
    right, units = (counted.answers == subject.targets).cpu()[here], subject.samples.units()[here]
    return Tally.of(units, right, counted.losses.cpu()[here], int(units.max()) + 1)
