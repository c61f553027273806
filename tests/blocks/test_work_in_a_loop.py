"""What an iteration costs, by count, and that what is made once a pass is what each iteration would make."""

from __future__ import annotations

import copy
import functools

import pytest
import torch

import mythos_blocks as mb
from benchmarks.generation import StopShare
from benchmarks.hand_written import declaration
from benchmarks.loops import FEW, added, decoding, num_calls, num_operations, passes, some_tokens, steps
from mythos_blocks.generation.slots import Slots
from mythos_blocks.tensors.rotation import Rotation, rotate
from tests.blocks.parts import VOCAB, WIDTH, kinds, make, randn, randomise, tokens

CASES = {"forward": passes(8), "training": steps(8), "decoding": decoding(1, 4, 1)}
# In an iteration, more than the hand-written loop's: fewer of both, since nothing in it is called as a module, the sum
# ``B * e`` is made once, and queries are split into heads as they are turned.
MORE_OPERATIONS = {"forward": -2, "training": -4, "decoding": 0}
MORE_CALLS = {"forward": -59, "training": -59, "decoding": -52}
# In a pass, whatever its loops: what is asked once. A dtype is asked for by a call of Python, and not by one of torch.
MORE_ONCE = 561

# In an iteration of eight sequences of which a share has stopped, more than in one without a rule that stops them: of a
# rule, with what is observed of it, and of taking positions apart. Calls, and operations.
MORE_BY_STOPPING = {
    ("reading", 0.0): (14, 5),
    ("reading", 0.5): (35, 35),
    ("decoding", 0.0): (11, 5),
    ("decoding", 0.5): (26, 17),
}

# In an iteration of eight sequences at mixed depths, more than in one of a decoder: the copies of what each reads.
MORE_AT_MIXED_DEPTHS = (4, 9)


@pytest.mark.parametrize("case", CASES)
def test_an_iteration_costs_no_more_than_one_that_is_written_by_hand(case):
    both = CASES[case].ours, CASES[case].theirs
    operations, others = (added(make, num_operations, 64) for make in both)
    assert operations - others <= MORE_OPERATIONS[case], (operations, others)
    calls, others = (added(make, num_calls, 64) for make in both)
    assert calls - others <= MORE_CALLS[case], (calls, others)


@pytest.mark.parametrize("case", CASES)
def test_a_pass_asks_few_things_once(case):
    once = []
    for side in (CASES[case].ours, CASES[case].theirs):
        run = side(64, FEW)
        run()
        once.append(num_calls(run) - FEW * added(side, num_calls, 64))
    assert once[0] - once[1] <= MORE_ONCE, once


def stopping(what, share):
    """From a width and a loop count to a run in which this share of eight sequences' positions stops early."""
    ids, rule = some_tokens(8, 9), None if share is None else StopShare(share)

    def make(width, num_loops):
        model = mb.LoopedTransformer(512, **declaration(width, num_loops)).eval()
        if what == "reading":
            return torch.no_grad()(lambda: model(ids, exit=rule))
        decoder = mb.Decoder(model, 8, capacity=9)
        decoder.prefill(ids[:, :8])
        decoder.exit = rule

        def run():
            decoder.cache.truncate(8)
            decoder.step(ids[:, 8])

        return run

    return make


@pytest.mark.parametrize(("what", "share"), MORE_BY_STOPPING)
def test_an_iteration_costs_little_more_where_positions_stop(what, share):
    for count, most in zip((num_calls, num_operations), MORE_BY_STOPPING[what, share], strict=True):
        stops, runs = (added(stopping(what, s), count, 64) for s in (share, None))
        assert stops - runs <= most, (count.__name__, stops, runs)


def at_mixed_depths(width, num_loops):
    """A run of so many iterations of eight sequences, of which four are two iterations ahead."""
    slots = Slots(mb.LoopedTransformer(512, **declaration(width, 32)), 8, 1, 32)
    ids = some_tokens(8, 1)
    for some, ahead in ((range(4), 2), (range(4, 8), 0)):
        slots.append([(slot, ids[slot], [32], None) for slot in some])
        assert not ahead or slots.iterate(some, ahead) == ahead

    def run():
        assert slots.iterate(range(8), num_loops) == num_loops

    return run


