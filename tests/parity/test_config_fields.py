"""Every field of a published configuration: rendered exactly, or refused in one line.

Each field is set to other legal values, one after the other. Then the import is refused, or ours equals the published
model: the logits of evaluation; the logits and gradients of a training pass with the counts that were drawn there; the
loop counts and gradient windows that training draws; the state it starts from; the weights it begins with.
"""

import math
from contextlib import contextmanager

import pytest
import torch

from mythos_blocks import Slot
from mythos_blocks.checkpoints import huginn_config, open_mythos_config, parcae_config
from tests.parity import huginn, parcae
from tests.parity.from_state import error, randomised
from tests.parity.judges import IMPORTERS, JUDGES, PUBLISHED, published_fields

DEFAULTS = {
    "huginn": huginn_config.DEFAULTS,
    "parcae": parcae_config.DEFAULTS,
    "open_mythos": open_mythos_config.DEFAULTS,
}
INERT = {
    "huginn": huginn_config.INERT,
    "parcae": parcae_config.INERT,
    "open_mythos": open_mythos_config.INERT,
}
BASE = {
    "huginn": huginn.CONFIG,
    "parcae": parcae.CONFIG,
    "open_mythos": {
        "vocab_size": 61, "dim": 64, "n_heads": 4, "n_kv_heads": 2, "max_seq_len": 32, "max_loop_iters": 5,
        "prelude_layers": 1, "coda_layers": 1, "attn_type": "mla", "kv_lora_rank": 24, "q_lora_rank": 20,
        "qk_rope_head_dim": 8, "qk_nope_head_dim": 12, "v_head_dim": 16, "n_experts": 4, "n_shared_experts": 1,
        "n_experts_per_tok": 2, "expert_dim": 16, "lora_rank": 4,
    },
}  # fmt: skip

