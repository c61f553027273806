"""What decodes, in others' hands: copied and pickled in the middle of its work, and given counts of all kinds."""

import copy
import pickle

import numpy as np
import pytest
import torch

from mythos_blocks.generation import Decoder, Engine, LazyDecoder, Sampling, generate
from tests.blocks.decoding import decoding_model
from tests.blocks.parts import tokens

TOKENS = tokens(2, 6)
COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda x: pickle.loads(pickle.dumps(x))}


def decoding(kind, exit):
    decoder = kind(decoding_model(), 2, exit=exit)
    decoder.prefill(TOKENS)
    return decoder, lambda one: one.step(torch.tensor([3, 4]))


def serving():
    engine = Engine(decoding_model(), num_slots=2, capacity=16)
    for prompt in (TOKENS[0], TOKENS[1, :4], TOKENS[0, :3]):
        engine.submit(prompt, max_new_tokens=4, exit="latent")
    engine.step()
    return engine, lambda one: torch.tensor([[new.request, new.token, new.num_loops] for new in one.step()])


AT_WORK = {
    "a decoder": lambda: decoding(Decoder, "kl"),
    "lazy depth": lambda: decoding(LazyDecoder, "kl"),
    "lazy depth, all loops": lambda: decoding(LazyDecoder, None),
    "an engine": serving,
}


@torch.no_grad()
@pytest.mark.parametrize("how", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("at_work", AT_WORK.values(), ids=AT_WORK)
def test_a_copy_goes_on_as_the_original_does_and_leaves_it_alone(at_work, how):
    original, go_on = at_work()
    twin, copied = how(original), how(original)
    with torch.no_grad():
        for parameter in copied.model.parameters():
            parameter.zero_()  # which neither of the others reads
    for _ in range(3):
        go_on(copied)
        torch.testing.assert_close(go_on(twin), go_on(original), rtol=1e-5, atol=1e-5)


GIVEN = {
    "num_slots": lambda model, n: Engine(model, num_slots=n),
    "capacity": lambda model, n: Engine(model, capacity=n),
    "max_loops": lambda model, n: LazyDecoder(model, 2, iterations=1, max_loops=n),
    "leave_every": lambda model, n: Engine(model, leave_every=n),
    "num_loops": lambda model, n: Engine(model).submit(TOKENS[0], max_new_tokens=1, num_loops=n),
    "max_new_tokens": lambda model, n: Engine(model).submit(TOKENS[0], max_new_tokens=n),
    "batch": lambda model, n: LazyDecoder(model, n),
    "iterations": lambda model, n: LazyDecoder(model, 2, iterations=n),
    "chunk": lambda model, n: LazyDecoder(model, 2).prefill(TOKENS, chunk=n),
    "top_k": lambda model, n: Sampling(top_k=n),
    "batch of a decoder": lambda model, n: Decoder(model, n),
    "chunk of a decoder": lambda model, n: Decoder(model, 2).prefill(TOKENS, chunk=n),
    "max_new_tokens of a batch": lambda model, n: generate(model, TOKENS, max_new_tokens=n),
    "prefill_chunk": lambda model, n: generate(model, TOKENS, max_new_tokens=1, prefill_chunk=n),
}


@pytest.mark.parametrize("name", GIVEN)
def test_counts_are_whole_numbers_of_any_kind_and_nothing_else(name):
    make, model = GIVEN[name], decoding_model()
    make(model, np.int64(2))
    for wrong in (0, -4, 1.5, True, "2"):
        with pytest.raises(ValueError, match=name.split()[0]) as caught:
            make(model, wrong)
        assert "\n" not in str(caught.value)