@torch.no_grad()
def test_an_iteration_costs_little_more_at_mixed_depths():
    def at_equal_depths(width, num_loops):
        decoder = mb.Decoder(mb.LoopedTransformer(512, **declaration(width, num_loops)), 8, capacity=9)
        decoder.prefill(some_tokens(8, 8))

        def run():
            decoder.cache.truncate(8)
            decoder.step(some_tokens(8, 9)[:, 8])

        return run

    for count, most in zip((num_calls, num_operations), MORE_AT_MIXED_DEPTHS, strict=True):
        mixed, equal = (added(make, count, 64) for make in (at_mixed_depths, at_equal_depths))
        assert mixed - equal <= most, (count.__name__, mixed, equal)


def turning_kinds():
    return [kind for _, kind in kinds("attention") if kind != "mixer" and make("attention", kind).turning]


def sized(kind):
    """An attention whose rotation is of 16 channels, which are turned as complex numbers."""
    return {"kind": kind, **({"rope_dim": 16} if kind == "mla" else {"head_dim": 16})}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize(
    "positions", [None, torch.arange(6) + 3, torch.tensor([[0, 1, 2, 3, 4, 5], [7, 8, 0, 1, 2, 3]])]
)
@pytest.mark.parametrize("kind", turning_kinds())
def test_a_rotation_that_a_pass_makes_has_the_bits_of_one_that_a_layer_makes(kind, positions, dtype):
    part, x = make("attention", sized(kind)).to(dtype), randn(2, 6, WIDTH).to(dtype).requires_grad_()
    alone = mb.Frame(positions=positions)
    results = []
    for frame in (alone, alone.placed(x, [part.turning])):
        out = part(x, frame)
        results.append((out, *torch.autograd.grad(out.sin().sum(), [x, *part.parameters()])))
    for first, second in zip(*results, strict=True):
        assert torch.equal(first, second)


@torch.no_grad()
@pytest.mark.parametrize("kind", turning_kinds())
@pytest.mark.parametrize("what", ["positions", "theta", "dtype", "length"])
def test_a_rotation_that_no_longer_fits_is_made_anew(kind, what):
    part, x = make("attention", sized(kind)), randn(2, 6, WIDTH)
    frame = mb.Frame().placed(x, [part.turning])
    if what == "positions":
        frame = mb.frame.frame.changed(frame, positions=torch.arange(6) * 2)
    elif what == "theta":
        part.rope_theta = 7.0
    elif what == "dtype":
        part, x = part.double(), x.double()
    else:
        x = x[:, :4]
    assert torch.equal(part(x, frame), part(x, mb.Frame(positions=frame.positions)))


@torch.no_grad()
@pytest.mark.parametrize("kind", turning_kinds())
def test_a_pass_makes_a_rotation_once(kind, monkeypatch):
    layer = {"attention": kind}
    core = {"depth": 2, "layer": layer, "loops": {"kind": "fixed", "num_loops": 3}}
    model = mb.LoopedTransformer(VOCAB, width=WIDTH, prelude={"layer": layer}, core=core, coda={"layer": layer})
    made, by_position = [], Rotation.by_position
    monkeypatch.setattr(Rotation, "by_position", lambda *args: made.append(args) or by_position(*args))
    model(tokens())
    assert len(made) == 1
    model(tokens(), iterations=torch.arange(16).view(2, 8) % 3 + 1)  # some positions run on alone
    assert len(made) == 2


@pytest.mark.parametrize("channels", [4, 16, 48])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_pairs_as_complex_numbers_have_the_bits_of_the_real_form(channels, dtype):
    turn = functools.partial(rotate, positions=torch.arange(5), theta=50.0)
    x = randn(3, 2, 5, channels).to(dtype)
    assert torch.equal(turn(x), torch.func.vmap(turn)(x))  # transforms take the real form
    # Neighbours that do not lie side by side, or not in whole pairs of the memory.
    for odd in (randn(2, 5, channels + 1)[..., 1:], randn(2, channels, 5).mT, randn(2, 5, 2 * channels)[..., ::2]):
        assert torch.equal(turn(odd), turn(odd.contiguous()))