# Other legal values of every field of the published classes. None leaves the field out.
OTHERS = {
    "huginn": {
        "n_embd": [64, 50], "n_heads": [2, 3, 8], "n_layers": [3], "block_size": [64], "vocab_size": [64],
        "padding_multiple": [8], "tie_embeddings": [False], "intermediate_size": [48], "bias": [True],
        "architecture_class_name": ["GPT"], "block_class_name": ["TransformerPreNormBlock"],
        "norm_class_name": ["LayerNorm"], "norm_eps": [0.1], "mlp_class_name": ["BaseMLP"], "nonlin_name": ["GELU"],
        "init_strategy": ["scaled"], "init_orthogonal": [True], "state_init": ["zero"], "injection_type": ["add"],
        "n_layers_in_recurrent_block": [1], "mean_recurrence": [1, 9], "sampling_scheme": ["fixed"],
        "mean_backprop_depth": [1, 6, 8], "n_layers_in_prelude": [0, 1], "n_layers_in_coda": [0, 3],
        "qk_bias": [False], "activation_checkpoint_impl": ["none"], "rope_base": [100.0], "torch_dtype": ["float16"],
        "transformers_version": ["4.1"], "test_time_noise": [0.1], "test_time_noise_type": ["geom"],
        "padded_vocab_size": [72], "num_key_value_heads": [2, 4], "head_dim": [12, 10],
        "effective_expected_depth": [22, 30],
        "init_values": [
            {"std": 0.5}, {"std": 0.0}, {"std": -1.0}, {"std": 0.2, "embed_scale": 1.0}, {"std": 0.2, "out_proj": 3.0},
        ],
        "tie_word_embeddings": [], "hidden_size": [48, 64], "num_attention_heads": [4, 2], "num_hidden_layers": [5],
        "model_type": ["huginn_raven"],
    },
    "parcae": {
        "name": ["Gemma"], "hf_config": [{"name": "x"}], "block_size": [64], "n_embd": [96, 40],
        "intermediate_size": [48, None], "num_attention_heads": [2, 6], "num_key_value_heads": [1, 2, None],
        "vocab_size": [50], "padding_multiple": [16], "padded_vocab_size": [72, None],
        "rope_settings": [{}, {"use_rope": False}, {"rope_base": 100}, {"rope_condense_ratio": 2}],
        "use_abacus": [True], "randomize_positions_from": [40], "block_class_name": ["SandwichBlock"],
        "norm_class_name": ["LayerNorm", "Identity"], "attn_impl": ["sdpa", "debug-skip"], "norm_eps": [0.1],
        "mlp_class_name": ["GatedMLP"], "nonlin_name": ["GELU", "ReLU", "SiLU", "Tanh"], "bias": [True],
        "qk_bias": [True],
        "init_strategy": ["scaled", "scaled-geiping", "takase", "takase-scaled", "small", "llama", "illiterate"],
        "init_orthogonal": [False], "skip_initialization": [True], "mup_model_scaling_factor": [2],
        "use_fused_head": ["cce", "hhe", "full-triton"], "debias_attention": [True], "center_attention": [True],
        "clip_qkv": [0.1], "qk_norm": [False], "logit_softcap": [1.0], "activation_checkpoint_impl": ["per-block"],
        "simple_ops": [True], "strategy": ["ddp"], "injection_type": ["linear", "add"],
        "n_layers_in_recurrent_block": [1, 3], "n_layers_in_prelude": [0, 1], "n_layers_in_coda": [0, 3],
        "state_init": ["normal", "embed", "unit", "zero"], "recurrent_embedding_dimension": [24, 60],
        "recurrent_intermediation_embedding_dimension": [48], "recurrent_num_attention_heads": [4, 2],
        "prelude_norm": [False],
        "sampling_scheme": [
            "poisson-full", "poisson-fill", "poisson-unbounded", "poisson-bounded", "fixed",
            "poisson-truncated-full-curriculum-9", "fixed-curriculum-sqrt-9",
        ],
        "mean_recurrence": [1, 4, 6], "mean_backprop_depth": [1, 3, 8, 9], "lockstep_n": [True], "lockstep_k": [True],
        "curriculum_target": ["backward", "both"], "recurrent_iteration_method": ["per-batch", "per-token"],
        "tie_embeddings": [False], "model_class_name": ["Parcae"], "_is_recurrent_block_config": [True],
    },
    "open_mythos": {
        "vocab_size": [50], "dim": [72, 96, 60, 6], "n_heads": [2, 3, 8], "n_kv_heads": [1, 4], "max_seq_len": [64],
        "max_loop_iters": [1, 9], "prelude_layers": [0, 2], "coda_layers": [0, 2], "attn_type": ["gqa"],
        "kv_lora_rank": [8], "q_lora_rank": [8], "qk_rope_head_dim": [4, 6], "qk_nope_head_dim": [8, 5],
        "v_head_dim": [8, 20, 50], "n_experts": [2, 6], "n_shared_experts": [0, 2], "n_experts_per_tok": [1, 4, 5],
        "expert_dim": [8], "act_threshold": [0.3, 0.999, 1.0, 1.5], "rope_theta": [100.0], "lora_rank": [1, 8],
        "max_output_tokens": [1], "dropout": [0.1],
    },
}  # fmt: skip

