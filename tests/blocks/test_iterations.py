"""The loop's definition, written out; the order of its iterations; its gradient window."""

from dataclasses import replace

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

import mythos_blocks as mb
from mythos_blocks.frame.memory import Memory
from mythos_blocks.frame.selection import Where
from tests.blocks.parts import EVERYTHING, kinds, model, observed, randomise, started, tokens

FRAME = mb.Frame()
CORES = {
    "bare": {},
    "everything": EVERYTHING,
    "everything, frozen": {**EVERYTHING, "halting": {"kind": "act", "halted_state": "frozen"}},
    **{f"{slot} {kind}": {slot: kind} for slot, kind in kinds("injection", "update", "depth_signal", "depth_adapter")},
    "initial_state zeros": {"initial_state": "zeros", "injection": "add"},
}
EACH_CORE = pytest.mark.parametrize("core", CORES.values(), ids=CORES)


def detached(halting):
    """What a halting rule has seen, as numbers without a history."""
    values = {name: v.detach() for name, v in vars(halting).items() if isinstance(v, torch.Tensor)}
    return replace(halting, **values, weights=[weight.detach() for weight in halting.weights])


def by_definition(core, e, order, window=None):
    """The readout by the loop's docstring: no fusion, no preparation, no early exit; a detach before the window.

    Where halting freezes, everything is computed and the halted positions are put back; their keys and values are held.
    """
    first = 0 if window is None else max(0, len(order) - window)
    h, carry = core.initial_state(e), None
    halting, memory = started(core.halting, h), Memory(core.kv_policy)
    for i, t in enumerate(order):
        if 0 < i == first:
            h, halting = h.detach(), detached(halting)
            carry = None if carry is None else carry.detach()
        halted = halting.halted if core.halting.freezes else None
        page = memory.open(t)
        running = None if halted is None else Where.of(~halted)
        if carry is None:
            carry = core.update.start(h)
        x = u = core.injection.combine(
            core.depth_signal.transform(h, t), e, core.depth_signal(t, torch.arange(e.shape[1]))
        )
        frame = replace(
            FRAME, t=t, index=torch.tensor(t), memory=page, running=running, adapter=core.depth_adapter.inner()
        )
        for number, layer in enumerate(core.layers):
            u = layer(u, frame.at("core", number))
        memory = page.closed()
        y, carry = core.update(h, core.depth_adapter(u, t), carry)
        new = core.injection.inject(h, e, y)
        h = new if halted is None else torch.where(halted.unsqueeze(-1), h, new)
        halting = observed(core.halting, halting, h, x=x, last=i == len(order) - 1, t=t)
    return halting.readout


