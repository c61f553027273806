"""The coda and the head, on any state."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks import component
from mythos_lab.measures.layer_states import LayerStates, Site
from mythos_lab.measures.lens import Lens, lens_quantities
from mythos_lab.measures.subject import Subject


@component("measure", "coda_lens")
class CodaLens(Lens):
    """What coda, last norm and head read from every loop and layer position, as if the loop ended there.

    The coda reads all positions as they stand at that place. Off its distribution: as in ``logit_lens``.
    """

    quantities = lens_quantities("coda_lens")
    source = "arXiv 2507.02199"
    null = "The ranks of the control token; the divergence of the mean output."
    deceives = (
        "The coda was trained on states after whole iterations, of as many loops as training drew: between layers it "
        "reads off its distribution, and a jump from layer to layer is then the lens's, not the model's."
    )

    def logits(self, subject: Subject, seen: LayerStates, site: Site) -> Tensor:
        return subject.read(seen.states[site], seen.frame, seen.batch)
