"""Lazy depth gives what a pass gives in which every position runs every iteration, and is read at its own exit."""

import pytest
import torch

import mythos_blocks as mb
from mythos_blocks.frame.inlining import by_module
from mythos_blocks.generation import LazyDecoder, generate, read_at_exits
from tests.blocks.decoding import LENGTH, decoding_model
from tests.blocks.parts import declarations, kinds, make, tokens

TOKENS = tokens(2, LENGTH)
PROMPT, LOOPS = 4, 6
COUNTS = torch.randint(1, LOOPS + 1, (2, LENGTH), generator=torch.Generator().manual_seed(1))
COUNTS[:, :PROMPT] = COUNTS[:, PROMPT - 1 : PROMPT]
CAUSAL = [declared for _, declared in declarations("attention") if declared["kind"] != "mixer"]
MORE = [{"qk_norm": "after_rope"}, {"qk_norm": "before_rope", "rope_pairing": "halves"}, {"value_embeddings": 29}]
ATTENTIONS = [*CAUSAL, *[{"kind": "gqa", **fields} for fields in MORE]]
DEEP = torch.full((2, LENGTH), LOOPS)


def lazily(model, counts, exit=None, chunk=None):
    """Logits after the prompt and each later token, the exits of all read, and the decoder."""
    decoder = LazyDecoder(model, 2, iterations=counts[:, PROMPT - 1], max_loops=LOOPS, exit=exit)
    logits, exits = [decoder.prefill(TOKENS[:, :PROMPT], chunk)], [decoder.executed]
    for i in range(PROMPT, LENGTH):
        decoder.iterations = counts[:, i]
        logits.append(decoder.step(TOKENS[:, i]))
        exits.append(decoder.executed)
    return torch.stack(logits, 1), torch.cat(exits, 1), decoder


def check(model, counts=COUNTS, exit=None, atol=1e-12, **options):
    wanted, exits = read_at_exits(model, TOKENS, counts, exit)
    logits, found, decoder = lazily(model, counts, exit, **options)
    torch.testing.assert_close(logits, wanted[:, PROMPT - 1 :], rtol=0, atol=atol)
    assert torch.equal(found[:, PROMPT - 1 :], exits[:, PROMPT - 1 :])
    return exits, decoder


@pytest.mark.parametrize("coda", [0, 1])
@pytest.mark.parametrize("attention", ATTENTIONS, ids=str)
def test_every_attention(attention, coda):
    check(decoding_model(LOOPS, layer={"attention": attention}, coda=coda).double())


@pytest.mark.parametrize(
    "slot, kind", kinds("injection", "update", "depth_signal", "depth_adapter", "initial_state", "layer", "feedforward")
)
def test_every_part_of_the_core(slot, kind):
    if kind == "mixture":
        layer = {"kind": kind, "depth_attention": "none"}
    else:
        layer = {"kind": "pre_norm", slot: kind} if slot == "feedforward" else kind if slot == "layer" else "pre_norm"
    core = {} if slot in ("layer", "feedforward") else {slot: kind}
    check(decoding_model(LOOPS, layer=layer, **core).double())


def test_a_hierarchical_core():
    core = {"kind": "hierarchical", "depth": 1, "num_high_cycles": 1}
    check(mb.LoopedTransformer(29, width=32, core=core, coda={"depth": 1}).double().eval(), COUNTS.clamp_max(3))


def test_in_float32():
    check(decoding_model(LOOPS, depth_signal="sinusoidal"), atol=1e-6)


@pytest.mark.parametrize("norm", ["rms", "per_loop", "adaptive"])
def test_by_modules(norm):
    with by_module():
        check(decoding_model(LOOPS, layer={"kind": "pre_norm", "norm": norm}, depth_signal="sinusoidal").double())


@pytest.mark.parametrize("coda", [0, 1])
@pytest.mark.parametrize("kind", [kind for _, kind in kinds("exit") if kind != "none"])
def test_every_exit(kind, coda):
    model = decoding_model(LOOPS, coda=coda).double()
    for threshold in (0.3, 0.1, 0.5, 0.03, 0.01):
        rule = make("exit", kind)
        rule.threshold, rule.patience = threshold, 1
        exits = read_at_exits(model, TOKENS, DEEP, rule)[1]
        if len(exits[:, PROMPT:].unique()) > 1:
            break
    else:
        pytest.fail("no threshold has positions exit apart")
    check(model, DEEP, rule)


