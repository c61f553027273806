"""Decoding with a cache gives what the full pass gives, in chunks of any size and at any mixture of depths."""

import pytest
import torch

import mythos_blocks as mb
from mythos_blocks.generation import Decoder
from tests.blocks.decoding import LENGTH, SPLITS, decoding_model, in_chunks
from tests.blocks.parts import declarations, kinds, make, tokens

TOKENS = tokens(3, LENGTH)
COUNTS = torch.randint(1, 6, (3, LENGTH), generator=torch.Generator().manual_seed(1))
EACH_SPLIT = pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)


LAYERS = ["pre_norm", {"kind": "mixture", "depth_attention": "all_tokens"}]
# The mixer reads positions that follow.
CAUSAL = [declared for _, declared in declarations("attention") if declared["kind"] != "mixer"]

# By default HRM's head reads the first position, for all.
BY_POSITION = [
    {**declared, "read": "position"} if declared["kind"] == "q_head" else declared
    for _, declared in declarations("halting")
]


class Shared(mb.KVPolicy):
    """Two iterations share what the first of them wrote."""

    reuses = True

    def entry(self, t):
        return t // 2

    def writes(self, t):
        return t % 2 == 0


class Alive(mb.KVPolicy):
    """An iteration reads the positions that run it."""

    alive_only = True


class Settled(mb.Exit):
    """Stops a position when its state moves little."""

    kind = "settled"

    def __init__(self, threshold):
        super().__init__()
        self.threshold = threshold

    def observe(self, state, old, new, read, t):
        return mb.ExitState(stopped=state.stopped | (moves(old, new) < self.threshold))


class Confident(mb.Exit):
    """Stops a position when its most probable token is probable enough."""

    kind = "confident"
    reads_logits = True

    def __init__(self, threshold):
        super().__init__()
        self.threshold = threshold

    def observe(self, state, old, new, read, t):
        sure = read(new).softmax(-1).amax(-1) > self.threshold
        return mb.ExitState(stopped=state.stopped | sure)


@torch.no_grad()
def check(model, split, iterations=None, *, varied=False, **options):
    """Cached decoding against the plain form of the full pass: logits and iterations run."""
    wanted = model(TOKENS, iterations=iterations, compact=False, **options)
    logits, executed, cache = in_chunks(model, TOKENS, split, iterations, **options)
    torch.testing.assert_close(logits, wanted.logits, rtol=1e-5, atol=1e-5)
    if varied:
        assert torch.equal(executed, wanted.executed)
        assert len(executed.unique()) > 1, "all positions ran alike, which shows nothing"
    return wanted, cache


@EACH_SPLIT
@pytest.mark.parametrize("attention", CAUSAL, ids=str)
def test_every_attention(attention, split):
    model = decoding_model(layer={"attention": attention})
    check(model, split)
    check(model, split, COUNTS, varied=True)


@pytest.mark.parametrize("kind", [kind for _, kind in kinds("kv_policy") if kind != "last"])  # which is a cache's alone
def test_what_is_no_key_and_no_value_is_each_iterations_own_whatever_they_share(kind):
    check(decoding_model(layer={"feedforward": "separable_convolution"}, kv_policy=kind), SPLITS["one by one"])


def test_what_is_not_causal_is_refused():
    model = decoding_model(layer={"attention": {"kind": "mixer", "num_positions": LENGTH}})
    assert model(TOKENS, mb.AttentionMask(causal=False)).logits.isfinite().all()
    with pytest.raises(ValueError, match="mixer"):
        Decoder(model, 3).prefill(TOKENS)


@EACH_SPLIT
@pytest.mark.parametrize("slot, kind", kinds("layer", "feedforward", "depth_attention", "core"))
def test_every_kind_that_may_read_positions(slot, kind, split):
    if slot == "core":
        model = mb.LoopedTransformer(29, width=32, prelude={"depth": 1}, core=kind, coda={"depth": 1}).eval()
    elif slot == "layer":
        model = decoding_model(layer=kind)
    else:
        layer = "mixture" if slot == "depth_attention" else "pre_norm"
        model = decoding_model(layer={"kind": layer, slot: kind})
    check(model, split, 3)
    check(model, split, COUNTS, varied=True)


@EACH_SPLIT
@pytest.mark.parametrize("slot, kind", kinds("initial_state", "injection", "update", "depth_signal", "depth_adapter"))
def test_every_other_part_of_the_core(slot, kind, split):
    model = decoding_model(**{slot: kind})
    check(model, split)
    check(model, split, COUNTS, varied=True)


@EACH_SPLIT
@pytest.mark.parametrize("slot, kind", kinds("kv_policy"))
def test_every_exact_policy(slot, kind, split):
    model = decoding_model(5, kv_policy=kind)
    if not model.core.kv_policy.exact:
        assert not Decoder(model, 3).exact
        return
    assert Decoder(model, 3).exact
    check(model, split)
    check(model, split, COUNTS, varied=True)


