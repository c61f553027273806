"""The loop driven from outside: other inputs, other starts, some positions only, everything recorded."""

from dataclasses import replace

import pytest
import torch

import mythos_blocks as mb
from tests.blocks.parts import EVERYTHING, model, randomise, tokens

TYINGS = ("cycle", "sequence")
EVERY = {**EVERYTHING, "halting": "none"}


def built(**core):
    made = model(**{**EVERY, **core}).eval()
    randomise(made, std=0.2)
    return made


@torch.no_grad()
def test_a_replaced_input_is_what_later_iterations_read():
    m = built()
    e, other = m.embedding(tokens(seed=0)), m.embedding(tokens(seed=1))

    state = m.core.step(m.core.start(e), 0)
    swapped = m.core.step(replace(state, e=other, x=None), 1)

    u = m.core.layers[0](m.core.injection.combine(state.h, other, m.core.depth_signal(1)), mb.Frame(t=1))
    y, _ = m.core.update(state.h, m.core.depth_adapter(u, 1))
    torch.testing.assert_close(swapped.h, m.core.injection.inject(state.h, other, y), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(swapped.h, m.core.step(state, 1).h, atol=1e-3)


@torch.no_grad()
def test_the_loop_goes_on_from_any_state():
    m = built()
    e = m.embedding(tokens())
    whole = m.core(e, None, [0, 1, 2, 3])

    middle = m.core(e, None, [0, 1])
    rest = m.core.start(e)
    rest = replace(rest, h=middle.h, carry=middle.carry)
    for t in (2, 3):
        rest = m.core.step(rest, t, last=t == 3)

    torch.testing.assert_close(rest.h, whole.h, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("compact", [True, False])
def test_positions_outside_the_mask_stay_and_are_read_as_they_last_wrote(compact):
    m = built()
    state = m.core.step(m.core.start(m.embedding(tokens(3))), 0)
    where = torch.rand(3, 8, generator=torch.Generator().manual_seed(0)) < 0.5
    where[0], where[1] = True, False

    after = m.core.step(state, 1, where=where, compact=compact)

    assert torch.equal(after.h[~where], state.h[~where])
    assert (after.h[where] != state.h[where]).any(-1).all()
    assert torch.equal(after.executed, 1 + where.long())
    plain = m.core.step(state, 1, where=where, compact=False)
    torch.testing.assert_close(after.h, plain.h, rtol=1e-4, atol=1e-5)
    # A row that runs whole is the row in a step of everything; one in which others rest is not.
    everything = m.core.step(state, 1)
    torch.testing.assert_close(after.h[0], everything.h[0], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(after.h[2][where[2]], everything.h[2][where[2]], atol=1e-3)


@torch.no_grad()
def test_a_state_can_be_stepped_from_twice():
    m = built()
    state = m.core.step(m.core.start(m.embedding(tokens())), 0)

    left, right, again = m.core.step(state, 1), m.core.step(state, 3), m.core.step(state, 1)

    assert torch.equal(left.h, again.h) and not torch.equal(left.h, right.h)


@torch.no_grad()
def test_everything_is_recorded_at_every_iteration_and_layer_without_changing_the_logits():
    m = mb.LoopedTransformer(29, width=32, prelude={"depth": 2}, coda={"depth": 1},
                             core={"depth": 2, "injection": "lti", "loops": {"kind": "fixed", "num_loops": 3}}).eval()  # fmt: skip
    randomise(m, std=0.2)

    out, silent = m(tokens(), record=True), m(tokens())

    assert torch.equal(out.logits, silent.logits) and not silent.tape and not silent.states
    outer = {("prelude", 0), ("prelude", 1), ("coda", 0)}
    assert set(out.tape) == outer | {("core", t) for t in range(3)} | {
        ("core", t, i) for t in range(3) for i in range(2)
    }
    seen = []
    handles = [layer.register_forward_hook(lambda *args: seen.append(args[2])) for layer in m.core.layers]
    m(tokens())
    for handle in handles:
        handle.remove()
    for (t, i), value in zip([(t, i) for t in range(3) for i in range(2)], seen, strict=True):
        assert torch.equal(out.tape["core", t, i], value)
    assert torch.equal(out.tape["core", 2], out.state.h)


@torch.no_grad()
def test_records_of_a_compacted_pass_are_those_of_the_plain_one():
    m = built(halting={"kind": "act", "halted_state": "frozen", "initial_bias": -1.0})

    compact, plain = (m(tokens(3), iterations=5, compact=c, record=True) for c in (True, False))

    for t, (one, other) in enumerate(zip(compact.states, plain.states, strict=True)):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4, msg=str(t))


@pytest.mark.parametrize("counts", [torch.tensor([1, 4, 2]), torch.tensor([5, 5, 5])], ids=["unequal", "equal"])
def test_counts_for_each_sequence_are_each_sequence_alone(counts):
    m = model(injection="lti", loops={"kind": "fixed", "num_loops": 5, "gradient_window": 2}).train()
    randomise(m, std=0.2)
    ids = tokens(3)

    together = m(ids, iterations=counts)
    together.logits.sin().sum().backward()
    gradients = [p.grad.clone() for p in m.parameters()]
    m.zero_grad()
    for row, count in enumerate(counts.tolist()):
        alone = m(ids[row : row + 1], iterations=count)
        torch.testing.assert_close(together.logits[row], alone.logits[0], rtol=1e-4, atol=1e-5)
        alone.logits.sin().sum().backward()

    assert together.executed[:, 0].tolist() == counts.tolist()
    for one, parameter in zip(gradients, m.parameters(), strict=True):
        torch.testing.assert_close(one, parameter.grad, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_counts_for_each_position_freeze_a_position_once_it_has_run():
    m = built()
    counts = torch.randint(1, 5, (3, 8), generator=torch.Generator().manual_seed(0))

    out, plain = (m(tokens(3), iterations=counts, compact=compact) for compact in (True, False))

    assert torch.equal(out.executed, counts)
    torch.testing.assert_close(out.logits, plain.logits, rtol=1e-4, atol=1e-4)
    mass = torch.stack(out.halting.weights).sum(0)
    torch.testing.assert_close(mass, torch.ones_like(mass))
    full = m(tokens(3), iterations=torch.full((3, 8), 4))
    torch.testing.assert_close(full.logits, m(tokens(3), iterations=4).logits, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_tying_in_sequence_finishes_a_layer_before_it_goes_on_to_the_next():
    m = built(depth=2, tying="sequence", injection="none", update="replace", depth_adapter="none")
    e = m.embedding(tokens())
    h = e
    for i in range(2):
        for t in range(3):
            h = m.core.layers[i](h + m.core.depth_signal(t), mb.Frame(t=t))

    torch.testing.assert_close(m.core(e, None, 3).h, h, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="one loop count for all"):
        m(tokens(), iterations=torch.tensor([1, 2]))


@pytest.mark.parametrize("counts", [torch.tensor([0, 1]), torch.tensor([[1]]), torch.tensor([1, 2, 3])], ids=str)
def test_counts_that_cannot_be_are_refused(counts):
    with pytest.raises(ValueError, match="loop counts must be|at least one iteration"):
        model()(tokens(2), iterations=counts)


def test_one_layer_after_the_other_is_a_loop_where_there_is_one_layer():
    cycle, sequence = (built(depth=1, tying=tying)(tokens(), iterations=torch.tensor([4, 2])) for tying in TYINGS)
    torch.testing.assert_close(cycle.logits, sequence.logits)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["own_token", "all_tokens"])
def test_layers_that_read_over_depth_may_be_driven_past_the_loops_that_were_said(kind):
    m = built(layer={"kind": "mixture", "depth_attention": kind}, depth_adapter="none")
    e = m.embedding(tokens())
    state = m.core.start(e, num_loops=1)
    for t in range(5):
        state = m.core.step(state, t, last=t == 4)
    torch.testing.assert_close(state.h, m.core(e, None, 5).h, rtol=1e-4, atol=1e-4)