# What one field alone does not show.
TOGETHER = {
    "huginn": [
        {"hidden_size": 48, "num_attention_heads": 4, "n_embd": None, "n_heads": None},
        {"num_attention_heads": 4, "num_key_value_heads": 4, "n_heads": None, "init_values": {"std": 0.1}},
        {"mean_recurrence": 2, "mean_backprop_depth": 5, "tie_embeddings": False, "qk_bias": False},
        {"padded_vocab_size": None, "vocab_size": 63},
        {"tie_embeddings": False, "tie_word_embeddings": False},
    ],
    "parcae": [
        {"recurrent_iteration_method": "per-batch", "sampling_scheme": "fixed"},
        {"recurrent_iteration_method": "per-token", "sampling_scheme": "fixed"},
        {"recurrent_iteration_method": "per-batch", "sampling_scheme": "poisson-full"},
        {"recurrent_iteration_method": "per-token", "sampling_scheme": "poisson-full"},
        {"recurrent_iteration_method": "per-batch", "sampling_scheme": "poisson-fill"},
        {"recurrent_iteration_method": "per-batch", "sampling_scheme": "poisson-bounded"},
        {"sampling_scheme": "fixed", "mean_backprop_depth": 9},
        {"bias": True, "injection_type": "linear", "init_strategy": "scaled", "qk_bias": True, "clip_qkv": 0.2},
        {"bias": True, "mlp_class_name": "GatedMLP", "nonlin_name": "SiLU", "init_strategy": "scaled"},
        {"injection_type": "linear", "init_strategy": "scaled"},
        {"injection_type": "linear", "init_strategy": "scaled", "init_orthogonal": False},
        {"injection_type": "linear", "init_orthogonal": True, "tie_embeddings": False},
        {"mlp_class_name": "GatedMLP", "nonlin_name": "SiLU", "init_strategy": "scaled", "norm_class_name": "LayerNorm"},
        {"mlp_class_name": "GatedMLP", "nonlin_name": "SiLU", "init_strategy": "scaled", "init_orthogonal": False},
        {"mlp_class_name": "GatedMLP", "nonlin_name": "GELU"},
        {"norm_class_name": "LayerNorm", "simple_ops": True, "qk_bias": True, "qk_norm": False},
        {"num_key_value_heads": 2, "qk_bias": True},
        {"num_key_value_heads": 2, "n_layers_in_recurrent_block": 1, "mean_recurrence": 7},
        {"rope_settings": {"use_rope": False}, "recurrent_num_attention_heads": 2, "state_init": "unit"},
        {
            "recurrent_embedding_dimension": 60, "recurrent_num_attention_heads": 5, "n_layers_in_recurrent_block": 1,
            "mean_recurrence": 7, "state_init": "embed",
        },
        {"recurrent_embedding_dimension": 60, "recurrent_num_attention_heads": 5, "injection_type": "add"},
        {name: None for name in parcae.CONFIG if name not in {
            "n_embd", "num_attention_heads", "block_size", "recurrent_embedding_dimension", "vocab_size",
            "recurrent_intermediation_embedding_dimension", "sampling_scheme", "recurrent_iteration_method",
        }},
    ],
    "open_mythos": [
        {"attn_type": "gqa", **other}
        for other in (
            {"dim": 72}, {"dim": 66}, {"dim": 8}, {"dim": 24, "n_heads": 2}, {"n_heads": 3}, {"n_kv_heads": 3},
            {"n_kv_heads": 1}, {"kv_lora_rank": 7, "qk_rope_head_dim": 3, "v_head_dim": 999}, {"rope_theta": 10.0},
        )
    ],
}  # fmt: skip

SYSTEMS = list(OTHERS)
CASES = [
    *((system, {name: value}) for system in SYSTEMS for name, values in OTHERS[system].items() for value in values),
    *((system, changes) for system in SYSTEMS for changes in [{}, *TOGETHER[system]]),
]
JUDGED_BY = [pytest.param("", id="written")]
JUDGED_BY += [pytest.param("published ", id="published")] if PUBLISHED else []
LEFT_OUT = {
    ("parcae", "intermediate_size"),
    ("parcae", "num_key_value_heads"),
    ("parcae", "padded_vocab_size"),
}  # fmt: skip  of which None is a value


def config_of(system, changes):
    config = {**BASE[system], **changes}
    return {name: value for name, value in config.items() if value is not None or (system, name) in LEFT_OUT}


def refused(make):
    """What ``make`` makes; nothing where it is refused, which takes one line."""
    try:
        return make()
    except ValueError as refusal:
        assert "\n" not in str(refusal) and len(str(refusal)) < 400
        return None


def judge_of(system, judged_by, config):
    """A new one, with random weights; nothing where there is no such model."""
    name = judged_by + system if judged_by + system in JUDGES else system
    no_such_model = RuntimeError if name in ("huginn", "parcae") else Exception  # whatever published code raises
    try:
        judge = JUDGES[name](config)
        if config.get("skip_initialization"):
            for parameter in judge.model.parameters():
                parameter.detach().zero_()  # what was in the memory
        randomised(judge.model, gain=0.7)
        with in_float64(judge):
            judge.evaluate(*inputs(judge), 1)
    except no_such_model:
        return None
    return judge


