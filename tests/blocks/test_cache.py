"""The cache: what it returns, what it fills in, what it holds and how much that takes."""

import pytest
import torch

import mythos_blocks as mb
from mythos_blocks.generation.cache import Cache
from tests.blocks.decoding import SPLITS, decoding_model, in_chunks
from tests.blocks.parts import WIDTH, randn, tokens

PATH = ("core", 0, "attention")


def chunk(size, seed=0, batch=2):
    return randn(batch, 3, size, 5, seed=seed), randn(batch, size, 4, seed=seed + 100)


def write(cache, size, entries, seed=0):
    """A call that writes these entries; what it wrote to each."""
    cache.begin(size)
    written = {entry: chunk(size, seed + i) for i, entry in enumerate(entries)}
    for entry, tensors in written.items():
        cache.extended(PATH, entry, tensors)
    cache.commit(size)
    return written


@pytest.mark.parametrize("capacity", [0, 4, 100])
def test_it_returns_what_all_calls_wrote_in_order(capacity):
    cache, parts = Cache(2, capacity), []
    for seed, size in enumerate([3, 1, 1, 4]):
        parts.append(chunk(size, seed))
        cache.begin(size)
        whole = cache.extended(PATH, 0, parts[-1])
        for got, *wanted in zip(whole, *parts, strict=True):
            assert torch.equal(got, torch.cat(wanted, dim=-2))
        cache.commit(size)
    assert cache.length == 9


def test_a_step_may_be_repeated_and_the_last_time_counts():
    cache = Cache(2)
    before = write(cache, 3, [0])[0]
    cache.begin(2)
    cache.extended(PATH, 0, chunk(2, 5))
    for seed in (6, 6, 7):
        (keys, _) = cache.extended(PATH, 0, chunk(2, seed))
        assert torch.equal(keys, torch.cat((before[0], chunk(2, seed)[0]), dim=-2))
    cache.commit(2)
    cache.begin(1)
    keys, _ = cache.extended(PATH, 0, chunk(1, 9))
    assert torch.equal(keys, torch.cat((before[0], chunk(2, 7)[0], chunk(1, 9)[0]), dim=-2))


def test_a_call_that_is_not_committed_leaves_nothing_behind():
    cache = Cache(2)
    first = write(cache, 2, [0, 1])
    cache.begin(3)
    for entry in range(5):
        cache.extended(PATH, entry, chunk(3, 20 + entry))
        cache.alive(entry, torch.ones(2, 3, dtype=torch.bool))
    second = write(cache, 3, [0, 1], seed=40)
    cache.begin(1)

    keys, _ = cache.extended(PATH, 4, chunk(1, 60))

    assert torch.equal(keys, torch.cat((first[1][0], second[1][0], chunk(1, 60)[0]), dim=-2))
    assert cache.alive(4, torch.ones(2, 1, dtype=torch.bool)).tolist() == [[False] * 5 + [True]] * 2


def test_columns_that_never_reached_an_entry_hold_what_they_wrote_last():
    cache = Cache(2)
    calls = [write(cache, 2, range(3), 0), write(cache, 1, range(1), 10), write(cache, 3, range(2), 20)]
    cache.begin(1)
    for entry in range(5):
        new = chunk(1, 30 + entry)
        for i, got in enumerate(cache.extended(PATH, entry, new)):
            wanted = [call[min(entry, max(call))][i] for call in calls]
            assert torch.equal(got, torch.cat((*wanted, new[i]), dim=-2)), entry


def test_last_is_by_time_and_not_by_number():
    cache = Cache(2)
    call = write(cache, 2, [3, 0, 2])
    cache.begin(1)
    keys, _ = cache.extended(PATH, 7, chunk(1, 9))
    assert torch.equal(keys[:, :, :2], call[2][0])


def test_reading_an_entry_again_is_not_writing_it():
    cache = Cache(2)
    cache.begin(2)
    first, second = chunk(2, 0), chunk(2, 1)
    for entry, tensors in ((0, first), (1, second), (0, first)):
        cache.extended(PATH, entry, tensors)
    cache.commit(2)
    cache.begin(1)
    keys, _ = cache.extended(PATH, 2, chunk(1, 9))
    assert torch.equal(keys[:, :, :2], second[0])


@pytest.mark.parametrize("length", range(7))
def test_columns_can_be_forgotten(length):
    """The last columns make way for others, as they do where drafts are refused."""
    cache, plain = Cache(2), Cache(2)
    calls = [(2, 3), (1, 1), (3, 2)]
    for seed, (size, depth) in enumerate(calls):
        write(cache, size, range(depth), seed * 10)
    cache.truncate(length)
    for seed, (size, depth) in enumerate(calls):
        size = min(size, length - plain.length)
        if size:
            plain.begin(size)
            for entry in range(depth):
                part = tuple(x[..., :size, :] for x in chunk(calls[seed][0], seed * 10 + entry))
                plain.extended(PATH, entry, part)
            plain.commit(size)
    assert cache.length == plain.length == length
    for one in (cache, plain):
        write(one, 2, range(1), 50)
        one.begin(1)
    for entry in range(5):
        new = chunk(1, 60 + entry)
        for a, b in zip(cache.extended(PATH, entry, new), plain.extended(PATH, entry, new), strict=True):
            assert torch.equal(a, b)


