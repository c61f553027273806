"""The head, on any state."""

from __future__ import annotations

from torch import Tensor, nn

from mythos_blocks import LoopedTransformer, component
from mythos_lab.measures.layer_states import LayerStates, Site
from mythos_lab.measures.lens import Lens, lens_quantities
from mythos_lab.measures.subject import Subject
from mythos_lab.tasks.base import IGNORE


@component("measure", "logit_lens")
class LogitLens(Lens):
    """What the model's last norm and head read from every loop and layer position, as if no coda stood between.

    A reading is off its distribution where its divergence from the output is surely (95 %, over units) larger than
    that of the mean output, which looks at nothing: a reading that knows little is no worse than that, one in another
    basis is.
    """

    quantities = lens_quantities("logit_lens")
    source = "nostalgebraist 2020; of loops arXiv 2507.02199"
    null = "The ranks of the control token; the divergence of the mean output."
    deceives = (
        "A state in another basis than the head's reads as empty, whatever it holds: marked as off its distribution, "
        "to be read by the tuned lens. Rank 1 of a token is no evidence that the model goes by it."
    )

    def logits(self, subject: Subject, seen: LayerStates, site: Site) -> Tensor:
        h = seen.states[site][seen.batch.targets != IGNORE]
        logits: Tensor = subject.model.head(subject.model.last_norm(to_width(subject.model, h)))
        return logits


def to_width(model: LoopedTransformer, h: Tensor) -> Tensor:
    """The state in the model's width, without the last norm, which some interfaces apply."""
    x: Tensor = model.core.interface(h, nn.Identity())
    return x.to(h.dtype)
