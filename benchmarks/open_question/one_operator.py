"""How much the iterations of a trained loop differ: what changes when one of them runs in every slot."""

from __future__ import annotations

import json
import math
from pathlib import Path

from mythos_lab.measures.flips import Flips
from mythos_lab.measures.samples import Samples
from mythos_lab.measures.subject import Subject
from mythos_lab.training.result import load_run

_KEPT = "one_operator.json"


def flips_of_one_operator(folder: Path) -> float:
    """The least share of answers that change where one iteration runs in all slots; kept in the folder."""
    kept = folder / _KEPT
    if not kept.is_file():
        recipe, model, task = load_run(folder)
        subject = Subject(model, Samples.of(task, recipe))
        with subject.evaluating():
            flips = Flips(subject, 1.0, math.inf)
            words = [(t,) * subject.num_loops for t in range(subject.num_loops)]
            kept.write_text(json.dumps(min(flips.share(word).value for word in words)))
    return float(json.loads(kept.read_text()))