def test_rows_can_be_dropped():
    whole, fewer = Cache(3, padding=[0, 2, 1]), Cache(3, padding=[0, 2, 1])
    for cache in (whole, fewer):
        cache.begin(4)
        cache.extended(PATH, 0, chunk(4, batch=3))
        cache.alive(0, torch.tensor([[True, False, True, False]] * 3))
        cache.commit(4)
    rows = torch.tensor([0, 2])
    fewer.keep_rows(rows)
    for cache in (whole, fewer):
        cache.begin(1)
    new = chunk(1, 5, batch=3)
    wanted, got = whole.extended(PATH, 1, new), fewer.extended(PATH, 1, tuple(x[rows] for x in new))
    assert all(torch.equal(a[rows], b) for a, b in zip(wanted, got, strict=True))
    assert fewer.padding.tolist() == [0, 1] and fewer.batch == 2
    assert fewer.alive(0, torch.ones(2, 1, dtype=torch.bool)).tolist() == [[True, False, True, False, True]] * 2
    fewer.keep_rows(torch.tensor([0]))
    assert fewer.padding is None


def test_the_mask_is_causal_over_all_columns_and_leaves_padding_out():
    for padding in (None, [0, 3]):
        cache, sizes = Cache(2, padding=padding), [4, 1, 2]
        for size in sizes:
            start, end = cache.length, cache.length + size
            mask, positions = cache.begin(size)
            allowed = mask.allowed_among(size, end, torch.device("cpu")).expand(2, size, end)
            for row in range(2):
                left = padding[row] if padding else 0
                for i in range(start, end):
                    wanted = [key == i if i < left else left <= key <= i for key in range(end)]
                    assert allowed[row, i - start].tolist() == wanted
                row_positions = positions if positions.dim() == 1 else positions[row]
                assert row_positions.tolist() == [max(0, i - left) for i in range(start, end)]
            cache.commit(size)


def test_without_padding_the_first_chunk_and_a_single_token_need_no_explicit_mask():
    cache = Cache(2)
    assert cache.begin(5)[0] == mb.AttentionMask(causal=True)
    cache.commit(5)
    assert cache.begin(1)[0] == mb.AttentionMask(causal=False)
    assert cache.begin(2)[0].allowed is not None


@torch.no_grad()
@pytest.mark.parametrize("attention", ["gqa", "mla"])
@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
def test_unused_space_never_reaches_a_result(split, attention, monkeypatch):
    model = decoding_model(layer={"attention": attention})
    counts = torch.arange(22).view(2, 11) % 4 + 1
    clean, _, _ = in_chunks(model, tokens(positions=11), split, counts)
    new_empty = torch.Tensor.new_empty
    monkeypatch.setattr(torch.Tensor, "new_empty", lambda self, *size: new_empty(self, *size).fill_(float("nan")))
    cache = Cache(2, capacity=14)
    poisoned, _, _ = in_chunks(model, tokens(positions=11), split, counts, cache)
    assert any(x.isnan().any() for buffers in cache._buffers.values() for x in buffers)
    assert torch.equal(poisoned, clean)


@pytest.mark.parametrize("dtype, size", [(torch.float32, 4), (torch.bfloat16, 2)])
def test_latent_attention_keeps_the_latent_and_one_rotary_key(dtype, size):
    attention = {"kind": "mla", "kv_rank": 12, "rope_dim": 6, "num_heads": 4}
    model = decoding_model(3, layer={"attention": attention}).to(dtype)
    _, _, cache = in_chunks(model, tokens(positions=11), [4, 4, 3])
    places = 1 + 3 + 1  # the prelude, three loops, the coda
    assert cache.num_bytes == 2 * 11 * places * (12 + 6) * size
    assert cache.allocated_bytes >= cache.num_bytes


def test_grouped_queries_keep_the_keys_and_values_of_their_groups():
    model = decoding_model(3, layer={"attention": {"kind": "gqa", "num_heads": 4, "num_kv_heads": 2}})
    cache = in_chunks(model, tokens(positions=11), [11], cache=Cache(2, capacity=11))[2]
    assert cache.num_bytes == cache.allocated_bytes == 2 * 11 * 5 * 2 * 2 * (WIDTH // 4) * 4


def test_growing_is_rare_and_room_that_was_asked_for_is_enough():
    model, cache = decoding_model(2), Cache(2, capacity=11)
    in_chunks(model, tokens(positions=11), [1] * 11, cache=cache)
    assert cache.capacity == 11
    grown = Cache(2)
    capacities = []
    for _ in range(100):
        write(grown, 1, [0])
        capacities.append(grown.capacity)
    assert len(set(capacities)) <= 8 and capacities[-1] < 200


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Cache(0), "batch=0"),
        (lambda: Cache(1, -1), "capacity=-1"),
        (lambda: Cache(2, padding=[1]), "padding must be 2 counts"),
        (lambda: Cache(1, padding=[-1]), "padding"),
        (lambda: Cache(1, padding=[0.5]), "padding"),
        (lambda: Cache(1).begin(0), "num_positions=0"),
        (lambda: Cache(1).truncate(1), "length=1"),
        (lambda: Cache(3).extended(PATH, 0, chunk(1)), "3 sequences, not 2"),
        (lambda: Cache(2).extended(PATH, 0, (randn(2, 1, 4).requires_grad_(),)), "no_grad"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_place_that_earlier_calls_left_out_is_refused():
    cache = Cache(2)
    write(cache, 2, [0])
    cache.begin(1)
    with pytest.raises(ValueError, match="is new"):
        cache.extended(("coda", 0), 0, chunk(1))


def test_committing_another_number_of_positions_is_refused():
    cache = Cache(2)
    cache.begin(2)
    cache.extended(PATH, 0, chunk(2))
    with pytest.raises(ValueError, match="num_positions=1"):
        cache.commit(1)
