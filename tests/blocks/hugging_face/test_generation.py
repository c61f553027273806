"""Generation with loops and exits that configs name, and with drafts, chunks and embeddings."""

import copy

import pytest
import torch
from transformers import GenerationConfig

from mythos_blocks.hugging_face import MythosConfig, MythosForCausalLM
from tests.blocks.hugging_face.declarations import DECLARATIONS, WIDTH, made
from tests.blocks.parts import VOCAB, tokens

IDS = tokens(batch=2, positions=7)
GREEDY = {"max_new_tokens": 6, "do_sample": False}


@pytest.fixture(scope="module", params=DECLARATIONS)
def model(request):
    return made(request.param)


def refused_or_equal(generated, wanted, words):
    try:
        tokens_of = generated()
    except ValueError as error:
        assert words in str(error) and "\n" not in str(error)
    else:
        assert torch.equal(tokens_of, wanted)


def test_with_the_cache_and_without(model):
    wanted = model.generate(IDS, use_cache=False, **GREEDY)

    assert torch.equal(model.generate(IDS, **GREEDY), wanted)
    assert torch.equal(model.generate(IDS, prefill_chunk_size=3, **GREEDY), wanted)
    model.train()
    assert torch.equal(model.generate(IDS, **GREEDY), wanted) and model.training, "decoding is evaluation"
    model.eval()


@pytest.mark.parametrize("draft", ["lookup", "another", "itself with fewer loops"])
def test_drafts_change_no_token(model, draft):
    prompt = IDS[:1].repeat(1, 2)
    options = {"prompt_lookup_num_tokens": 3}
    if draft == "another":
        options = {"assistant_model": made("gated_loop")}
    elif draft != "lookup":
        options = {"assistant_model": copy.deepcopy(model)}
        options["assistant_model"].generation_config.num_loops = 1
    wanted = model.generate(prompt, num_loops=3, **GREEDY)

    assert torch.equal(model.generate(prompt, num_loops=3, **options, **GREEDY), wanted)


def test_an_assistant_runs_the_loops_of_its_own_config():
    model = made("huginn")
    assistant = copy.deepcopy(model)
    assistant.generation_config.num_loops = 1
    runs = []
    assistant.model.register_forward_hook(lambda module, args, out: runs.append(int(out.loops_run.max())))

    model.generate(IDS[:1], num_loops=3, assistant_model=assistant, **GREEDY)

    assert runs and set(runs) == {1}


def test_embeddings_as_a_prompt(model):
    wanted = model.generate(IDS, **GREEDY)[:, IDS.shape[1] :]
    embedded = model.get_input_embeddings()(IDS).detach()

    refused_or_equal(lambda: model.generate(inputs_embeds=embedded, **GREEDY), wanted, "value_embeddings")


def test_a_conversation_goes_on_from_its_cache(model):
    out = model.generate(IDS, return_dict_in_generate=True, **GREEDY)
    longer = torch.cat([out.sequences, IDS[:, :2]], dim=1)

    went_on = model.generate(longer, past_key_values=out.past_key_values, **GREEDY)

    assert torch.equal(went_on, model.generate(longer, **GREEDY))


def ways(model, value):
    """All ways to choose a loop count."""
    by_config, by_generation = copy.deepcopy(model), copy.deepcopy(model)
    by_config.config.num_loops = by_generation.generation_config.num_loops = value
    config = GenerationConfig(num_loops=value, **GREEDY)
    return {
        "a call": model.generate(IDS, num_loops=value, **GREEDY),
        "iterations": model.generate(IDS, iterations=value, **GREEDY),
        "a generation config": model.generate(IDS, generation_config=config),
        "the model's config": by_config.generate(IDS, **GREEDY),
        "the model's generation config": by_generation.generate(IDS, **GREEDY),
    }


def test_loops_are_chosen_by_any_config():
    model = made("huginn")
    for value in (1, 4):
        looped = model.as_looped()
        wanted = IDS
        with torch.no_grad():
            for _ in range(GREEDY["max_new_tokens"]):
                logits = looped(wanted, iterations=value).logits
                wanted = torch.cat([wanted, logits[:, -1:].argmax(-1)], dim=1)
        for way, got in ways(model, value).items():
            assert torch.equal(got, wanted), way


def test_what_a_call_says_goes_before_a_generation_config_and_that_before_the_config(model):
    chooser = copy.deepcopy(model)
    chooser.config.num_loops, chooser.generation_config.num_loops = 1, 2
    runs = []
    chooser.model.register_forward_hook(lambda module, args, out: runs.append(int(out.loops_run.max())))
    for given in ({}, {"num_loops": 3}, {"iterations": 3}):
        chooser.generate(IDS, max_new_tokens=1, **given)
    with torch.no_grad():
        chooser(IDS)

    assert [n <= most for n, most in zip(runs, (2, 3, 3, 1), strict=True)] == [True] * 4 and runs[3] == 1


def test_an_exit_by_generation_config_stops_positions():
    model = made("huginn")
    eager = {"kind": "latent", "threshold": 1e6}
    runs = []
    model.model.register_forward_hook(lambda module, args, out: runs.append(int(out.loops_run.max())))
    model.generation_config.exit = eager

    model.generate(IDS, max_new_tokens=2, num_loops=4)
    model.generate(IDS, max_new_tokens=1, num_loops=4, exit="none")

    assert max(runs[:2]) < 4 and runs[2] == 4


def test_a_wrong_loop_count_of_a_generation_config_is_named():
    model = made("gated_loop")
    model.generation_config.num_loops = 0

    with pytest.raises(ValueError, match="num_loops=0 must be a whole number"):
        model.generate(IDS, **GREEDY)


def test_what_would_change_tokens_is_refused():
    declaration = {"width": WIDTH, "core": {"loops": {"kind": "fixed", "num_loops": 3}, "kv_policy": "first"}}
    halting = {"kind": "act", "granularity": "sequence"}
    for core in ({"kv_policy": "last"}, {"halting": halting}):
        inexact = {**declaration, "core": {**declaration["core"], **core}}
        model = MythosForCausalLM(MythosConfig(declaration=inexact, vocab_size=VOCAB)).eval()
        for option in ({"prompt_lookup_num_tokens": 2}, {"prefill_chunk_size": 3}):
            with pytest.raises(ValueError, match="would change the tokens") as caught:
                model.generate(IDS[:1], **option, **GREEDY)
            assert "\n" not in str(caught.value)


def test_an_exit_rule_that_reads_logits_reads_the_head_that_is_there():
    model = made("huginn", exit={"kind": "entropy", "threshold": 1e6})
    other = copy.deepcopy(model)
    seen = []
    other.lm_head.register_forward_hook(lambda *_: seen.append(1))

    with torch.no_grad():
        assert int(model(IDS, num_loops=5).loops_run.max()) < 5 and not seen, "a copy has a head of its own"
        other(IDS, num_loops=5)
        assert len(seen) > 1
        with pytest.raises(ValueError, match="MythosModel has no head; load MythosForCausalLM"):
            from mythos_blocks.hugging_face import MythosModel

            MythosModel(model.config).eval()(IDS)
