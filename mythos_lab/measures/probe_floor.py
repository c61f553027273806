"""What can be read off the loop's output alone, off the input, and off a model that has learned nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from mythos_blocks import LoopedTransformer, component
from mythos_lab.measures.base import Measure, Outcome, Value
from mythos_lab.measures.linear_probe import Probed, entropy, probe
from mythos_lab.measures.subject import Subject
from mythos_lab.measures.tally import Tally
from mythos_lab.measures.untrained import untrained
from mythos_lab.metrics import Metric
from mythos_lab.tasks.base import IGNORE

_FEWEST = 8  # answers for each class, on the mean


@component("measure", "probe_floor")
class ProbeFloor(Measure):
    """A linear probe on the loop's output alone, at the position that is scored, against the entropy of the answers.

    The same probe reads the input embedding at that position, and the loop's output of an untrained model: where one of
    these tells the answer, the probe on the trained loop says nothing. Fitted on one half of the units, held against
    the other.
    """

    quantities = {
        "probe_floor/loop": Metric("share", "Answers that a probe tells from the loop's output."),
        "probe_floor/input": Metric("share", "Answers that the same probe tells from the input embedding."),
        "probe_floor/untrained": Metric("share", "Answers that it tells from an untrained model's loop."),
        "probe_floor/loop_nats": Metric("nats", "Cross-entropy of the probe on the loop's output."),
        "probe_floor/floor_nats": Metric("nats", "Entropy of the answers: what not looking costs."),
    }
    source = "arXiv 2607.11116 (T2)"
    null = "The probe on an untrained model, and on the input embedding."
    deceives = (
        "What a probe can read, the model need not use. With wide states and few samples a probe tells its own half by "
        "heart; that is why only the other half counts."
    )

    def __init__(self) -> None:
        pass

    def refuses(self, subject: Subject) -> str | None:
        num_classes, num_answers = len(subject.targets.unique()), len(subject.targets)
        if num_classes < 2:
            return "all answers are the same"
        if num_answers < _FEWEST * num_classes:
            return (
                f"{num_answers} answers of {num_classes} kinds are too few to fit a probe on; expected "
                f"{_FEWEST * num_classes} or more"
            )
        return None if subject.samples.num_units > 1 else "the samples are one unit, which cannot be halved"

    def measure(self, subject: Subject) -> Outcome:
        classes = subject.targets.unique(return_inverse=True)[1]
        units = subject.samples.units().to(classes.device)
        fitted = subject.samples.fitted().to(units.device)
        features = {
            "loop": _outputs(subject, subject.model),
            "input": _inputs(subject),
            "untrained": _outputs(subject, untrained(subject.model)),
        }
        probed = {name: probe(x[fitted], classes[fitted], x[~fitted], classes[~fitted]) for name, x in features.items()}
        floor = entropy(classes[~fitted])
        shares = {name: float(p.right.float().mean()) for name, p in probed.items()}
        known = max(("input", "untrained"), key=shares.__getitem__)
        empty = shares["loop"] - shares[known] <= 0.5 * (1 - shares[known])
        said = f"a probe tells {shares['loop']:.1%} of the answers from the loop's output"
        said += f"; {shares['input']:.1%} from the input, {shares['untrained']:.1%} from an untrained loop"
        said += f": it says little, since the {known} gives as much away" if empty and shares[known] > 0.5 else ""
        return self.outcome(
            said,
            *(
                Value(f"probe_floor/{name}", shares[name], interval=_tally(p, units[~fitted]).accuracy_interval())
                for name, p in probed.items()
            ),
            Value("probe_floor/loop_nats", probed["loop"].nats),
            Value("probe_floor/floor_nats", floor),
        )


@torch.no_grad()
def _outputs(subject: Subject, model: LoopedTransformer) -> Tensor:
    """What the loop hands on where something is scored, ``(scored, state_width)``."""
    found = []
    for batch in subject.samples.batches:
        scored = batch.targets != IGNORE
        found.append(subject.run(batch, model=model, logits_at=scored).halting.readout[scored].float())
    return torch.cat(found)


@torch.no_grad()
def _inputs(subject: Subject) -> Tensor:
    """The embedding of the tokens where something is scored, ``(scored, width)``."""
    batches = subject.samples.batches
    return torch.cat([subject.model.embedding(batch.tokens)[batch.targets != IGNORE].float() for batch in batches])


def _tally(probed: Probed, units: Tensor) -> Tally:
    place = units.cpu().unique(return_inverse=True)[1]
    right = probed.right.cpu()
    return Tally.of(place, right, torch.zeros(len(right)), int(place.max()) + 1)
