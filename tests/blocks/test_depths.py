"""What iterations write for later ones lies side by side, and is copied there once."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import mythos_blocks as mb
from mythos_blocks.frame.depths import Depths
from tests.blocks.parts import VOCAB, WIDTH, randn, randomise, tokens

READS = ["own_token", "all_tokens", {"kind": "own_token", "window": 2}]
COUNTS = torch.tensor([[1, 5, 2, 3, 5, 4], [4] * 6])
PASSES = {
    "all run all": {},
    "a count each": {"iterations": torch.tensor([2, 5])},
    "a count for each position": {"iterations": COUNTS},
    "computed and put back": {"iterations": COUNTS, "compact": False},
}


def looped(reads="own_token", num_loops=5, gradient_window=None):
    loops = {"kind": "fixed", "num_loops": num_loops, "gradient_window": gradient_window}
    core = {"layer": {"kind": "mixture", "depth_attention": reads}, "injection": "add", "loops": loops}
    made = mb.LoopedTransformer(VOCAB, width=WIDTH, core=core).train()
    randomise(made, std=0.2)
    return made


def plainly(self, written, room, dim):
    """What defines the meaning of :meth:`Depths.stacked`."""
    return torch.stack(tuple(written), dim)


def results(made, **options):
    logits = made(tokens(2, 6), **options).logits
    return logits, *torch.autograd.grad(logits.sin().sum(), list(made.parameters()))


@pytest.mark.parametrize("run", PASSES)
@pytest.mark.parametrize("reads", READS, ids=str)
@pytest.mark.parametrize("window, checkpointing", [(None, "none"), (None, "layer"), (None, "iteration"), (2, "none")])
def test_what_is_read_has_the_bits_of_a_stack_made_in_each_iteration(reads, run, window, checkpointing, monkeypatch):
    made = looped(reads, gradient_window=window)
    made.set_checkpointing(checkpointing)
    found = results(made, **PASSES[run])
    monkeypatch.setattr(Depths, "stacked", plainly)
    for one, other in zip(found, results(made, **PASSES[run]), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("reads", READS, ids=str)
def test_a_pass_that_branches_off_leaves_the_other_as_it_was(reads):
    made = looped(reads)
    core, e = made.core, made.embedding(tokens(2, 6))

    def branches(where):
        begun = core.step(core.step(core.start(e), 0), 1)
        ends = [core.step(core.step(begun, t), 3).h for t in where]
        return [torch.autograd.grad(h.sin().sum(), list(core.layers.parameters()), retain_graph=True) for h in ends]

    together, alone = branches([2, 7]), [branches([2])[0], branches([7])[0]]
    for one, other in zip(together, alone, strict=True):
        assert all(map(torch.equal, one, other))


def test_gradients_have_gradients():
    depths, rows = Depths(), [randn(1, 2, 3, seed=i).double().requires_grad_() for i in range(3)]

    def read(*rows):
        return depths.stacked(rows[:2], 3, -4).sin().sum() * depths.stacked(rows, 3, -4).square().sum()

    assert torch.autograd.gradcheck(read, rows) and torch.autograd.gradgradcheck(read, rows)


class Copied(TorchDispatchMode):
    """How many numbers are copied."""

    NAMES = ("copy_", "cat", "stack", "index_copy", "clone", "index_select")

    def __init__(self):
        super().__init__()
        self.num = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ in self.NAMES:
            self.num += out.numel()
        return out


@pytest.mark.parametrize("grad", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("reads", ["own_token", "all_tokens"])
def test_copies_grow_as_the_loop_count_does(reads, grad):
    """Each iteration copies what it has written, and nothing of those before it."""
    copied = []
    for num_loops in (4, 8, 16):
        made = looped(reads, num_loops)
        with Copied() as counter, torch.set_grad_enabled(grad):
            made(tokens(2, 6))
        copied.append(counter.num)
    assert copied[2] - copied[1] == 2 * (copied[1] - copied[0]) > 0
