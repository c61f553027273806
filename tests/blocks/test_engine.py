"""Continuous depth batching gives each request what it gets alone, and computes nothing that no exit asks for."""

import pytest
import torch

import mythos_blocks as mb
from mythos_blocks.frame.inlining import by_module
from mythos_blocks.generation import Engine, Sampling, generate, read_at_exits
from tests.blocks.decoding import decoding_model
from tests.blocks.parts import VOCAB, kinds, make

LOOPS = 6
GENERATOR = torch.Generator().manual_seed(3)
PROMPTS = [torch.randint(VOCAB, (size,), generator=GENERATOR) for size in (3, 12, 1, 5, 7, 2)]
COUNTS, NEW = (6, 1, 4, 2, 5, 3), (4, 6, 3, 7, 1, 5)


def served(model, exits=(None,) * 6, **options):
    """The tokens of each request."""
    engine = Engine(model, capacity=20, max_loops=LOOPS, **{"num_slots": 3, **options})
    for i, (prompt, count, num_new, exit) in enumerate(zip(PROMPTS, COUNTS, NEW, exits, strict=True)):
        sampling = Sampling(temperature=float(i % 2))
        number = engine.submit(prompt, num_loops=count, max_new_tokens=num_new, exit=exit, sampling=sampling, seed=i)
        assert number == i
    found = [[] for _ in PROMPTS]
    for new in engine:
        found[new.request].append(new)
    assert engine.is_idle and engine.work.computed == engine.work.wanted
    return found, engine


def check(model, exits=(None,) * 6, atol=1e-12, **options):
    found, engine = served(model, exits, **options)
    for prompt, count, num_new, exit, news in zip(PROMPTS, COUNTS, NEW, exits, found, strict=True):
        assert [new.is_last for new in news] == [False] * (num_new - 1) + [True]
        whole = torch.cat((prompt, torch.tensor([new.token for new in news[:-1]], dtype=torch.long)))[None]
        logits, depths = read_at_exits(model, whole, torch.full(whole.shape, count), exit)
        behind = slice(len(prompt) - 1, None)
        torch.testing.assert_close(torch.stack([new.logits for new in news]), logits[0, behind], rtol=0, atol=atol)
        assert [new.num_loops for new in news] == depths[0, behind].tolist()
    return found, engine


@pytest.mark.parametrize("leave_every", [1, 3])
@pytest.mark.parametrize("attention", ["gqa", "mla", "mha"])
def test_every_request_is_as_alone(attention, leave_every):
    model = decoding_model(LOOPS, layer={"attention": attention}, depth_signal="sinusoidal").double()
    found, engine = check(model, leave_every=leave_every)
    for i, (prompt, count, num_new, news) in enumerate(zip(PROMPTS, COUNTS, NEW, found, strict=True)):
        alone = generate(
            model, prompt[None], max_new_tokens=num_new, iterations=count, temperature=float(i % 2), seed=i
        )
        assert alone.tokens[0].tolist() == [new.token for new in news]
    assert engine._slots.shares_depths and engine.work.num_iterations == engine.work.num_steps


def test_in_float32():
    check(decoding_model(LOOPS, depth_signal="learned"), atol=2e-6)


@pytest.mark.parametrize("slot, kind", kinds("depth_signal", "depth_adapter", "update", "initial_state"))
def test_parts_that_read_the_iteration_are_told_their_own(slot, kind):
    check(decoding_model(LOOPS, **{slot: kind}).double())


@pytest.mark.parametrize("norm", ["per_loop", "adaptive"])
def test_iterations_of_one_depth_are_a_batch_where_layers_read_which_it_is(norm):
    model = decoding_model(LOOPS, layer={"kind": "pre_norm", "norm": norm}).double()
    _, engine = check(model)
    assert not engine._slots.shares_depths and engine.work.num_iterations > engine.work.num_steps


@pytest.mark.parametrize("feedforward", ["moe", "separable_convolution", "expert_attention"])
def test_other_layers(feedforward):
    check(decoding_model(LOOPS, layer={"kind": "pre_norm", "feedforward": feedforward}).double())


@pytest.mark.parametrize("coda", [0, 1])
def test_each_request_has_its_own_rule(coda):
    model = decoding_model(LOOPS, coda=coda).double()
    latent, kl, cosine = (make("exit", kind) for kind in ("latent", "kl", "cosine"))
    latent.threshold, kl.threshold, cosine.threshold = 0.35, 0.2, 0.1
    found, _ = check(model, (latent, None, kl, None, cosine, latent))
    assert any(new.num_loops < count for news, count in zip(found, COUNTS, strict=True) for new in news)


def test_a_place_is_taken_as_soon_as_it_is_free():
    model = decoding_model(LOOPS)
    engine = Engine(model, num_slots=2, capacity=16)
    for num_loops in (1, 6, 1):
        engine.submit([1, 2], num_loops=num_loops, max_new_tokens=2, sampling=Sampling(temperature=0.0))
    order = [(new.request, new.num_loops) for new in engine]
    assert order == [(0, 1), (0, 1), (2, 1), (2, 1), (1, 6), (1, 6)]
    assert engine.work.num_steps == 12 and engine.work.occupied == 4 + 12


def test_an_end_token_ends_a_request_and_one_may_join_later():
    model = decoding_model(LOOPS)
    greedy = Sampling(temperature=0.0)
    alone = generate(model, torch.tensor([[4, 5]]), max_new_tokens=6, temperature=0.0).tokens[0].tolist()
    engine = Engine(model, num_slots=1, capacity=16)
    engine.submit([4, 5], max_new_tokens=6, sampling=greedy, eos=alone[2])
    first = list(engine)
    engine.submit([4, 5], max_new_tokens=6, sampling=greedy)
    assert [new.token for new in first] == alone[: alone.index(alone[2]) + 1]
    assert [new.token for new in engine] == alone


def test_what_cannot_be_served_is_refused():
    model = decoding_model(LOOPS)
    engine = Engine(model, capacity=8)
    for options, message in (
        ({"prompt": [1] * 8, "max_new_tokens": 2}, "capacity=8"),
        ({"prompt": [1], "max_new_tokens": 0}, "max_new_tokens=0"),
        ({"prompt": [1], "max_new_tokens": 1, "num_loops": LOOPS + 1}, "max_loops=6"),
        ({"prompt": [99], "max_new_tokens": 1}, "tokens reach"),
        ({"prompt": [[1]], "max_new_tokens": 1}, "prompt must be"),
        ({"prompt": [1], "max_new_tokens": 1, "eos": 99}, "eos=99"),
    ):
        with pytest.raises(ValueError, match=message):
            engine.submit(**options)
    with pytest.raises(ValueError, match="num_slots=0"):
        Engine(model, num_slots=0)
    with pytest.raises(ValueError, match="use halting: none"):
        Engine(mb.LoopedTransformer(VOCAB, width=32, core={"halting": "act"}))


@pytest.mark.parametrize("signal", ["sinusoidal", "coordinates", "rotary"])
def test_by_modules(signal):
    with by_module():
        check(decoding_model(LOOPS, depth_signal=signal).double())
