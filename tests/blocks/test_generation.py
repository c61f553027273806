"""Generating: greedy against the full pass, requests that do not see each other, ends, loops, mistakes."""

import pytest
import torch

import mythos_blocks as mb
from mythos_blocks.generation import Decoder, Sampling, generate, left_padded
from mythos_blocks.tensors.randomness import keyed_generator
from tests.blocks.decoding import decoding_model
from tests.blocks.parts import VOCAB, tokens

PROMPTS = [[3, 1, 4, 1, 5, 9, 2], [6], [5, 3, 5, 8], [9, 7, 9]]
IDS, PADDING = left_padded(PROMPTS)


@torch.no_grad()
def recomputed(model, prompt, num, pick=lambda logits: int(logits.argmax()), **options):
    """Tokens by a full pass for each, and the iterations of the position that each was drawn from."""
    ids, executed = list(prompt), []
    for _ in range(num):
        out = model(torch.tensor([ids]), compact=False, **options)
        ids.append(pick(out.logits[0, -1]))
        executed.append(int(out.executed[0, -1]))
    return ids[len(prompt) :], executed


def test_left_padding_puts_prompts_to_the_right():
    assert IDS.tolist() == [[3, 1, 4, 1, 5, 9, 2], [0] * 6 + [6], [0] * 3 + [5, 3, 5, 8], [0] * 4 + [9, 7, 9]]
    assert PADDING.tolist() == [0, 6, 3, 4]
    assert left_padded([[1, 2]], fill=7)[0].tolist() == [[1, 2]]
    for wrong in ([], [[1], []]):
        with pytest.raises(ValueError, match="prompts"):
            left_padded(wrong)


@pytest.mark.parametrize("chunk", [None, 1, 3, 100])
@pytest.mark.parametrize("core", [{}, {"halting": {"kind": "act", "halted_state": "frozen"}}], ids=str)
def test_greedy_decoding_of_a_batch_is_full_passes_over_each_prompt(core, chunk):
    model = decoding_model(6, **core)
    out = generate(model, IDS, max_new_tokens=8, temperature=0, padding=PADDING, prefill_chunk=chunk)
    assert out.exact and out.lengths.tolist() == [8] * 4
    for row, prompt in enumerate(PROMPTS):
        wanted, executed = recomputed(model, prompt, 8)
        assert out.tokens[row].tolist() == wanted
        assert out.loops[row].tolist() == executed
        prompt_loops = model(torch.tensor([prompt])).executed[0].tolist()
        assert out.prompt_loops[row, PADDING[row] :].tolist() == prompt_loops


def test_each_request_may_have_its_own_loop_count():
    model, counts = decoding_model(), [1, 6, 2, 4]
    out = generate(model, IDS, max_new_tokens=6, temperature=0, padding=PADDING, iterations=torch.tensor(counts))
    assert out.loops.tolist() == [[n] * 6 for n in counts]
    for row, prompt in enumerate(PROMPTS):
        assert out.tokens[row].tolist() == recomputed(model, prompt, 6, iterations=counts[row])[0]


@pytest.mark.parametrize("iterations", [1, 3, 7])
def test_no_more_loops_are_run_than_are_asked_for(iterations):
    for halting in ("none", {"kind": "act", "halted_state": "frozen"}, "act"):
        model = decoding_model(4, halting=halting)
        out = generate(model, IDS, max_new_tokens=5, padding=PADDING, iterations=iterations)
        assert 1 <= out.loops.min() and out.loops.max() <= iterations
        assert 1 <= out.prompt_loops.min() and out.prompt_loops.max() <= iterations


def test_a_request_draws_the_same_alone_and_in_any_batch():
    model = decoding_model()
    options = {"max_new_tokens": 10, "temperature": 2.0, "top_p": 0.95, "seed": 5}
    together = generate(model, IDS, padding=PADDING, **options).tokens
    for row, prompt in enumerate(PROMPTS):
        alone = generate(model, torch.tensor([prompt]), requests=[row], **options).tokens[0]
        assert torch.equal(alone, together[row])
    turned = generate(model, IDS.flip(0), padding=PADDING.flip(0), requests=[3, 2, 1, 0], **options).tokens
    assert torch.equal(turned.flip(0), together)


