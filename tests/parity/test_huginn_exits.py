"""Our exit rules in a model of Huginn's shape, against the published criteria written out, by loop counts."""

import pytest
import torch

from mythos_blocks import Slot
from mythos_blocks.checkpoints import from_huginn
from tests.parity.from_state import randomised
from tests.parity.huginn import CONFIG, Huginn
from tests.parity.huginn_exits import num_loops

LOOPS = 40
THRESHOLDS = {
    "latent": [0.03, 0.3, 1.6],
    "cosine": [1e-3, 0.1, 1.1],
    "entropy": [1e-3, 0.05, 97.0],
    "kl": [1e-3, 0.1, 0.8],
    "min_p_kl": [1e-5, 0.01, 0.6],
    "argmax": [1, 2, 5],
}
CASES = [(kind, threshold) for kind, thresholds in THRESHOLDS.items() for threshold in thresholds]


def trajectories(theirs, mine, tokens):
    """States from the initial one on, and logits from the first iteration on, of tokens that stand alone."""
    e = theirs.input(tokens)
    states, logits = [mine.core.start(e).h], []
    for _ in range(LOOPS):
        states.append(theirs.iterate(states[-1], e))
        logits.append(theirs.read(states[-1]))
    rows = range(len(tokens))
    return [[h[i, 0].tolist() for h in states] for i in rows], [[x[i, 0].tolist() for x in logits] for i in rows]


@pytest.fixture(scope="module", params=[(0, 0.35), (1, 0.5), (2, 0.6)], ids=str)
def models(request):
    seed, gain = request.param
    theirs = randomised(Huginn(), seed, gain).double()
    mine = from_huginn(theirs.state_dict(), CONFIG).eval()
    tokens = torch.arange(24)[:, None]
    with torch.no_grad():
        return mine, tokens, *trajectories(theirs, mine, tokens)


@torch.no_grad()
@pytest.mark.parametrize("min_loops", [1, 2, 4])
@pytest.mark.parametrize("kind, threshold", CASES)
def test_as_many_iterations_run_as_there(models, kind, threshold, min_loops):
    mine, tokens, states, logits = models
    own = {"patience": threshold} if kind == "argmax" else {"threshold": threshold}
    rule = Slot("exit").resolve({"kind": kind, "min_loops": min_loops, **own}).build(CONFIG["n_embd"])

    ran = mine(tokens, iterations=LOOPS, exit=rule).executed.flatten().tolist()

    wanted = [num_loops(kind, h, x, **own, min_steps=min_loops - 1) for h, x in zip(states, logits, strict=True)]
    assert ran == wanted