@contextmanager
def in_float64(*judges):
    """The published code casts to float32 here and there, which is float64 meanwhile."""
    saved, torch.Tensor.float = torch.Tensor.float, torch.Tensor.double
    try:
        for judge in judges:
            judge.model.double()
            if hasattr(judge, "in_float64"):
                judge.in_float64()
        yield
    finally:
        torch.Tensor.float = saved


def inputs(judge):
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, 50, (3, 7), generator=generator)
    state = None if judge.state_width is None else torch.randn(3, 7, judge.state_width, generator=generator).double()
    return tokens, state


def started_from(mine, state):
    if state is not None:
        mine.core.initial_state.forward = lambda e, frame=None: state
    signal = mine.core.depth_signal
    if hasattr(signal, "frequencies"):
        k = signal.channels
        signal.frequencies = 10_000.0 ** -(torch.arange(0, k, 2, dtype=torch.float64) / k)
    return mine


def same_logits(mine, judge):
    tokens, state = inputs(judge)
    mine = started_from(mine, state).eval()
    for num_loops in (1, 4):
        wanted = judge.evaluate(tokens, state, num_loops)
        assert error(mine(tokens, iterations=num_loops).logits, wanted) <= 1e-11
    return wanted


def same_training(system, mine, judge, translation):
    """A training pass with the counts drawn: logits, and the gradient of every parameter."""
    tokens, state = inputs(judge)
    counts = judge.draw(tokens.shape)
    mine = started_from(mine, state).train()
    total = sum(counts)
    if (total == total.flatten()[0]).all():
        iterations = int(total.flatten()[0])
    else:
        assert mine.core.loops_per == {1: "sequence"}.get(total.shape[1], "token")
        iterations = total[:, 0] if total.shape[1] == 1 else total
    wanted = judge.train(tokens, state, counts)
    got = mine(tokens, iterations=iterations).logits
    assert error(got, wanted) <= 1e-11
    direction = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(2)).double()
    for logits in (got, wanted):
        (logits * direction).sum().backward()
    theirs = {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in judge.model.named_parameters()}
    gradients = translation.apply(theirs, partial=True)
    gradients.setdefault("head.weight", gradients["embedding.weight"])
    for name, parameter in mine.named_parameters():
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        assert (gradient - gradients[name]).abs().max() <= 1e-9 * gradients[name].abs().max() + 1e-13, name


def same_draws(mine, judge):
    """What training draws: how often each loop count, and the window of each."""
    sampler, shape = mine.core.loops, torch.Size((30, 2))
    num = 40 if judge.draw(shape)[0].shape[0] == 30 else 1000
    drawn = [tuple(c.expand(shape)[:, 0] for c in judge.draw(shape)) for _ in range(num)]
    without, within = (torch.stack(part)[:, : 30 if num == 40 else 1].flatten() for part in zip(*drawn, strict=True))
    total = without + within
    assert all(k == sampler.window(n) for n, k in zip(total.tolist(), within.tolist(), strict=True))
    pmf, counts = sampler.pmf(), torch.arange(sampler.max_loops + 1)
    assert total.max() < len(pmf)
    deviation = float((pmf * (counts - sampler.mean) ** 2).sum()) ** 0.5
    assert abs(float(total.double().mean()) - sampler.mean) <= 5 * deviation / len(total) ** 0.5
    frequencies = torch.bincount(total, minlength=len(pmf)) / len(total)
    assert ((frequencies - pmf).abs() <= 5 * (pmf * (1 - pmf) / len(total)).sqrt() + 2 / len(total)).all()


def same_start(fresh, judge):
    """The distribution of the state before the first iteration, by its moments and its reach."""
    theirs = judge.start((100, 40)).double()
    ours = fresh.train().core.initial_state(torch.zeros(100, 40, fresh.embedding.embedding_dim)).double()
    assert ours.shape == theirs.shape
    for moment in (lambda x: x.std(), lambda x: x.abs().max(), lambda x: x.std(-1).std()):
        assert float(moment(ours)) == pytest.approx(float(moment(theirs)), rel=0.15, abs=1e-6)