def test_the_seed_and_the_request_decide_what_is_drawn():
    model, prompt = decoding_model(), torch.tensor([PROMPTS[0]] * 3)
    draw = {seed: generate(model, prompt, max_new_tokens=12, temperature=5.0, seed=seed).tokens for seed in (0, 1)}
    rows = [tuple(row.tolist()) for tokens in draw.values() for row in tokens]
    assert len(set(rows)) == 6
    torch.manual_seed(99)
    before = torch.get_rng_state()
    assert torch.equal(generate(model, prompt, max_new_tokens=12, temperature=5.0, seed=1).tokens, draw[1])
    assert torch.equal(torch.get_rng_state(), before), "the global generator is no business of a request"


def test_what_is_drawn_is_the_full_passes_distribution_at_the_requests_own_numbers():
    model, sampling = decoding_model(), Sampling(temperature=1.5, top_k=12, min_p=0.01)
    out = generate(model, IDS, max_new_tokens=7, padding=PADDING, temperature=1.5, top_k=12, min_p=0.01, seed=3)
    for row, prompt in enumerate(PROMPTS):
        generator = keyed_generator("request", 3, row)

        def pick(logits, generator=generator):
            return int(sampling.draw(logits[None], torch.rand(1, generator=generator, dtype=torch.float64)))

        assert out.tokens[row].tolist() == recomputed(model, prompt, 7, pick)[0]


def test_requests_end_at_an_end_token_and_leave_the_batch():
    model = decoding_model()
    options = {"max_new_tokens": 12, "temperature": 3.0, "padding": PADDING, "iterations": torch.tensor([2, 3, 4, 5])}
    free = generate(model, IDS, **options)
    ends = [int(free.tokens[0, 2]), int(free.tokens[1, 5])]
    rows = []
    model.embedding.register_forward_hook(lambda module, inputs, out: rows.append(len(out)))
    out = generate(model, IDS, eos=ends, **options)
    wanted = [next((i + 1 for i, t in enumerate(row) if t in ends), 12) for row in free.tokens.tolist()]
    assert out.lengths.tolist() == wanted and len(set(wanted)) > 1
    for row, length in enumerate(wanted):
        assert torch.equal(out.tokens[row, :length], free.tokens[row, :length])
        assert (out.tokens[row, length:] == out.tokens[row, length - 1]).all()
        assert torch.equal(out.loops[row, :length], free.loops[row, :length])
        assert not out.loops[row, length:].any()
    assert rows == [4] + [sum(length > i for length in wanted) for i in range(1, max(wanted))]
    assert out.tokens.shape == (4, max(wanted))


def test_the_last_token_is_not_run_and_the_cache_is_no_larger_than_what_was_run():
    model = decoding_model(3, prelude=0, coda=0)
    out = generate(model, tokens(2, 7), max_new_tokens=5)
    assert out.cache_bytes == 2 * (7 + 4) * 3 * 2 * 32 * 4
    assert generate(model, tokens(2, 7), max_new_tokens=1).cache_bytes == 2 * 7 * 3 * 2 * 32 * 4


def test_the_models_mode_and_weights_are_left_as_they_were():
    model = decoding_model(halting="act").train()
    model.coda.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trained = generate(model, IDS, max_new_tokens=4, padding=PADDING, temperature=0).tokens
    assert model.training and model.core.training and not model.coda.training and not model.coda.layers[0].training
    assert torch.equal(trained, generate(model.eval(), IDS, max_new_tokens=4, padding=PADDING, temperature=0).tokens)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


def test_padding_may_be_given_as_booleans():
    model = decoding_model()
    flags = torch.arange(7) < PADDING[:, None]
    outs = [generate(model, IDS, max_new_tokens=4, temperature=0, padding=p).tokens for p in (flags, PADDING)]
    assert torch.equal(*outs)


def test_an_exit_may_be_declared_by_its_kind():
    model = decoding_model()
    one, other = (generate(model, IDS, max_new_tokens=3, temperature=0, exit=exit) for exit in ("none", mb.NoExit(32)))
    assert torch.equal(one.tokens, other.tokens)