@EACH_SPLIT
@pytest.mark.parametrize("policy", [Shared, Alive])
def test_policies_that_share_or_hide(policy, split):
    model = decoding_model(5)
    before = check(model, split, COUNTS, varied=True)[0].logits
    model.core.kv_policy = policy()
    check(model, split)
    after = check(model, split, COUNTS, varied=True)[0].logits
    assert (before - after).abs().max() > 1e-3


def test_sharing_saves_what_it_does_not_write():
    bytes_of = []
    for policy in (mb.PerLoop(), Shared()):
        model = decoding_model(6, prelude=0, coda=0)
        model.core.kv_policy = policy
        bytes_of.append(in_chunks(model, TOKENS, [6, 5])[2].num_bytes)
    assert bytes_of[0] == 2 * bytes_of[1]


@EACH_SPLIT
@pytest.mark.parametrize("halted_state", ["frozen", "updating"])
def test_adaptive_computation_time(halted_state, split):
    halting = {"kind": "act", "halted_state": halted_state}
    model = decoding_model(6, halting=halting)
    with torch.no_grad():
        model.core.halting.probability.weight.mul_(3)
    wanted, _ = check(model, split, varied=halted_state == "frozen")
    assert wanted.halting.num_updates.min() < wanted.halting.num_updates.max()


@EACH_SPLIT
@pytest.mark.parametrize("declared", BY_POSITION, ids=str)
def test_every_halting(declared, split):
    model = decoding_model(6, halting=declared)
    check(model, split)
    check(model, split, COUNTS)


def test_positions_that_run_on_after_halting_write_what_deeper_ones_will_read():
    halting = {"kind": "act", "halted_state": "updating", "initial_bias": 0.0}
    model = decoding_model(6, coda=0, halting=halting)
    with torch.no_grad():
        model.core.halting.probability.weight.zero_()
        model.core.halting.probability.bias.fill_(20.0)  # every position halts at once
        first = model(TOKENS[:, :5]).num_loops
        _, executed, cache = in_chunks(model, TOKENS[:, :5], [5])
        model.core.halting.probability.bias.fill_(-20.0)  # and none does
        wanted = model(TOKENS[:, :6])
        mask, positions = cache.begin(1)
        got = model(TOKENS[:, 5:6], mask, positions=positions, past=cache)
    assert first == 1 and (executed == 6).all()
    torch.testing.assert_close(got.logits[:, 0], wanted.logits[:, 5], rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("kind", [kind for _, kind in kinds("exit") if kind != "none"])
def test_every_exit(kind):
    model = decoding_model(8, coda=0)
    for threshold in (1e-4, 1e-3, 1e-2, 0.03, 0.1, 0.3, 0.5):
        rule = make("exit", kind)
        rule.threshold = threshold
        if len(model(TOKENS, exit=rule).executed.unique()) > 2:
            break
    for split in SPLITS.values():
        check(model, split, varied=True, exit=rule)


@torch.no_grad()
def between(measure, model, quantile):
    """A threshold that some positions of the pass cross, and some do not."""
    states = model(TOKENS, record=True).states
    return float(torch.stack([measure(*pair) for pair in zip(states, states[1:], strict=False)]).quantile(quantile))


def moves(old, new):
    return (new - old).norm(dim=-1) / new.norm(dim=-1)


@EACH_SPLIT
@pytest.mark.parametrize("quantile", [0.05, 0.3])
def test_exit_by_the_state(quantile, split):
    model = decoding_model(8)
    check(model, split, varied=True, exit=Settled(between(moves, model, quantile)))


@EACH_SPLIT
@pytest.mark.parametrize("quantile", [0.7, 0.95])
def test_exit_by_logits_without_a_coda(quantile, split):
    model = decoding_model(8, coda=0)
    threshold = between(lambda _, new: model.read(new).softmax(-1).amax(-1), model, quantile)
    check(model, split, varied=True, exit=Confident(threshold))


@torch.no_grad()
@pytest.mark.parametrize("layer", LAYERS, ids=str)
@pytest.mark.parametrize("quantile", [0.5, 0.7, 0.95])
def test_exit_by_logits_through_a_coda_reads_the_states_in_which_others_have_stopped(quantile, layer):
    model = decoding_model(8, layer=layer)
    rule = Confident(between(lambda _, new: model.read(new).softmax(-1).amax(-1), model, quantile))
    plain, compact = (model(TOKENS, exit=rule, compact=c) for c in (False, True))
    assert len(plain.executed.unique()) > 1
    assert torch.equal(plain.executed, compact.executed)
    torch.testing.assert_close(plain.logits, compact.logits, rtol=1e-5, atol=1e-5)
    assert not Decoder(model, 3, exit=rule).exact
    assert Decoder(decoding_model(coda=0), 3, exit=rule).exact


@torch.no_grad()
def test_a_rule_that_reads_logits_reads_them_off_the_final_states_of_those_that_have_stopped():
    """Written out, for a coda of one layer: it runs over all positions, of which the stopped ones are as they were."""
    model = decoding_model(8)
    rule = Confident(between(lambda _, new: model.read(new).softmax(-1).amax(-1), model, 0.7))
    e = model.prelude(model.embedding(TOKENS), mb.Frame().at("prelude"))
    state = model.core.start(e)
    stopped, counts = torch.zeros(3, LENGTH, dtype=torch.bool), torch.zeros(3, LENGTH, dtype=torch.long)
    for t in range(8):
        state = model.core.step(state, t, where=~stopped, compact=False)
        counts += ~stopped
        stopped = stopped | (model.read(state.h).softmax(-1).amax(-1) > rule.threshold)
    assert len(counts.unique()) > 2
    assert torch.equal(model(TOKENS, exit=rule).executed, counts)


@EACH_SPLIT
def test_compaction_changes_nothing(split):
    model = decoding_model(5)
    outs = [in_chunks(model, TOKENS, split, COUNTS, compact=compact)[0] for compact in (True, False)]
    torch.testing.assert_close(*outs, rtol=1e-5, atol=1e-5)


@EACH_SPLIT
def test_each_request_has_its_own_loop_count(split):
    counts = torch.tensor([1, 5, 3])
    wanted, _ = check(decoding_model(), split, counts, varied=True)
    assert wanted.executed.tolist() == [[n] * LENGTH for n in counts]


@torch.no_grad()
@pytest.mark.parametrize("deep", [3, 6])
def test_a_later_token_may_run_deeper_than_all_before_it(deep):
    model = decoding_model()
    counts = torch.ones(3, LENGTH, dtype=torch.long)
    counts[:, 6], counts[:, -1] = 2, deep
    wanted = model(TOKENS, iterations=counts, compact=False).logits
    deeper = model(TOKENS, iterations=deep).logits
    got = in_chunks(model, TOKENS, [5, *[1] * 6], counts)[0]
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)
    assert (wanted[:, -1] - deeper[:, -1]).abs().max() > 1e-3


