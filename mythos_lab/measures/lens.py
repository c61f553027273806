"""What a lens reads at every loop and layer position, whatever the lens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from mythos_blocks.declaring.registry import suggest
from mythos_blocks.declaring.types import Count
from mythos_lab.measures.base import Measure, Outcome, Value
from mythos_lab.measures.layer_states import STATE, LayerStates, Site, layer_states
from mythos_lab.measures.readings import Reading, reading, tracked
from mythos_lab.measures.subject import Subject
from mythos_lab.measures.tally import Tally
from mythos_lab.measures.thinning import thinned
from mythos_lab.metrics import Metric
from mythos_lab.tasks.base import IGNORE

_BY_THEMSELVES = ("intermediate", "control")


def lens_quantities(lens: str) -> dict[str, Metric]:
    """What a lens comes to; ``of`` is the layer position, and the token after a slash."""
    return {
        f"{lens}/rank": Metric("rank", "Mean rank of a token among all, 1 for the likeliest."),
        f"{lens}/first": Metric("share", "Answers whose token is the likeliest."),
        f"{lens}/before": Metric("share", "Answers whose token is the likeliest in a loop before the prediction is."),
        f"{lens}/monotone": Metric("share", "Steps from loop to loop in which a token's rank does not rise."),
        f"{lens}/numeric": Metric("share", "Of the five likeliest tokens, those that the task answers with."),
        f"{lens}/entropy": Metric("nats", "Entropy of what is read."),
        f"{lens}/kl": Metric("nats", "Divergence of what is read from the output: KL(output, reading)."),
        f"{lens}/prior_kl": Metric("nats", "Divergence of the mean output from the output: what not looking costs."),
        f"{lens}/off": Metric("1", "1 where the lens reads off its distribution, 0 where it does not."),
        f"{lens}/noise_kl": Metric("nats", "Divergence between outputs under two seeds of the noise that is drawn."),
    }


class Lens(Measure):
    """Logits read from every state, against the model's output.

    Args:
        num_answers: Scored answers that are looked at, at most.
        records: Records of the samples that hold a token to follow, beside the answer and the model's prediction;
            ``null`` takes ``intermediate`` and ``control`` where the task records them. Where it records no control, it
            is the answer of another sample that has another one.
    """

    def __init__(self, *, num_answers: Count = 1000, records: list[str] | None = None) -> None:
        self.num_answers, self.records = num_answers, records

    def refuses(self, subject: Subject) -> str | None:
        batch = subject.samples.batches[0]
        known = [name for name, record in batch.records.items() if record.dim() == 1]
        for name in self.records or ():
            if name not in known:
                return (
                    f"records: no {name!r} of one token a sample; {suggest(name, known) if known else 'there are none'}"
                )
        return subject.refuses_trajectories()

    def logits(self, subject: Subject, seen: LayerStates, site: Site) -> Tensor:
        """What the lens reads at a site where something is scored: ``(scored, vocab_size)``."""
        raise NotImplementedError

    def measure(self, subject: Subject) -> Outcome:
        kept = thinned(len(subject.targets), self.num_answers).to(subject.device)
        parts: list[dict[Site, Reading]] = []
        outputs: list[Tensor] = []
        start = 0
        for seen in layer_states(subject):
            mine = kept[start : (start := start + len(seen.logits))]
            outputs.append(seen.logits[mine].float().log_softmax(-1))
            tokens = {name: found[mine] for name, found in self.tokens(subject, seen).items()}
            with torch.no_grad(), subject.precision():
                parts.append(
                    {
                        site: reading(
                            self.logits(subject, seen, site)[mine], outputs[-1], tokens, subject.samples.answers
                        )
                        for site in seen.states
                    }
                )
        found = {site: Reading.joined([part[site] for part in parts]) for site in parts[0]}
        return self.concluded(subject, found, torch.cat(outputs), kept)

    def tokens(self, subject: Subject, seen: LayerStates) -> dict[str, Tensor]:
        """The tokens that are followed."""
        names = _BY_THEMSELVES if self.records is None else self.records
        return tracked(seen.batch, subject.predicted(seen.logits), names)

    def concluded(
        self,
        subject: Subject,
        found: dict[Site, Reading],
        outputs: Tensor,
        kept: Tensor,
        prior: Tensor | None = None,
        values: Iterable[Value] = (),
    ) -> Outcome:
        """The numbers of what was read.

        Args:
            subject: The model and the samples.
            found: What was read at each site.
            outputs: Log-probabilities that the model came to, ``(answers, vocab_size)``.
            kept: Which scored answers these are, ``(scored,)`` booleans.
            prior: Probabilities ``(vocab_size,)`` to hold the readings against; ``None`` takes the mean output.
            values: Further numbers.
        """
        prior = (outputs.exp().mean(0) if prior is None else prior).clamp_min(1e-12)
        costs = (outputs.exp() * (outputs - prior.log())).sum(-1)
        units = subject.samples.groups()[kept.cpu()].unique(return_inverse=True)[1]
        lens = _Table(self.kind, found, units, costs.cpu())
        noise = _noise(subject, kept, outputs)
        positions, last = list(dict.fromkeys(name for name, _ in found)), subject.num_loops
        off = {name: [t for n, t in found if n == name and t and lens.off(n, t)] for name in positions}
        places = [f"{name} in {len(loops)} of {last} loops" for name, loops in off.items() if loops]
        if (STATE, 0) in found and lens.off(STATE, 0):
            places.insert(0, "the state before the first loop")
        said = ", ".join(places)
        first = float((found[STATE, last].ranks["prediction"] == 1).float().mean())
        read = f"after the last loop it reads the prediction of {first:.0%} of the answers"
        return self.outcome(
            f"{read}; {f'off its distribution at {said}' if said else 'nowhere off its distribution'}",
            *lens.values(),
            Value(f"{self.kind}/prior_kl", float(costs.mean())),
            Value(f"{self.kind}/noise_kl", noise),
            *values,
        )


@dataclass(frozen=True)
class _Table:
    lens: str
    found: dict[Site, Reading]
    units: Tensor
    costs: Tensor

    def values(self) -> Iterator[Value]:
        for (name, t), read in self.found.items():
            for token, ranks in read.ranks.items():
                if (tally := self._tally(ranks)) is None:
                    continue
                of = f"{name}/{token}"
                yield Value(f"{self.lens}/rank", tally.loss, t, tally.loss_interval(), of)
                yield Value(f"{self.lens}/first", tally.accuracy, t, tally.accuracy_interval(), of)
            yield Value(f"{self.lens}/kl", float(read.kl.mean()), t, of=name)
            yield Value(f"{self.lens}/entropy", float(read.entropy.mean()), t, of=name)
            if read.numeric is not None:
                yield Value(f"{self.lens}/numeric", float(read.numeric.mean()), t, of=name)
            yield Value(f"{self.lens}/off", float(self.off(name, t)), t, of=name)
        for name in dict.fromkeys(name for name, _ in self.found):
            yield from self._over_loops(name)

    def off(self, name: str, t: int) -> bool:
        """Whether what is read is surely further from the output than the mean output is."""
        excess = self.found[name, t].kl - self.costs
        tally = Tally.of(self.units, excess > 0, excess, int(self.units.max()) + 1)
        interval = tally.loss_interval()
        return interval is not None and interval[0] > 0

    def _over_loops(self, name: str) -> Iterator[Value]:
        loops = [t for n, t in self.found if n == name and t]
        paths = {
            token: torch.stack([self.found[name, t].ranks[token] for t in loops])
            for token in self.found[name, loops[0]].ranks
        }
        reached = {token: _first_at_one(path) for token, path in paths.items()}
        for token, path in paths.items():
            there = path[0] > 0
            if not bool(there.any()):
                continue
            falls = (path[1:] <= path[:-1])[:, there].float().mean()
            yield Value(f"{self.lens}/monotone", float(falls), of=f"{name}/{token}")
            if token not in ("prediction", "answer"):
                earlier = (reached[token] < reached["prediction"])[there].float()
                yield Value(f"{self.lens}/before", float(earlier.mean()), of=f"{name}/{token}")

    def _tally(self, ranks: Tensor) -> Tally | None:
        there = ranks > 0
        if not bool(there.any()):
            return None
        units = self.units[there].unique(return_inverse=True)[1]
        return Tally.of(units, ranks[there] == 1, ranks[there].double(), int(units.max()) + 1)


def _first_at_one(path: Tensor) -> Tensor:
    """The first loop, from 0, in which ranks ``(loops, answers)`` are 1, or the number of loops: ``(answers,)``."""
    return ((path == 1).cumsum(0) == 0).sum(0)


@torch.no_grad()
def _noise(subject: Subject, kept: Tensor, outputs: Tensor) -> float:
    other = [subject.run(b, noise=1, logits_at=b.targets != IGNORE).logits for b in subject.samples.batches]
    logs = torch.cat(other)[kept].float().log_softmax(-1)
    return float((outputs.exp() * (outputs - logs)).sum(-1).mean())
