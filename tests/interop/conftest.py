"""What the clients are given: a small model, the folder that it is exported to, and a tokenizer of bytes."""

import os
from unittest import mock

import pytest
import torch

import mythos_blocks as mb
from mythos_blocks.checkpoints import export_transformers

VOCAB, WIDTH, LOOPS = 260, 32, 3


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """A folder and an environment of its own (``mlflow.set_experiment`` leaves a variable), no server, one stream of
    random numbers."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "WANDB_MODE": "offline"}.items():
        monkeypatch.setenv(name, value)
    torch.manual_seed(0)
    with mock.patch.dict(os.environ):
        yield tmp_path


def make(**core):
    """A looped model of three iterations."""
    fields = {"injection": "lti", "depth_signal": "sinusoidal", "loops": {"kind": "fixed", "num_loops": LOOPS}, **core}
    model = mb.LoopedTransformer(VOCAB, width=WIDTH, core=fields)
    model.initialize(0)
    return model


@pytest.fixture
def model():
    return make()


@pytest.fixture
def tokens():
    return torch.randint(0, VOCAB, (2, 12))


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """The folder of an exported model, with a tokenizer that gives one token a byte."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hugging_face")))
        export_transformers(make().eval(), folder, eos_token_id=257, pad_token_id=258)
        letters = {letter: i for i, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
        tokenizer = Tokenizer(models.BPE({**letters, "<bos>": 256, "<eos>": 257, "<pad>": 258}, []))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        names = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "model_max_length": 64}
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
        yield folder


@pytest.fixture
def theirs(exported):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(exported, trust_remote_code=True)


@pytest.fixture
def tokenizer(exported):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(exported)
