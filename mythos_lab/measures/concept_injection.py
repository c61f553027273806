"""Which loops still listen to what is put into the state."""

from __future__ import annotations

import torch
from torch import Tensor

from mythos_blocks import at_site, component
from mythos_blocks.declaring.types import Positive
from mythos_lab.measures.base import Measure, Outcome, Value
from mythos_lab.measures.subject import Subject
from mythos_lab.measures.tally import Tally
from mythos_lab.metrics import Metric
from mythos_lab.tasks.base import IGNORE

_FEWEST = 4  # samples that a concept is the mean of


@component("measure", "concept_injection")
class ConceptInjection(Measure):
    """Answers that follow another answer's concept, added to the state after iteration t: which loops still listen.

    The concept of an answer is the mean of the last states of samples whose right answer it is. On the other half of
    the units, the concept of another sample's answer less that of the sample's own is added at the scored positions,
    after one iteration; the loop then goes on. It is one vector at every iteration, so that iterations are compared and
    not vectors. Beside it stands a random direction of the same length.

    Args:
        scale: Factor of what is added.
    """

    quantities = {
        "concept_injection/followed": Metric("share", "Answers that become the one whose concept is added."),
        "concept_injection/flips": Metric("share", "Answers that change when it is added."),
        "concept_injection/random_flips": Metric("share", "Answers that a random direction of that length changes."),
        "concept_injection/length": Metric("1", "Length of what is added over that of the last state."),
        "concept_injection/noise_flips": Metric("share", "Answers that another seed of the noise changes."),
    }
    source = "arXiv 2601.10242"
    null = (
        "``random_flips``; all iterations alike, of the identity loop; none but the last, of a loop that begins anew."
    )
    deceives = (
        "The vector is one of last states: an early iteration that flips and does not follow listens, in another "
        "language. Followed is not understood: where the coda reads the sum, nothing but the coda needs to listen."
    )

    def __init__(self, *, scale: Positive = 1.0) -> None:
        self.scale = scale

    def refuses(self, subject: Subject) -> str | None:
        fitted = subject.targets.cpu()[subject.samples.fitted()]
        num = int((fitted.unique(return_counts=True)[1] >= _FEWEST).sum()) if len(fitted) else 0
        if num < 2:
            return f"{num} answers have the {_FEWEST} samples that make a concept; expected 2 or more"
        if subject.samples.num_units < 2:
            return "the samples are one unit, which cannot be halved"
        return subject.refuses_trajectories()

    @torch.no_grad()
    def measure(self, subject: Subject) -> Outcome:
        units, batches = subject.samples.units(), subject.samples.batches
        passes = [subject.run(batch, record=True, logits_at=batch.targets != IGNORE) for batch in batches]
        own = subject.answers(passes)
        last = torch.cat([o.states[-1][b.targets != IGNORE] for o, b in zip(passes, batches, strict=True)]).float()
        targets = subject.targets
        fit = subject.samples.fitted().to(targets.device)
        added, wanted = self._added(last, targets, fit)
        told = wanted != IGNORE
        length = float((added[told].norm(dim=1) / last[told].norm(dim=1).clamp_min(1e-12)).mean())
        generator = torch.Generator().manual_seed(0)
        drawn = torch.randn(added.shape, generator=generator).to(added)
        random = drawn / drawn.norm(dim=1, keepdim=True) * added.norm(dim=1, keepdim=True)
        noisy = [subject.run(batch, noise=1, logits_at=batch.targets != IGNORE) for batch in batches]
        noise = (subject.answers(noisy) != own)[told]
        values = [
            Value("concept_injection/length", length),
            Value("concept_injection/noise_flips", float(noise.float().mean())),
        ]
        said = []
        for t in range(1, min(out.num_loops for out in passes) + 1):
            steered, jolted = (_answers(subject, vector, t) for vector in (added, random))
            for name, hit in (
                ("followed", steered == wanted),
                ("flips", steered != own),
                ("random_flips", jolted != own),
            ):
                tally = _tally(hit[told].cpu(), units[told.cpu()])
                values.append(Value(f"concept_injection/{name}", tally.accuracy, t, tally.accuracy_interval()))
            said.append(f"{float((steered == wanted)[told].float().mean()):.0%}")
        return self.outcome(
            f"added after loop 1 to {len(said)}, a concept is followed by {', '.join(said)} of the answers", *values
        )

    def _added(self, last: Tensor, targets: Tensor, fit: Tensor) -> tuple[Tensor, Tensor]:
        """What is added to each state, ``(scored, state_width)``, and the answer that it names, ``IGNORE`` for none."""
        added, wanted = torch.zeros_like(last), torch.full_like(targets, IGNORE)
        counts = {int(c): int(n) for c, n in zip(*targets[fit].unique(return_counts=True), strict=True)}
        concepts = {c: last[fit & (targets == c)].mean(0) for c, n in counts.items() if n >= _FEWEST}
        names = list(concepts)
        # Every answer is turned into each of the others, in turn.
        for place, i in enumerate((~fit).nonzero()[:, 0].tolist()):
            if (own := int(targets[i])) in concepts:
                others = [name for name in names if name != own]
                other = others[place % len(others)]
                added[i] = self.scale * (concepts[other] - concepts[own])
                wanted[i] = other
        return added, wanted


def _answers(subject: Subject, vector: Tensor, t: int) -> Tensor:
    """The answers where a vector, ``(scored, state_width)``, is added to the scored states after iteration t."""
    found, start = [], 0
    for batch in subject.samples.batches:
        scored = batch.targets != IGNORE
        part = vector[start : (start := start + int(scored.sum()))]

        def change(h: Tensor, scored: Tensor = scored, part: Tensor = part) -> Tensor:
            put = torch.zeros_like(h)
            put[scored] = part.to(h.dtype)
            return h + put

        with at_site(subject.model, "core.state", t - 1, change):
            found.append(subject.predicted(subject.run(batch, logits_at=scored).logits))
    return torch.cat(found)


def _tally(hit: Tensor, units: Tensor) -> Tally:
    place = units.unique(return_inverse=True)[1]
    return Tally.of(place, hit, torch.zeros(len(hit)), int(place.max()) + 1)
