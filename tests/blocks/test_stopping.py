"""Positions that run on past the modules, apart from those that have stopped, have the numbers of steps."""

from __future__ import annotations

import pytest
import torch

import mythos_blocks as mb
from mythos_blocks.frame.flat import Flat
from mythos_blocks.frame.inlining import by_module, lies_flat
from mythos_blocks.frame.selection import Where
from tests.blocks.parts import WIDTH, randn, tokens
from tests.blocks.test_straight import CORES, made

ROWS, POSITIONS, NEVER = 3, 6, 99
# Within a sequence and whole ones, several times, and one that runs to the end.
COUNTS = torch.tensor([[1, 3, 2, NEVER, 2, 1], [2, 2, 2, 2, 2, 2], [NEVER, 3, NEVER, 1, 3, NEVER]])
ONE_BY_ONE = [c for c in CORES if c.get("tying") != "sequence"]
HALTING = [
    {"kind": "act", "halted_state": "frozen", "granularity": granularity, "mix": mix}
    for granularity in ("position", "sequence")
    for mix in ("accumulate", "interpolate")
] + [{"kind": "token_choice"}]


class StopAfter(mb.Exit):
    """Stops each position after an iteration of its own."""

    kind = "stop_after"

    def __init__(self, counts=COUNTS):
        super().__init__()
        self.counts, self.num_read = counts, 0

    def start(self, h):
        counts = self.counts[:, self.num_read : self.num_read + h.shape[1]]
        self.num_read += h.shape[1]
        return mb.ExitState(super().start(h).stopped, {"counts": counts, "ran": torch.zeros_like(counts)})

    def observe(self, state, old, new, read, t):
        ran = state.kept["ran"] + 1
        return mb.ExitState(state.stopped | (ran >= state.kept["counts"]), {**state.kept, "ran": ran})


@pytest.fixture
def num_steps(monkeypatch):
    """How many iterations have been taken as steps so far, in a list of one."""
    plain, taken = mb.Loop._run, [0]

    def run(self, *args, **kwargs):
        taken[0] += 1
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(mb.Loop, "_run", run)
    return taken


def model_of(core, dtype=torch.float64, **loops):
    return made(core, **loops).to(dtype).eval()


def both(run):
    torch.manual_seed(0)
    ours = run()
    torch.manual_seed(0)
    with by_module():
        return ours, run()


def assert_same(ours, wanted, rtol=1e-9):
    close = {"rtol": rtol, "atol": rtol}
    torch.testing.assert_close(ours.logits, wanted.logits, **close)
    torch.testing.assert_close(ours.state.h, wanted.state.h, **close)
    assert torch.equal(ours.executed, wanted.executed) and ours.executed.dtype is wanted.executed.dtype
    assert ours.num_loops == wanted.num_loops == len(ours.halting.weights)
    for first, second in zip(ours.halting.weights, wanted.halting.weights, strict=True):
        torch.testing.assert_close(first, second, **close)
    for name in ("stopped", "carry", "x"):
        first, second = getattr(ours.state, name), getattr(wanted.state, name)
        assert (first is None) == (second is None), name
        if first is not None:
            torch.testing.assert_close(first, second, **close)
    assert (ours.state.x_for, ours.state.num_loops) == (wanted.state.x_for, wanted.state.num_loops)
    torch.testing.assert_close(ours.losses, wanted.losses, **close)
    ours, wanted = ours.state.memory.contents, wanted.state.memory.contents
    assert {key for key in wanted if key[1] == "latest"} <= set(ours)
    for key in ours:
        torch.testing.assert_close(ours[key], wanted[key], **close)


def gradients(model, out):
    loss = out.logits.sin().sum() + sum((w * 0.1).sum() for w in out.halting.weights)
    return torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)