@torch.no_grad()
@EACH_SPLIT
@pytest.mark.parametrize("options", [{}, {"tying": "sequence", "depth": 2}, {"halting": "act"}], ids=str)
def test_a_left_padded_row_is_the_row_alone(options, split):
    model, padding = decoding_model(**options), [0, 6, 2]
    decoder = Decoder(model, 3, padding=padding)
    logits = torch.cat([decoder.advance(part).logits for part in TOKENS.split(split, dim=1)], dim=1)
    for row, left in enumerate(padding):
        alone = model(TOKENS[row : row + 1, left:]).logits
        torch.testing.assert_close(logits[row : row + 1, left:], alone, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_padding_runs_one_iteration_and_what_stands_in_it_is_not_read():
    model, other = decoding_model(4), TOKENS.clone()
    other[1, :6] = (other[1, :6] + 1) % 29
    outs, executed = [], []
    for ids in (TOKENS, other):
        decoder = Decoder(model, 3, padding=[0, 6, 2])
        outs.append(decoder.prefill(ids, 4))
        executed.append(decoder.executed)
    assert torch.equal(*outs)
    assert executed[0].tolist() == [[4] * 11, [1] * 6 + [4] * 5, [1] * 2 + [4] * 9]


@torch.no_grad()
def test_in_bfloat16_it_is_the_full_pass_up_to_its_rounding():
    model = decoding_model().to(torch.bfloat16)
    wanted = model(TOKENS).logits
    got = in_chunks(model, TOKENS, [4, 4, 3])[0]
    assert got.dtype == torch.bfloat16
    assert (got - wanted).abs().max() < 0.05 * wanted.abs().max()


@torch.no_grad()
def test_dropping_rows_leaves_the_others_as_they_were():
    model, rows = decoding_model(), torch.tensor([0, 2])
    decoder = Decoder(model, 3, padding=[0, 6, 2], iterations=torch.tensor([2, 3, 5]))
    decoder.prefill(TOKENS[:, :8])
    decoder.keep_rows(rows)
    for column in range(8, LENGTH):
        logits = decoder.step(TOKENS[rows, column])
        for i, (row, left, count) in enumerate(((0, 0, 2), (2, 2, 5))):
            alone = model(TOKENS[row : row + 1, left : column + 1], iterations=count).logits[0, -1]
            torch.testing.assert_close(logits[i], alone, rtol=1e-5, atol=1e-5)
