"""A trained loop of which the truth is known, measured at more loops than it needs.

    python -m benchmarks.trained_loop --seeds 0 1 2    # a minute of CPU a seed

``gated_loop`` with a learned depth signal answers questions of 1 to 4 hops, a loop a hop, and need not tell one
iteration from another: at T = 7 four loops are used, of one operator. Beside it stands what the obvious statistic
says, skipping one loop at a time, and the loops from which on each number of hops is solved.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

from mythos_blocks import load_plugins
from mythos_lab.measures import Samples, Subject
from mythos_lab.measures.flips import Flips
from mythos_lab.measures.frontier import Frontier
from mythos_lab.measures.loop_verdict import LoopVerdict
from mythos_lab.measures.measuring import scalars, taken
from mythos_lab.recipe import load_recipe
from mythos_lab.training.result import load_run
from mythos_lab.training.run import run

_NUM_LOOPS = 7


def measured(seed: int) -> str:
    """What is said of the run of a seed."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        recipe = load_recipe(
            "gated_loop",
            [f"seed={seed}", "model.core.depth_signal=learned", "measures=[]", f"tracking.uri=sqlite:///{place}/m.db"],
        )
        run(recipe, folder=folder)
        recipe, model, task = load_run(folder)
    subject = Subject(model, Samples.of(task, recipe))
    outcomes = taken([LoopVerdict(num_loops=_NUM_LOOPS), Frontier()], subject)
    numbers = scalars(outcomes)
    subject.num_loops = _NUM_LOOPS
    with subject.evaluating():
        flips = Flips(subject, 1.0, float("inf"))
        words = [tuple(t for t in range(_NUM_LOOPS) if t != skipped) for skipped in range(_NUM_LOOPS)]
        skips = [flips.share(word).value for word in words]
    depths = [f"{v.of} in {v.value:g}" for v in outcomes[1].values if v.quantity == "frontier/depth"]
    used, distinct = numbers["loops/used"], numbers["loops/distinct"]
    _, bound = numbers["loops/distinct_flips"].interval or (0.0, 1.0)
    told = sum(share > 0.01 for share in skips)
    return (
        f"seed {seed}: (N, K) = ({used.value:g}, {distinct.value:g}) at T = {_NUM_LOOPS}: {distinct.note} flips "
        f"at most {bound:.1%}; {told} of {_NUM_LOOPS} single skips flip more than 1 %, the most {max(skips):.1%}; "
        f"solved: {', '.join(depths)}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    load_plugins()
    torch.set_num_threads(1)
    for each in parser.parse_args().seeds:
        print(measured(each), flush=True)
