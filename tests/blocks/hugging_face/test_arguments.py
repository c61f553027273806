"""Every argument that transformers' models take is honoured, or refused in one line."""

import inspect

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import profile
from transformers import AutoConfig, GenerationConfig, LlamaForCausalLM, LlamaModel, StaticCache
from transformers.utils import TransformersKwargs
from transformers.utils.generic import find_labels

from mythos_blocks.hugging_face import MythosForCausalLM, MythosModel
from tests.blocks.hugging_face.declarations import DECLARATIONS, made
from tests.blocks.parts import tokens

IDS = tokens(batch=2, positions=6)
PACKED = torch.tensor([[0, 1, 0, 1, 2, 3]])


@pytest.fixture(scope="module")
def model():
    return made("openmythos")


def largest(a, b):
    return float((a - b).abs().max())


def changes_logits(**given):
    return lambda model: largest(model(IDS, **given).logits, model(IDS).logits) > 1e-3


def refuses(name, value, words):
    def check(model):
        with pytest.raises(ValueError, match=words) as caught:
            model(IDS, **{name: value})
        return name in str(caught.value) and "\n" not in str(caught.value)

    return check


BOUNDS = {
    "cu_seq_lens_q": (torch.tensor([0, 2, 6, 8, 12]), torch.tensor([0, 3, 6, 9, 12])),
    "cu_seq_lens_k": (torch.tensor([0, 2, 6, 8, 12]), torch.tensor([0, 6, 12])),
    "max_length_q": (4, 6),
    "max_length_k": (4, 3),
    "seq_idx": (torch.tensor([[0, 0, 1, 1, 1, 1]]), torch.tensor([[0, 0, 0, 1, 1, 1]])),
}
"""What says the same as ``PACKED``, and what does not."""


def tells_apart(name, right, wrong):
    def check(model):
        wanted = model(IDS, position_ids=PACKED).logits
        assert torch.equal(model(IDS, position_ids=PACKED, **{name: right}).logits, wanted)
        if name.startswith("cu_seq_lens"):
            assert torch.equal(model(IDS, **{name: right}).logits, wanted)
        with pytest.raises(ValueError, match=f"{name} tells sequences apart otherwise than position_ids"):
            model(IDS, position_ids=PACKED, **{name: wrong})
        return True

    return check


HONOURED = {
    "input_ids": lambda model: largest(model(input_ids=IDS).logits, model(IDS).logits) == 0,
    "inputs_embeds": lambda model: largest(
        model(inputs_embeds=model.get_input_embeddings()(IDS)).logits, model(IDS).logits
    ) == 0,
    "attention_mask": lambda model: largest(
        model(IDS, attention_mask=torch.tensor([[0, 0, 1, 1, 1, 1]] * 2)).logits[:, 2:], model(IDS[:, 2:]).logits
    ) < 1e-5,
    "position_ids": changes_logits(position_ids=PACKED),
    "past_key_values": lambda model: largest(
        model(IDS[:, 3:], past_key_values=model(IDS[:, :3]).past_key_values).logits, model(IDS).logits[:, 3:]
    ) < 1e-5,
    "labels": lambda model: model(IDS, labels=IDS).loss is not None,
    "shift_labels": lambda model: largest(
        model(IDS[:, :-1], shift_labels=IDS[:, 1:]).loss, model(IDS, labels=IDS).loss
    ) < 1e-5,
    "use_cache": lambda model: model(IDS, use_cache=False).past_key_values is None and model(IDS).past_key_values,
    "logits_to_keep": lambda model: torch.equal(model(IDS, logits_to_keep=2).logits, model(IDS).logits[:, -2:]),
    "num_items_in_batch": lambda model: largest(
        model(IDS, labels=IDS, num_items_in_batch=20).loss * 2, model(IDS, labels=IDS).loss
    ) < 1e-5,
    "output_hidden_states": lambda model: model(IDS, output_hidden_states=True).hidden_states is not None,
    **{name: tells_apart(name, right, wrong) for name, (right, wrong) in BOUNDS.items()},
    "return_dict": lambda model: isinstance(model(IDS, return_dict=False), tuple),
    "num_loops": changes_logits(num_loops=1),
    "iterations": changes_logits(iterations=[0]),
    "exit": changes_logits(exit={"kind": "latent", "threshold": 100.0}),
    "ignore_index": lambda model: largest(
        model(IDS, labels=IDS, ignore_index=int(IDS[0, 1])).loss, model(IDS, labels=IDS).loss
    ) > 1e-3,
}  # fmt: skip
REFUSED = {
    "output_attentions": (True, "weights are not kept"),
    "output_router_logits": (True, "in the training loss"),
    "is_causal": (False, "attention_mask"),
    "token_type_ids": (IDS, "return_token_type_ids=False"),
    "cache_position": (torch.arange(6), "known from past_key_values"),
}


