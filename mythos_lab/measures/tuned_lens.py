"""The head, on any state, through a map that is fitted for its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from mythos_blocks import LoopedTransformer, component
from mythos_blocks.declaring.types import Count
from mythos_lab.measures.affine import AffineMaps, divergence, fitted
from mythos_lab.measures.base import Outcome, Value
from mythos_lab.measures.layer_states import STATE, Site, layer_states
from mythos_lab.measures.lens import Lens, lens_quantities
from mythos_lab.measures.logit_lens import to_width
from mythos_lab.measures.readings import Reading, reading
from mythos_lab.measures.subject import Subject
from mythos_lab.measures.thinning import thinned
from mythos_lab.measures.untrained import untrained
from mythos_lab.metrics import Metric
from mythos_lab.tasks.base import IGNORE

_FEWEST = 40


@component("measure", "tuned_lens")
class TunedLens(Lens):
    """What last norm and head read from every loop and layer position through an affine map of the place's own.

    Each map has the least divergence KL(output, reading) on one half of the samples, and is held against the other
    half; all begin as the logit lens. Off its distribution: as in ``logit_lens``.

    Args:
        num_steps: Steps of the fit.
    """

    quantities = {
        **lens_quantities("tuned_lens"),
        "tuned_lens/logit_kl": Metric("nats", "Divergence of the logit lens on the same answers."),
        "tuned_lens/untrained_kl": Metric("nats", "Divergence of maps fitted on the states of an untrained model."),
    }
    source = "arXiv 2303.08112"
    null = (
        "``untrained_kl``: the same maps, fitted on an untrained model's states to the same outputs; the divergence of "
        "the mean output."
    )
    deceives = (
        "A map may compute what the model has yet to compute: what it reads beyond the untrained null is what the loop "
        "has made legible. With few answers and wide states it reads too little."
    )

    def __init__(self, *, num_answers: Count = 2000, records: list[str] | None = None, num_steps: Count = 200) -> None:
        super().__init__(num_answers=num_answers, records=records)
        self.num_steps = num_steps

    def refuses(self, subject: Subject) -> str | None:
        if (why := super().refuses(subject)) is not None:
            return why
        if subject.samples.num_units < 2:
            return "the samples are one unit, which cannot be halved"
        num = min(len(subject.targets), self.num_answers)
        return None if num >= _FEWEST else f"{num} answers are too few to fit maps on; expected {_FEWEST} or more"

    def measure(self, subject: Subject) -> Outcome:
        kept = thinned(len(subject.targets), self.num_answers).to(subject.device)
        gathered = self._gathered(subject, kept)
        groups = subject.samples.groups().to(subject.device)[kept]
        fit = groups % 2 == 0
        held, left_out = ~fit, groups[fit] // 2 % 5 == 4
        maps = self._fitted(subject, gathered, gathered.outputs, fit, left_out)
        sites = list(gathered.h)
        tokens = {name: found[held] for name, found in gathered.tokens.items()}
        outputs, prior = gathered.outputs[held], gathered.outputs[fit].exp().mean(0)
        found: dict[Site, Reading] = {}
        values = []
        read = _head(subject.model)
        with torch.no_grad():
            for place, logits in enumerate(_read(maps, gathered, held, read)):
                found[sites[place]] = reading(logits, outputs, tokens, subject.samples.answers)
                name, t = sites[place]
                raw = divergence(read(gathered.r[name, t][held])[None], outputs)
                values.append(Value("tuned_lens/logit_kl", float(raw.mean()), t, of=name))
        values += self._null(subject, kept, gathered.outputs, fit, left_out)
        whole = torch.zeros_like(kept)
        whole[kept.nonzero()[held, 0]] = True
        return self.concluded(subject, found, outputs, whole, prior, values)

    def _null(self, subject: Subject, kept: Tensor, outputs: Tensor, fit: Tensor, left_out: Tensor) -> Iterator[Value]:
        """What maps read from the states of a model that has learned nothing."""
        other = self._gathered(subject, kept, untrained(subject.model), (STATE,))
        maps = self._fitted(subject, other, outputs, fit, left_out)
        with torch.no_grad():
            for (_, t), logits in zip(other.h, _read(maps, other, ~fit, _head(subject.model)), strict=True):
                kl = divergence(logits[None], outputs[~fit])
                yield Value("tuned_lens/untrained_kl", float(kl.mean()), t)

    def _fitted(
        self, subject: Subject, gathered: _Gathered, outputs: Tensor, fit: Tensor, left_out: Tensor
    ) -> AffineMaps:
        h, r = (torch.stack([x[fit] for x in found.values()]) for found in (gathered.h, gathered.r))
        return fitted(h, r, outputs[fit], _head(subject.model), left_out, num_steps=self.num_steps)

    @torch.no_grad()
    def _gathered(
        self,
        subject: Subject,
        kept: Tensor,
        model: LoopedTransformer | None = None,
        positions: tuple[str, ...] | None = None,
    ) -> _Gathered:
        """The states of the answers that are kept, at all layer positions or at these."""
        h: dict[Site, list[Tensor]] = {}
        r: dict[Site, list[Tensor]] = {}
        outputs: list[Tensor] = []
        tokens: dict[str, list[Tensor]] = {}
        start = 0
        for seen in layer_states(subject, model=model):
            mine = kept[start : (start := start + len(seen.logits))]
            outputs.append(seen.logits[mine].float().log_softmax(-1))
            for name, found in self.tokens(subject, seen).items():
                tokens.setdefault(name, []).append(found[mine])
            for site, state in seen.states.items():
                if positions is None or site[0] in positions:
                    x = state[seen.batch.targets != IGNORE][mine].float()
                    h.setdefault(site, []).append(x)
                    r.setdefault(site, []).append(to_width(model or subject.model, x))
        return _Gathered(
            {site: torch.cat(parts) for site, parts in h.items()},
            {site: torch.cat(parts) for site, parts in r.items()},
            torch.cat(outputs),
            {name: torch.cat(parts) for name, parts in tokens.items()},
        )


@dataclass(frozen=True)
class _Gathered:
    """States by site ``(answers, state_width)``, the same in the model's width, outputs and followed tokens."""

    h: dict[Site, Tensor]
    r: dict[Site, Tensor]
    outputs: Tensor
    tokens: dict[str, Tensor]


def _read(maps: AffineMaps, gathered: _Gathered, which: Tensor, read: Callable[[Tensor], Tensor]) -> Iterator[Tensor]:
    """The logits of these answers at each site, ``(answers, vocab_size)``."""
    h, r = (torch.stack([x[which] for x in found.values()]) for found in (gathered.h, gathered.r))
    yield from (read(x) for x in maps(h, r))


def _head(model: LoopedTransformer) -> Callable[[Tensor], Tensor]:
    """From what stands before the last norm to logits."""

    def read(x: Tensor) -> Tensor:
        logits: Tensor = model.head(model.last_norm(x.to(model.head.weight.dtype)))
        return logits

    return read