@pytest.mark.parametrize("kind", [kind for _, kind in kinds("injection")])
@pytest.mark.parametrize("window", [None, 2])
def test_a_pass_has_the_numbers_of_its_iterations_one_by_one(kind, window):
    """Step by step, nothing is made ahead."""
    loops = {"kind": "fixed", "num_loops": 4, "gradient_window": window}
    core = {"injection": kind, "depth_signal": "sinusoidal", "update": "residual", "loops": loops}
    model = mb.LoopedTransformer(VOCAB, width=WIDTH, core=core).train()
    randomise(model, std=0.2)
    whole = model(tokens()).state.h
    state = model.core.start(model.encode(tokens()))
    for t in range(4):
        state = model.core.step(state, mb.Step(t, next_t=t + 1 if t < 3 else None), graph=window is None or t >= 2)
    assert torch.equal(whole, state.h)
    names = [name for name, p in model.core.named_parameters() if p.requires_grad]
    gradients = [
        torch.autograd.grad(h.sin().sum(), [model.core.get_parameter(n) for n in names], allow_unused=True)
        for h in (whole, state.h)
    ]
    for name, first, second in zip(names, *gradients, strict=True):
        assert (first is None) == (second is None), name
        if first is not None:
            torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("kind", [kind for _, kind in kinds("injection")])
def test_weights_that_change_between_passes_and_steps_are_read_anew(kind):
    core = {"injection": kind, "depth_signal": "sinusoidal", "loops": {"kind": "fixed", "num_loops": 3}}
    model = mb.LoopedTransformer(VOCAB, width=WIDTH, core=core)
    randomise(model, std=0.2)
    model(tokens()).logits.sum().backward()
    state = model.core.step(model.core.start(model.encode(tokens()).detach()), 0)
    state.h.sum().backward()  # what a step has made is its own: its graph is gone after this
    randomise(model.core.injection, seed=1)
    fresh = copy.deepcopy(model)
    assert torch.equal(model(tokens()).logits, fresh(tokens()).logits)
    state = state.detached(mb.frame.selection.Where.everywhere(state.h))
    after, wanted = model.core.step(state, 1).h, fresh.core.step(state, 1).h
    assert torch.equal(after, wanted)
    model.zero_grad()
    after.sum().backward()
    assert any(p.grad is not None for p in model.core.parameters())


@torch.no_grad()
@pytest.mark.parametrize("kind", [kind for _, kind in kinds("injection")])
def test_weights_that_stand_in_for_a_model_s_own_serve_its_whole_pass(kind):
    core = {"injection": kind, "loops": {"kind": "fixed", "num_loops": 3}}
    model = mb.LoopedTransformer(VOCAB, width=WIDTH, core=core)
    randomise(model, std=0.2)
    others = {name: p * 1.5 for name, p in model.named_parameters()}
    stood_in = torch.func.functional_call(model, others, (tokens(),)).logits
    model.load_state_dict(others, strict=False)
    assert torch.equal(model(tokens()).logits, stood_in)


def test_what_a_pass_has_made_once_keeps_no_graph_in_what_it_returns():
    model = mb.LoopedTransformer(
        VOCAB, width=WIDTH, core={"injection": "lti", "loops": {"kind": "fixed", "num_loops": 3}}
    )
    out = model(tokens())
    places = out.state.frame.places
    assert places is not None
    held = [places.ids, *(x for r in places.rotations.values() for x in (r.cos, r.sin, r.turns))]
    assert not any(x.requires_grad for x in held)


def test_an_injection_of_ones_own_that_knows_nothing_of_what_is_prepared_is_called_without_it():
    class Doubled(mb.LTI):
        def inject(self, h, e, y, t=0):
            return 2 * super().inject(h, e, y, t)

    model = mb.LoopedTransformer(
        VOCAB, width=WIDTH, core={"injection": "lti", "loops": {"kind": "fixed", "num_loops": 2}}
    )
    before = model(tokens()).state.h
    model.core.injection.__class__ = Doubled
    assert not torch.allclose(model(tokens()).state.h, before)


@pytest.mark.parametrize("cast", ["float", "double", "bfloat16"])
def test_sinusoids_that_were_made_ahead_are_those_that_would_be_made(cast):
    signal = getattr(mb.Sinusoidal(WIDTH, 3), cast)()
    for t in range(6):
        assert torch.equal(signal(t), signal._signal(t)) and torch.equal(signal(torch.tensor(t)), signal(t))