def llamas_arguments():
    named = {*inspect.signature(LlamaForCausalLM.forward).parameters, *inspect.signature(LlamaModel.forward).parameters}
    return sorted({*named, *TransformersKwargs.__optional_keys__, "shift_labels"} - {"self", "kwargs"})


@pytest.mark.parametrize("name", sorted({*llamas_arguments(), *HONOURED, *REFUSED}))
@torch.no_grad()
def test_an_argument_of_forward_is_honoured_or_refused(model, name):
    check = HONOURED[name] if name in HONOURED else refuses(name, *REFUSED[name])

    assert check(model)


def test_ours_are_among_them():
    ours = inspect.signature(MythosForCausalLM.forward).parameters
    assert {name for name in ours if name not in ("self", "kwargs")} <= HONOURED.keys()
    assert {name for name in inspect.signature(MythosModel.forward).parameters} - {"self", "kwargs"} <= HONOURED.keys()


def test_a_trainer_knows_the_labels():
    # An evaluation has a loss where a batch has all of these.
    assert find_labels(MythosForCausalLM) == find_labels(LlamaForCausalLM) == ["labels"]


@pytest.mark.parametrize("part", ["model", "whole"])
def test_an_unknown_argument_is_refused_by_name(model, part):
    with pytest.raises(ValueError, match="takes no 'position_idz'; did you mean 'position_ids'|nearest"):
        (model if part == "whole" else model.model)(IDS, position_idz=PACKED)


@pytest.mark.parametrize(
    "given, words",
    [
        ({"input_ids": IDS, "inputs_embeds": torch.zeros(2, 6, 32)}, "exactly one of input_ids"),
        ({}, "exactly one of input_ids"),
        ({"input_ids": IDS[0]}, r"input_ids must be whole numbers \(batch, positions\)"),
        ({"inputs_embeds": torch.zeros(2, 6, 5)}, r"inputs_embeds must be \(batch, positions, 32\)"),
        ({"input_ids": IDS, "attention_mask": {"full_attention": None}}, "attention_mask must be a tensor, not a dict"),
        ({"input_ids": IDS, "attention_mask": torch.ones(2, 4)}, r"attention_mask must be \(2, 6\)"),
        ({"input_ids": IDS, "attention_mask": torch.ones(2, 3, 6, 6)}, r"attention_mask must be \(2, 1, 6, 6\)"),
        ({"input_ids": IDS, "attention_mask": torch.full((2, 1, 6, 6), 0.5)}, "0 where a key is read and -inf"),
        ({"input_ids": IDS, "position_ids": torch.zeros(2, 3).long()}, r"position_ids must be \(2, 6\)"),
        ({"input_ids": IDS, "labels": IDS[:, 1:]}, r"labels must be \(2, 6\)"),
        ({"input_ids": IDS, "shift_labels": IDS[:, 1:]}, r"shift_labels must be \(2, 6\)"),
        ({"input_ids": IDS, "logits_to_keep": -1}, "logits_to_keep=-1 must be"),
        ({"input_ids": IDS, "logits_to_keep": True}, "logits_to_keep=True must be"),
        ({"input_ids": IDS, "num_loops": 0}, "num_loops=0 must be a whole number"),
        ({"input_ids": IDS, "num_loops": 2.5}, "num_loops=2.5 must be a whole number"),
        ({"input_ids": IDS, "num_loops": "4"}, "num_loops='4' must be a whole number"),
        ({"input_ids": IDS, "num_loops": True}, "num_loops=True must be a whole number"),
        ({"input_ids": IDS, "num_loops": 2, "iterations": 3}, "give one of them"),
        ({"input_ids": IDS, "exit": "latnt"}, "exit='latnt'.*latent"),
        ({"input_ids": IDS, "exit": {"kind": "latent", "treshold": 1}}, "threshold"),
        ({"input_ids": IDS, "output_hidden_states": [99]}, r"output_hidden_states=\[99\]: there are"),
        ({"input_ids": IDS, "use_cache": True, "position_ids": PACKED}, "position_ids restart"),
    ],
)  # fmt: skip
def test_what_is_out_of_range_is_refused_in_one_line(model, given, words):
    with pytest.raises(ValueError, match=words) as caught:
        model(**given)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "field, value, words",
    [
        ("output_attentions", True, "weights are not kept"),
        ("num_loops", 0, "num_loops=0"),
        ("exit", "nothing", "exit="),
    ],
)
def test_so_is_what_the_config_asks_for(field, value, words):
    model = made("gated_loop")
    model.set_attn_implementation("eager")  # without which transformers refuses the first
    setattr(model.config, field, value)

    with pytest.raises(ValueError, match=words):
        model(IDS)


