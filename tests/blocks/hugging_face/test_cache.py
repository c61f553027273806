"""A user's cache is the model's, in the usual manual loop and under all that transformers does to caches."""

import copy
import inspect

import pytest
import torch
from transformers import AutoConfig, DynamicCache
from transformers.cache_utils import Cache, CacheLayerMixin

from mythos_blocks.hugging_face import MythosCacheLayer
from tests.blocks.hugging_face.declarations import DECLARATIONS, made
from tests.blocks.parts import tokens

IDS = tokens(batch=2, positions=5)


@pytest.fixture(scope="module", params=DECLARATIONS)
def model(request):
    return made(request.param)


def continued(model, step):
    """Greedy tokens of a loop whose every step is ``step(ids so far, new ids) -> logits``."""
    ids = new = IDS
    for _ in range(4):
        new = step(ids, new)[:, -1:].argmax(-1)
        ids = torch.cat([ids, new], dim=1)
    return ids


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("of", ["nothing", "the config"])
def test_the_manual_loop_with_an_empty_cache_gives_the_right_tokens(model, of, gradients):
    past = DynamicCache() if of == "nothing" else DynamicCache(config=model.config)

    with torch.set_grad_enabled(gradients):
        tokens_of = [
            continued(model, lambda ids, new: model(ids, use_cache=False).logits),
            continued(model, lambda ids, new: model(new, past_key_values=past).logits),
        ]

    assert torch.equal(*tokens_of) and past.get_seq_length() == 8, "it is the user's object that is written to"


def test_a_cache_passes_gradients_on():
    model = made("openmythos")
    gradients = []
    for cached in (False, True):
        model.zero_grad()
        if cached:
            past = model(IDS[:, :3]).past_key_values
            last = model(IDS[:, 3:], past_key_values=past).logits[:, -1]
        else:
            last = model(IDS, use_cache=False).logits[:, -1]
        last.square().sum().backward()
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])

    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_what_transformers_does_to_caches(model):
    def after(change, rows=slice(None), kept=5):
        past = model(IDS).past_key_values
        changed = change(past) or past
        new = IDS[rows][:, :1]
        got = model(new, past_key_values=changed).logits
        wanted = model(torch.cat([IDS[rows][:, :kept], new], 1), use_cache=False).logits[:, -1:]
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)

    after(lambda past: past.crop(-2), kept=3)
    after(lambda past: past.crop(0))
    after(lambda past: past.reset(), kept=0)
    after(lambda past: past.reorder_cache(torch.tensor([1, 0])), rows=[1, 0])
    after(lambda past: past.batch_select_indices(torch.tensor([1])), rows=[1])
    after(lambda past: past.batch_select_indices(torch.tensor([False, True])), rows=[1])
    after(lambda past: past.batch_repeat_interleave(2), rows=[0, 0, 1, 1])
    after(copy.deepcopy)


def test_every_method_of_a_layer_is_its_own():
    left = {
        name
        for name, value in vars(CacheLayerMixin).items()
        if inspect.isfunction(value) and not name.startswith("_") and name not in vars(MythosCacheLayer)
    }
    assert not left


@torch.no_grad()
def test_a_cache_says_what_any_does():
    past = made("gated_loop")(IDS).past_key_values

    assert isinstance(past, Cache) and len(past) == 1 and past.is_croppable and not past.is_compileable
    assert past.get_mask_sizes(2, 0) == (7, 0) and past.get_max_length() == -1


@pytest.mark.parametrize(
    "past, words",
    [
        (
            DynamicCache([(torch.ones(2, 2, 5, 4), torch.ones(2, 2, 5, 4))]),
            "has not written; use an empty DynamicCache",
        ),
        (DynamicCache(config=AutoConfig.for_model("mistral", sliding_window=4, num_hidden_layers=1)), "cannot fill"),
    ],
)
def test_what_it_does_not_know_is_refused(past, words):
    with pytest.raises(ValueError, match=words):
        made("gated_loop")(IDS, past_key_values=past)


@pytest.mark.parametrize(
    "ids, given, words",
    [
        (IDS[:1], {}, "holds 2 rows, and this call has 1"),
        (IDS, {"attention_mask": torch.ones(2, 5)}, r"attention_mask must be \(2, 10\)"),
        (IDS, {"attention_mask": torch.ones(2, 10).index_fill(1, torch.tensor([0]), 0)}, "other padding"),
        (IDS, {"position_ids": torch.tensor([[5, 6, 0, 1, 2]])}, "position_ids restart"),
    ],
)
@torch.no_grad()
def test_a_call_that_does_not_go_on_from_a_cache_is_refused(ids, given, words):
    model = made("gated_loop")
    past = model(IDS).past_key_values

    with pytest.raises(ValueError, match=words):
        model(ids, past_key_values=past, **given)


def test_training_makes_no_cache_and_takes_none():
    model = made("gated_loop")
    past = model(IDS).past_key_values
    model.train()

    assert model(IDS).past_key_values is None
    for given in ({"use_cache": True}, {"past_key_values": past}):
        with pytest.raises(ValueError, match="the model is in training; call eval"):
            model(IDS, **given)