# Of initial weights, by the system and the end of our name: what its published files do not agree on, or ours leave out.
UNLIKE = {
    "huginn": {"up.weight": "the code that trained it gives it the size of the gate"},
    "open_mythos": {"probability.bias": "a small random number there, zero here"},
}


def same_weights(system, fresh, judge, translation):
    """The distribution of every initial weight, by its size and its reach."""
    theirs = translation.apply({name: p.detach() for name, p in judge.model.named_parameters()}, partial=True)
    for name, ours in fresh.named_parameters():
        if any(name.endswith(end) for end in UNLIKE.get(system, ())):
            continue
        noise = 6 * math.sqrt(2 / ours.numel())
        for moment in (lambda x: x.square().mean().sqrt(), lambda x: x.mean()):
            size = float(theirs[name].double().square().mean().sqrt())
            assert float(moment(ours.double())) == pytest.approx(
                float(moment(theirs[name].double())), abs=noise * size + 1e-9
            ), name
        if ours.dim() == 2 and min(ours.shape) > 8:
            spectra = [torch.linalg.svdvals(x.detach().double()) for x in (ours, theirs[name])]
            flat = [bool(s.max() < 1.001 * s.min()) for s in spectra]
            assert flat[0] == flat[1], f"{name}: one is orthogonal"


@pytest.mark.parametrize("judged_by", JUDGED_BY)
@pytest.mark.parametrize("system, changes", CASES, ids=str)
@pytest.mark.filterwarnings("ignore")
def test_a_config_is_rendered_exactly_or_refused_in_one_line(system, changes, judged_by):
    torch.manual_seed(0)
    config, (translate, load) = config_of(system, changes), IMPORTERS[system]
    translation = refused(lambda: translate(config))
    if translation is None:
        assert changes, "the base config is refused"
        return
    judge = judge_of(system, judged_by, config)
    if judge is None:
        assert changes, "the judge does not run"
        return
    mine = refused(lambda: load(judge.model.state_dict(), config))
    if mine is None:
        return
    with in_float64(judge):
        with torch.no_grad():
            same_logits(mine.double(), judge)
        same_training(system, mine, judge, translation)
    same_draws(mine, judge)
    if type(judge).__name__.startswith("Published"):
        new = JUDGES[judged_by + system if judged_by + system in JUDGES else system](config)
        fresh = Slot("model").resolve(translation.model).build(translation.vocab_size)
        if hasattr(new, "start"):
            same_start(fresh, new)
        if not config.get("skip_initialization"):
            same_weights(system, fresh, new, translation)


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_cases_are_of_every_field_but_hugging_faces_own(system):
    own = {n for n in DEFAULTS[system] if system != "huginn" or n not in huginn_config._HUGGING_FACE.split()}

    assert set(OTHERS[system]) == own - {"_class_name", "architecture_class_name"} | (
        {"architecture_class_name"} if system == "huginn" else set()
    )


@pytest.mark.parametrize("system", SYSTEMS)
def test_what_is_inert_is_a_field_and_has_a_reason(system):
    assert INERT[system].keys() <= DEFAULTS[system].keys()
    assert all(len(reason) > 5 for reason in INERT[system].values())


@pytest.mark.parametrize("system", SYSTEMS if PUBLISHED else ["open_mythos"])
def test_the_fields_and_their_defaults_are_those_of_the_published_class(system):
    published = dict(published_fields(system))
    known = DEFAULTS[system]

    assert published.keys() <= known.keys()
    if system != "huginn":
        assert known.keys() - published.keys() <= {"_class_name", "architecture_class_name"}
    for name, default in published.items():
        if default is not None and name != "rope_settings":
            assert known[name] == default, name


@pytest.mark.parametrize("system", SYSTEMS)
def test_an_unknown_field_is_refused_with_the_nearest(system):
    for name in DEFAULTS[system]:
        with pytest.raises(ValueError, match=rf"{name}x=1, a field that the importer does not know; nearest: .*{name}"):
            IMPORTERS[system][0]({**BASE[system], f"{name}x": 1})
