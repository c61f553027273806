"""What stands before the first layer besides tokens: a prefix, and learned positions."""

import math

import pytest
import torch

import mythos_blocks as mb
from tests.blocks.parts import LOOPS, VOCAB, WIDTH, make, randn, randomise

TOKENS = torch.randint(VOCAB, (3, 9), generator=torch.Generator().manual_seed(0))


def built(**fields):
    core = {"loops": {"kind": "fixed", "num_loops": LOOPS}}
    model = mb.LoopedTransformer(VOCAB, width=WIDTH, core=core, **fields).eval()
    randomise(model, std=0.2)
    return model


def test_learned_positions_are_added_and_the_sum_is_scaled():
    part = make("position_embedding", {"kind": "learned", "num_positions": 9, "scale": 0.5})
    x = randn(3, 9, WIDTH)
    torch.testing.assert_close(part(x), 0.5 * (x + part.table))
    places = torch.tensor([[4, 5, 0], [1, 1, 8]])
    torch.testing.assert_close(part(x[:2, :3], places), 0.5 * (x[:2, :3] + part.table[places]))


@pytest.mark.parametrize("positions", [None, torch.arange(1, 10)])
def test_a_position_without_a_row_is_refused_by_name(positions):
    part = make("position_embedding", {"kind": "learned", "num_positions": 8})
    with pytest.raises(ValueError, match="position_embedding 'learned' has num_positions=8, and the input"):
        part(randn(1, 9, WIDTH), positions)


@pytest.mark.parametrize("dim, num_positions", [(WIDTH, 1), (WIDTH, 3), (2 * WIDTH, 3), (WIDTH + 5, 2), (7, 1)])
def test_a_puzzles_vector_is_filled_up_and_cut_into_the_first_positions(dim, num_positions):
    part = make("prefix", {"kind": "puzzle", "num_positions": num_positions, "num_puzzles": 5, "dim": dim})
    x, numbers = randn(3, 9, WIDTH), torch.tensor([4, 0, 2])
    ids = TOKENS.clone()
    ids[:, :num_positions] = numbers[:, None]
    out = part(x, ids)
    wanted = torch.zeros(3, num_positions * WIDTH)
    wanted[:, :dim] = part.table[numbers]
    assert torch.equal(out[:, :num_positions], wanted.view(3, num_positions, WIDTH))
    assert torch.equal(out[:, num_positions:], x[:, num_positions:])


def test_puzzles_that_do_not_fit_are_refused_by_name():
    with pytest.raises(ValueError, match=r"dim=40 takes 2 positions of 32 channels, and num_positions=1"):
        make("prefix", {"kind": "puzzle", "dim": 40})
    part = make("prefix", {"kind": "puzzle", "num_puzzles": 2})
    with pytest.raises(ValueError, match="num_puzzles=2, and the input reads 5; the largest that it can read is 1"):
        part(randn(1, 3, WIDTH), torch.tensor([[5, 9, 9]]))


@pytest.mark.parametrize("prefix", [{"kind": "memory", "num_positions": 3}, {"kind": "puzzle", "num_positions": 3}])
def test_a_prefix_stands_before_positions_and_scale_and_its_places_may_hold_any_number(prefix):
    positions = {"kind": "learned", "num_positions": 9, "scale": 0.7}
    model = built(prefix=prefix, position_embedding=positions, scale_embeddings=True)
    ids = TOKENS.clone()
    ids[:, :3] = 0 if prefix["kind"] == "puzzle" else VOCAB + 7
    part = model.prefix
    first = part.vectors if prefix["kind"] == "memory" else torch.cat([part.table, torch.zeros(2, WIDTH)])
    rows = torch.cat([first.expand(3, 3, WIDTH), model.embedding(ids[:, 3:])], 1)
    wanted = 0.7 * (rows + model.position_embedding.table) * math.sqrt(WIDTH)
    torch.testing.assert_close(model.encode(ids), wanted)
    assert torch.equal(model(ids).frame.tokens, ids), "as they were given, for whoever reads them again"


@torch.no_grad()
@pytest.mark.parametrize("prefix", [{"kind": "memory", "num_positions": 3}, {"kind": "puzzle", "num_positions": 3}])
@pytest.mark.parametrize("chunks", [[9], [2, 3, 4], [3, 5, 1]])
def test_decoding_with_a_cache_reads_prefix_and_positions_where_they_stand(prefix, chunks):
    layer = {"attention": {"kind": "mha", "value_embeddings": True}}
    positions = {"kind": "learned", "num_positions": 9}
    model = built(prefix=prefix, position_embedding=positions, prelude={"depth": 1, "layer": layer})
    ids = TOKENS.clone()
    ids[:, :3] = 0 if prefix["kind"] == "puzzle" else VOCAB + 7
    decoder = mb.Decoder(model, 3)
    steps = torch.cat([decoder.advance(part).logits for part in ids.split(chunks, 1)], 1)
    torch.testing.assert_close(steps, model(ids).logits, rtol=1e-4, atol=1e-5)