@torch.no_grad()
@pytest.mark.parametrize("order", [[0], [0, 1, 2, 3], [0, 2, 3], [1, 1, 1], [3, 0, 2, 1], [0, 9, 40]], ids=str)
@EACH_CORE
def test_the_loop_is_its_definition_in_any_order_of_indices(core, order):
    built = model(**core)
    randomise(built, std=0.2)
    e = built.embedding(tokens())

    readout = built.core(e, FRAME, order).halting.readout

    torch.testing.assert_close(readout, by_definition(built.core, e, order), rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("hint", ["right", "wrong", "none"])
@EACH_CORE
def test_stepping_from_outside_is_forward_whatever_is_foretold(core, hint):
    built = model(**core)
    randomise(built, std=0.2)
    e, order = built.embedding(tokens()), [0, 2, 1, 3]
    foretold = {"right": [2, 1, 3, None], "wrong": [1, 2, 0, None], "none": [None] * 4}[hint]

    state = built.core.start(e)
    for t, next_t in zip(order, foretold, strict=True):
        before = state.h.clone()
        after = built.core.step(state, mb.Step(t, next_t=next_t, last=t == 3))
        assert torch.equal(state.h, before), "a step changes the state that it was given"
        state = after

    assert state.num_loops == int(state.executed.max()) > 1
    wanted = built.core(e, FRAME, order).halting.readout
    torch.testing.assert_close(state.halting.readout, wanted, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_swapping_indices_is_the_identity_exactly_where_nothing_tells_iterations_apart():
    for core in CORES.values():
        built = model(**core).eval()
        randomise(built, std=0.2)
        told = built.core.depth_signal.kind != "none" or built.core.depth_adapter.kind != "none"

        swapped, straight = (built(tokens(), iterations=order).logits for order in ([1, 0, 2], [0, 1, 2]))

        assert torch.equal(swapped, straight) is not told, core


@torch.no_grad()
def test_a_count_is_the_indices_from_zero_and_none_is_the_samplers_mean():
    built = model(num_loops=5, **EVERYTHING).eval()

    logits = [built(tokens(), iterations=i).logits for i in (5, range(5), [0, 1, 2, 3, 4], None)]

    assert all(torch.equal(other, logits[0]) for other in logits[1:])


@pytest.mark.parametrize("iterations", [0, -1, []])
def test_no_iteration_at_all_is_refused(iterations):
    with pytest.raises(ValueError, match="at least one iteration"):
        model()(tokens(), iterations=iterations)


def gradients(built, readout):
    loss = built.head(built.norm(readout)).square().mean()
    return torch.autograd.grad(loss, list(built.parameters()), allow_unused=True)


@pytest.mark.parametrize("window", [1, 2, 5, 6, 9])
@EACH_CORE
def test_gradients_are_those_of_a_loop_that_is_detached_before_the_window(core, window):
    built = model(loops={"kind": "fixed", "num_loops": 6, "gradient_window": window}, **core).train()
    randomise(built, std=0.2)

    ours = gradients(built, built.core(built.embedding(tokens()), FRAME).halting.readout)
    wanted = gradients(built, by_definition(built.core, built.embedding(tokens()), range(6), window))

    for (name, _), one, other in zip(built.named_parameters(), ours, wanted, strict=True):
        if core.get("halting") == EVERYTHING["halting"]:
            assert (one is None) == (other is None), name
        one, other = (torch.zeros(()) if g is None or not g.any() else g for g in (one, other))
        if one.any() or other.any():
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5, msg=lambda m, name=name: f"{name}: {m}")


def saved_bytes(built, num_loops):
    """Bytes that the forward pass keeps for the backward, each storage once; parameters are there anyway."""
    kept, parameters = {}, {p.untyped_storage().data_ptr() for p in built.parameters()}

    def pack(tensor):
        if tensor.untyped_storage().data_ptr() not in parameters:
            kept[tensor.untyped_storage().data_ptr()] = tensor  # holds it, so that no address is used twice
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = built(tokens(), iterations=num_loops).logits
    assert logits.requires_grad
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


@EACH_CORE
def test_what_training_keeps_follows_the_window_and_not_the_loop_count(core):
    windowed = model(loops={"kind": "fixed", "num_loops": 24, "gradient_window": 3}, **core).train()
    whole = model(num_loops=24, **core).train()

    short, long = saved_bytes(windowed, 6), saved_bytes(windowed, 24)
    all_of_6, all_of_24 = saved_bytes(whole, 6), saved_bytes(whole, 24)

    # A halting rule keeps one weight a position for each loop; everything else is the window's.
    assert long - short <= 24 * 4 * tokens().numel() * 8
    assert all_of_24 > 3 * all_of_6 and all_of_6 > 1.3 * short


def test_evaluation_keeps_the_whole_graph_whatever_the_window():
    windowed = model(loops={"kind": "fixed", "num_loops": 6, "gradient_window": 1})

    assert saved_bytes(windowed.eval(), 6) > 2 * saved_bytes(windowed.train(), 6)


def test_no_graph_is_made_where_gradients_are_off():
    built = model(loops={"kind": "fixed", "num_loops": 6, "gradient_window": 2}).train()

    with torch.no_grad():
        assert not built(tokens()).logits.requires_grad
    with torch.inference_mode():
        assert not built(tokens()).logits.requires_grad


def test_the_prelude_gets_gradient_through_an_injection_inside_the_window():
    built = mb.LoopedTransformer(
        29,
        width=32,
        prelude={"depth": 1},
        core={"injection": "lti", "loops": {"kind": "fixed", "num_loops": 6, "gradient_window": 1}},
    )

    built.train()(tokens()).logits.square().mean().backward()

    assert all(parameter.grad.any() for parameter in built.prelude.parameters())


@torch.no_grad()
def test_logits_of_a_sequence_do_not_depend_on_its_batch_even_where_halting_ends_the_loop():
    built = model(16, injection="lti", halting={"kind": "act", "initial_bias": 0.0}).eval()
    randomise(built, std=0.2)
    ids = tokens(4)

    together = built(ids).logits

    for i in range(4):
        torch.testing.assert_close(built(ids[i : i + 1]).logits[0], together[i], rtol=1e-4, atol=1e-4)


@torch.no_grad()
@EACH_CORE
def test_the_model_is_causal_through_all_its_loops(core):
    built = model(**core).eval()
    randomise(built, std=0.2)
    ids, changed = tokens(), tokens()
    changed[:, 5] = (changed[:, 5] + 1) % 29

    before, after = built(ids).logits, built(changed).logits

    torch.testing.assert_close(before[:, :5], after[:, :5], rtol=0, atol=1e-5)
    assert (before[:, 5:] - after[:, 5:]).abs().amax(-1).min() > 1e-4