def assert_same_gradients(model, ours, wanted):
    names = [name for name, _ in model.named_parameters()]
    for name, first, second in zip(names, gradients(model, ours), gradients(model, wanted), strict=True):
        assert (first is None) == (second is None), name
        if first is not None:
            torch.testing.assert_close(first, second, rtol=1e-8, atol=1e-8, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("core", ONE_BY_ONE, ids=str)
def test_outputs_gradients_and_decoding_are_those_of_steps(core):
    model, ids = model_of(core), tokens(ROWS, POSITIONS)
    ours, wanted = both(lambda: model(ids, exit=StopAfter()))
    assert_same(ours, wanted)
    assert_same_gradients(model, ours, wanted)

    def decode():
        decoder = mb.Decoder(model, ROWS, exit=StopAfter())
        return [decoder.advance(part) for part in ids.split([3, 1, 2], 1)], decoder.cache.num_bytes

    (ours, held), (wanted, others) = both(decode)
    assert held == others
    for first, second in zip(ours, wanted, strict=True):
        assert_same(first, second)


@pytest.mark.parametrize("halting", HALTING, ids=str)
@pytest.mark.parametrize("window", [None, 2])
def test_halting_that_freezes_is_that_of_steps(halting, window, num_steps):
    model, ids = model_of({"halting": halting}, gradient_window=window), tokens(ROWS, POSITIONS)
    if halting["kind"] == "act":  # apart from each other, sequences too
        gate = model.core.halting.probability
        with torch.no_grad():
            gate.weight *= 20
            gate.bias.fill_(-8)
    for training, exit in ((True, None), (False, None), (False, StopAfter)):
        model.train(training)
        ours = model(ids, exit=exit and exit())
        assert num_steps == [0]
        with by_module():
            wanted = model(ids, exit=exit and exit())
        num_steps[0] = 0
        assert not bool((ours.executed == ours.executed[0, 0]).all())
        assert_same(ours, wanted)
        assert_same_gradients(model, ours, wanted)


@torch.no_grad()
@pytest.mark.parametrize("iterations", [COUNTS.clamp_max(4), torch.tensor([4, 1, 2]), [0, 1, 0, 1], 1], ids=str)
@pytest.mark.parametrize("exit", [None, StopAfter])
@pytest.mark.parametrize("kv_policy", ["per_loop", "last"])
def test_unequal_counts_and_other_orders_are_those_of_steps(iterations, exit, kv_policy, num_steps):
    model = model_of({"kv_policy": kv_policy})
    ids, real = tokens(ROWS, POSITIONS), torch.arange(POSITIONS) < torch.tensor([6, 4, 5])[:, None]
    for options in ({}, {"real": real}):
        run = lambda o=options: model(ids, iterations=iterations, exit=exit and exit(), **o)  # noqa: E731
        num_steps[0] = 0
        run()
        assert num_steps == [0]
        assert_same(*both(run))
    if isinstance(iterations, torch.Tensor) and iterations.dim() > 1:
        return

    def decode():
        counted = mb.Decoder(model, ROWS, iterations=iterations, padding=[0, 2, 1], exit=exit and exit())
        return [counted.advance(part) for part in ids.split([3, 1, 2], 1)]

    for first, second in zip(*both(decode), strict=True):
        assert_same(first, second)


@torch.no_grad()
def test_a_cache_gets_what_every_iteration_writes():
    """With one entry for all of them, and positions that run in place of those that were there."""
    model, ids = model_of({"kv_policy": "last"}), tokens(1, 3)

    def decode():
        decoder = mb.Decoder(model, 1, iterations=5, exit=StopAfter(torch.tensor([[1, NEVER, NEVER]])))
        return [decoder.advance(part) for part in ids.split([2, 1], 1)]

    for first, second in zip(*both(decode), strict=True):
        assert_same(first, second)


@torch.no_grad()
@pytest.mark.parametrize("core", [{}, {"layer": {"attention": "mla", "feedforward": "moe"}}], ids=str)
def test_other_dtypes_and_autocast_are_those_of_steps(core):
    model, ids = model_of(core, torch.float32), tokens(ROWS, POSITIONS)
    assert_same(*both(lambda: model(ids, exit=StopAfter())), rtol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert_same(*both(lambda: model(ids, exit=StopAfter())), rtol=0.05)
    model.to(torch.bfloat16)
    assert_same(*both(lambda: model(ids, exit=StopAfter())), rtol=0.05)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["kl", "argmax", "entropy", "latent"])
def test_rules_that_read_logits_read_those_of_steps(kind, num_steps):
    model, ids = model_of({"exit": kind}), tokens(ROWS, POSITIONS)
    model(ids)
    assert num_steps == [0]
    assert_same(*both(lambda: model(ids)))

    def decode():
        decoder = mb.Decoder(model, ROWS)
        return [decoder.advance(part) for part in ids.split([3, 1, 2], 1)]

    for first, second in zip(*both(decode), strict=True):
        assert_same(first, second)


@torch.no_grad()
@pytest.mark.parametrize("name", ["core.layers.0", "core.injection", "core.layers.0.attention", "core.halting"])
def test_who_watches_a_module_sees_it_called_in_every_iteration(name, num_steps):
    model, ids, seen = model_of({}), tokens(ROWS, POSITIONS), []
    before = model(ids, exit=StopAfter())
    assert num_steps == [0]
    model.get_submodule(name).register_forward_hook(lambda *args: seen.append(1))
    out = model(ids, exit=StopAfter())
    assert len(seen) == out.num_loops == 4
    assert_same(out, before)


@torch.no_grad()
def test_states_on_the_tape_are_of_all_positions():
    model, ids = model_of({}), tokens(ROWS, POSITIONS)
    ours, wanted = both(lambda: model(ids, exit=StopAfter(), record="states"))
    assert len(ours.states) == 4
    for first, second in zip(ours.states, wanted.states, strict=True):
        torch.testing.assert_close(first, second)


@torch.no_grad()
def test_a_step_goes_on_from_where_such_a_pass_ends():
    model, ids = model_of({}), tokens(ROWS, POSITIONS)
    ours, wanted = both(lambda: model(ids, exit=StopAfter()).state)
    for _ in range(2):
        ours, wanted = model.core.step(ours, ours.num_loops), model.core.step(wanted, wanted.num_loops)
        torch.testing.assert_close(ours.h, wanted.h)


@torch.no_grad()
def test_positions_lie_side_by_side_where_nothing_but_attention_looks_at_others(monkeypatch):
    lain = []
    plain = Flat.take
    monkeypatch.setattr(Flat, "take", lambda self, x: lain.append(1) or plain(self, x))
    for layer, are_flat in (
        ({}, True),
        ({"attention": {"kind": "gqa", "value_embeddings": 29}}, False),
        ({"attention": "mla"}, False),
        ({"feedforward": "separable_convolution"}, False),
        ({"kind": "pre_norm", "attention_loops": 2}, False),
        ({"kind": "post_norm", "attention_norm_over": "positions"}, False),
    ):
        lain.clear()
        model = model_of({"layer": layer})
        mask = mb.AttentionMask(causal=layer.get("attention_norm_over") is None)
        model(tokens(ROWS, POSITIONS), mask, exit=StopAfter())
        assert bool(lain) is are_flat is lies_flat(model.core.layers[0]), layer


def test_what_lies_side_by_side_goes_back_to_its_place():
    where, x = COUNTS > 2, randn(ROWS, POSITIONS, WIDTH)
    flat = Flat(Where.of(where).selection)
    part = flat.take(x)
    assert torch.equal(part[0], x[where])
    after = flat.put(x, -part)
    assert torch.equal(after, torch.where(where[..., None], -x, x))
    heads = part.unflatten(-1, (2, -1)).transpose(1, 2)
    rows = flat.in_rows(heads)
    assert rows.shape == (len(flat.rows), 2, int(where.sum(1).max()), WIDTH // 2)
    assert torch.equal(flat.in_one_row(rows), heads)