def test_a_decoder_goes_on_after_a_second_prompt():
    model, ids = decoding_model(), tokens(2, 12)
    decoder = Decoder(model, 2)
    decoder.prefill(ids[:, :4], chunk=3)
    decoder.step(ids[:, 4])
    logits = decoder.prefill(ids[:, 5:11])
    assert decoder.executed.shape == (2, 6) and decoder.cache.length == 11
    decoder.iterations = 2
    with torch.no_grad():
        torch.testing.assert_close(logits, model(ids[:, :11]).logits[:, -1], rtol=1e-5, atol=1e-5)
        counts = torch.full((2, 12), 4)
        counts[:, -1] = 2
        wanted = model(ids, iterations=counts, compact=False).logits[:, -1]
    torch.testing.assert_close(decoder.step(ids[:, 11]), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"max_new_tokens": 0}, "max_new_tokens=0"),
        ({"iterations": 0}, "iterations=0"),
        ({"iterations": torch.tensor([1, 2])}, "iterations=.*4 requests"),
        ({"iterations": torch.tensor([1, 2, 0, 1])}, "iterations="),
        ({"iterations": torch.ones(4)}, "iterations="),
        ({"iterations": 1.5}, "iterations=1.5"),
        ({"temperature": -0.1}, "temperature=-0.1"),
        ({"top_k": 0}, "top_k=0"),
        ({"top_p": 2.0}, "top_p=2.0"),
        ({"min_p": -1.0}, "min_p=-1.0"),
        ({"eos": VOCAB}, f"eos={VOCAB}"),
        ({"eos": [1, -1]}, "eos="),
        ({"prefill_chunk": 0}, "prefill_chunk=0"),
        ({"requests": [0]}, "requests="),
        ({"padding": [0, 1]}, "padding must be 4 counts"),
        ({"padding": [0, 7, 0, 0]}, "padding must leave"),
        ({"padding": torch.ones(4, 7).bool()}, "padding must leave"),
        ({"padding": torch.ones(4, 6).bool()}, "padding has shape"),
        ({"padding": torch.arange(7).expand(4, 7) == 3}, "padding must stand on the left"),
        ({"exit": "nowhere"}, "nowhere"),
    ],
    ids=str,
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        generate(decoding_model(), IDS, **{"max_new_tokens": 2, **options})


@pytest.mark.parametrize(
    "ids, message",
    [
        (IDS.float(), "tokens must be whole numbers"),
        (IDS[0], "tokens must be whole numbers"),
        (IDS[:, :0], "tokens must be whole numbers"),
        (IDS + VOCAB, "tokens reach"),
        (IDS - 1, "tokens reach"),
    ],
)
def test_wrong_tokens_are_named(ids, message):
    with pytest.raises(ValueError, match=message):
        generate(decoding_model(), ids, max_new_tokens=2)


def test_a_decoder_names_its_mistakes():
    decoder = Decoder(decoding_model(), 2)
    for ids, chunk, message in (
        (tokens(3, 4), None, "3 rows"),
        (tokens(2, 4)[:, :0], None, "at least one"),
        (tokens(2, 4), 0, "chunk=0"),
    ):
        with pytest.raises(ValueError, match=message):
            decoder.prefill(ids, chunk)


@torch.no_grad()
def test_iterations_mean_in_generation_what_they_mean_to_the_model():
    model = decoding_model(4, depth_signal="learned", prelude=0, coda=0)
    prompt = torch.tensor([[3, 1, 4]])
    for iterations in (2, [1, 3], [3, 1], torch.tensor([3])):
        made = mb.generate(model, prompt, max_new_tokens=1, iterations=iterations, temperature=0)
        assert int(made.tokens[0, 0]) == int(model(prompt, iterations=iterations).logits[0, -1].argmax())
        assert made.exact
    assert not mb.generate(model, prompt, max_new_tokens=1, iterations=[1, 1], temperature=0).exact
    decoder = Decoder(model, 1)
    assert decoder.exact
    decoder.iterations = [1, 1]
    assert not decoder.exact
    for wrong in ([], [-1], "3", 1.5, [1.5], 0):
        with pytest.raises(ValueError, match="iteration"):
            mb.generate(model, prompt, max_new_tokens=1, iterations=wrong)