@torch.no_grad()
def test_the_config_says_what_a_call_leaves_open():
    model = made("huginn")
    wanted = model(IDS, num_loops=1, exit="none").logits

    model.config.num_loops, model.config.use_cache, model.config.output_hidden_states = 1, False, True
    out = model(IDS)

    assert torch.equal(out.logits, wanted) and out.past_key_values is None and out.hidden_states is not None
    model.config.return_dict = False
    assert isinstance(model(IDS), tuple)
    assert largest(model(IDS, num_loops=4, return_dict=True).logits, wanted) > 1e-3, "a call's own goes before it"


@pytest.mark.parametrize("name", DECLARATIONS)
@torch.no_grad()
def test_hidden_states_come_in_the_order_in_which_they_are_computed(name):
    model = made(name)
    looped = model.model.looped
    record = looped(IDS, iterations=2, record=True)

    out = model(IDS, num_loops=2, output_hidden_states=True)

    per_iteration = len(looped.core.layers) + 1
    before, after = 1 + len(looped.prelude.layers), len(looped.coda.layers)
    assert len(out.hidden_states) == before + 2 * per_iteration + after + 1
    assert torch.equal(out.hidden_states[0], model.get_input_embeddings()(IDS))
    for t, state in enumerate(record.states):
        torch.testing.assert_close(out.hidden_states[before + (t + 1) * per_iteration - 1], state)
    assert torch.equal(model.lm_head(out.hidden_states[-1]), out.logits)
    chosen = model(IDS, num_loops=2, output_hidden_states=[0, -1]).hidden_states
    assert [i for i, x in enumerate(chosen) if x is not None] == [0, len(chosen) - 1]


# What generate's options do to the model rather than to tokens; the rest is transformers' own.
OPTIONS = {
    "cache_implementation": ("static", "'dynamic'"),
    "cache_config": ({"backend": "quanto"}, "leave it out"),
    "max_cache_len": (20, "leave it out"),
    "output_attentions": (True, "weights are not kept"),
    "assistant_early_exit": (1, "assistant_model"),
    "use_mtp": (True, "prompt_lookup_num_tokens"),
}


@pytest.mark.parametrize("name, value, words", [(name, *rest) for name, rest in OPTIONS.items()])
def test_an_option_of_generate_that_is_not_there_is_refused(model, name, value, words):
    assert hasattr(GenerationConfig(), name), "transformers has it"
    with pytest.raises(ValueError, match=words) as caught:
        model.generate(IDS, max_new_tokens=2, **{name: value})

    assert name in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["static", "offloaded", "offloaded_static", "quantized", "paged"])
def test_the_cache_is_dynamic(model, kind):
    with pytest.raises(ValueError, match="dynamic|paged"):
        model.generate(IDS, max_new_tokens=2, cache_implementation=kind)


def test_a_cache_of_another_kind_is_refused(model):
    static = StaticCache(AutoConfig.for_model("llama", num_hidden_layers=2), max_cache_len=9)
    for cache in (static, ((IDS, IDS),), []):
        with pytest.raises(ValueError, match="past_key_values must be a DynamicCache"):
            model(IDS, past_key_values=cache)


@pytest.mark.parametrize("implementation", ["flash_attention_2", "flex_attention"])
@torch.no_grad()
def test_an_implementation_of_attention_that_is_not_there_is_refused(implementation):
    model = made("gated_loop")
    with pytest.raises((ValueError, ImportError)):
        model.set_attn_implementation(implementation)
        model(IDS)


@torch.no_grad()
def test_the_one_that_is_named_is_run():
    model = made("gated_loop")
    model.set_attn_implementation("eager")
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION), profile() as seen:
        out = model(IDS)

    assert not any("flash" in event.key for event in seen.key_averages())
    torch.testing.assert_close(out.logits, made("gated_loop")(IDS).logits)


@pytest.mark.parametrize("name", ["num_hidden_layers", "hidden_size", "num_attention_heads"])
def test_sizes_that_the_declaration_does_not_have_are_refused(name):
    with pytest.raises(ValueError, match=f"{name}=7, and the model that config.declaration declares has"):
        made("gated_loop", **{name: 7})