def test_what_is_computed_is_what_is_needed_and_no_more():
    exits, decoder = check(decoding_model(LOOPS).double())
    needed = [[int(row[column:].max()) for column in range(LENGTH)] for row in exits]
    assert decoder.depths == needed
    assert decoder.num_computed == sum(map(sum, needed)) < LOOPS * exits.numel()


def test_positions_that_nobody_reads_run_as_deep_as_the_last_needs():
    model = decoding_model(LOOPS, coda=0)
    decoder = LazyDecoder(model, 2, iterations=2, max_loops=LOOPS)
    decoder.prefill(TOKENS)
    assert decoder.num_computed == 2 * TOKENS.numel() and decoder.executed.unique().tolist() == [2]


def test_a_prompt_in_chunks_and_padding():
    model = decoding_model(LOOPS).double()
    check(model, chunk=3)
    decoder = LazyDecoder(model, 2, iterations=3, padding=[0, 4])
    logits = decoder.prefill(TOKENS)
    alone = LazyDecoder(model, 1, iterations=3).prefill(TOKENS[1:, 4:])
    torch.testing.assert_close(logits[1:], alone, rtol=0, atol=1e-12)
    assert decoder.executed[1].tolist() == [0] * 4 + [3] * 7


def test_generating_lazily_drops_requests_that_have_ended():
    model = decoding_model(LOOPS).double()
    counts = torch.tensor([2, 5])
    eager, lazy = (
        generate(model, TOKENS, max_new_tokens=6, temperature=0.0, iterations=counts, lazy=lazy)
        for lazy in (False, True)
    )
    assert torch.equal(eager.tokens, lazy.tokens) and torch.equal(eager.loops, lazy.loops)
    assert lazy.exact and lazy.cache_bytes < eager.cache_bytes  # which has room for all to be as deep as the deepest
    end = int(eager.tokens[0, 1])
    eager, lazy = (
        generate(model, TOKENS, max_new_tokens=6, temperature=0.0, iterations=counts, lazy=lazy, eos=end)
        for lazy in (False, True)
    )
    assert torch.equal(eager.tokens, lazy.tokens) and torch.equal(eager.lengths, lazy.lengths)


@pytest.mark.parametrize(
    "core, message",
    [
        ({"halting": "act"}, "halting 'act' mixes several; use halting: none"),
        ({"kv_policy": "last"}, "kv_policy 'last' shares them; use kv_policy: per_loop"),
        ({"tying": "sequence", "depth": 2}, "use tying: cycle"),
        ({"layer": {"kind": "mixture", "depth_attention": "own_token"}}, "use depth_attention: none"),
    ],
)
def test_what_cannot_be_lazy_is_refused(core, message):
    model = mb.LoopedTransformer(29, width=32, core=core)
    with pytest.raises(ValueError, match=message):
        LazyDecoder(model, 1)


def test_arguments_are_refused_in_words():
    model = decoding_model(LOOPS)
    for options, message in (
        ({"batch": 0}, "batch=0"),
        ({"batch": 1, "iterations": 0}, "iterations=0"),
        ({"batch": 1, "iterations": [1, 0]}, "in order"),
        ({"batch": 2, "iterations": torch.tensor([1])}, "one for each of 2 rows"),
    ):
        with pytest.raises(ValueError, match=message):
            LazyDecoder(model, **options)
    decoder = LazyDecoder(model, 1, iterations=2)
    decoder.prefill(TOKENS[:1])
    decoder.iterations = 3
    with pytest.raises(ValueError, match="max_loops=2"):
        decoder.step(TOKENS[0, :1])
    with pytest.raises(ValueError, match="prefill_chunk|lazy"):
        generate(model, TOKENS, max_new_tokens=1, lazy=True, iterations=[1, 0])


def test_a_replaced_state_is_refused():
    model = decoding_model(LOOPS)
    model.core.state_site.register_forward_hook(lambda module, args, out: out)
    with pytest.raises(ValueError, match="replaces states"):
        LazyDecoder(model, 1)
