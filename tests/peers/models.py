"""Five declarations, as transformers' generic tests take a model; run by ``make peers``."""

from __future__ import annotations

import random
import unittest
from typing import Any, ClassVar

import torch
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_MAPPING_NAMES
from transformers_tests import test_modeling_common
from transformers_tests.generation.test_utils import GenerationTesterMixin
from transformers_tests.test_modeling_common import ModelTesterMixin
from transformers_tests.test_training_mixin import TrainingTesterMixin

from mythos_blocks.hugging_face import MythosConfig, MythosForCausalLM, MythosModel
from mythos_blocks.layer.base import Layer
from tests.blocks.hugging_face.declarations import DECLARATIONS, WIDTH

VOCAB = 99

# The layers that are computed again in the backward pass; those of mythos_blocks know nothing of transformers.
test_modeling_common.GradientCheckpointingLayer = Layer
# As transformers knows of its own models which have a head, and what for.
MODEL_MAPPING_NAMES["mythos_blocks"] = "MythosModel"
MODEL_FOR_CAUSAL_LM_MAPPING_NAMES["mythos_blocks"] = "MythosForCausalLM"


class Tester:
    """What the generic tests ask about a model."""

    causal_lm_class = MythosForCausalLM
    base_model_class = MythosModel

    def __init__(self, parent: unittest.TestCase, declaration: dict[str, Any]) -> None:
        self.parent, self.declaration = parent, declaration
        self.batch_size, self.seq_length, self.is_training = 3, 7, True
        self.vocab_size, self.hidden_size, self.pad_token_id = VOCAB, WIDTH, 0
        model = MythosModel(self.get_config())
        self.num_hidden_layers = model.config.num_hidden_layers
        self.num_attention_heads = model.config.num_attention_heads
        with torch.no_grad():
            states = model.eval()(torch.zeros(1, 2, dtype=torch.long), output_hidden_states=True).hidden_states
        self.expected_num_hidden_layers = len(states)

    def get_config(self) -> MythosConfig:
        return MythosConfig(
            declaration={"width": WIDTH, **self.declaration}, vocab_size=VOCAB, hidden_size=WIDTH, pad_token_id=0
        )

    def prepare_config_and_inputs_for_common(self) -> tuple[MythosConfig, dict[str, torch.Tensor]]:
        ids = torch.tensor(
            [[random.randrange(1, VOCAB) for _ in range(self.seq_length)] for _ in range(self.batch_size)]
        )
        return self.get_config(), {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


class Peers(ModelTesterMixin, TrainingTesterMixin, GenerationTesterMixin):
    """The generic tests, of a declaration."""

    declaration: ClassVar[str]
    all_model_classes = (MythosModel, MythosForCausalLM)
    has_attentions = True
    # Loop counts that are drawn, and a ponder loss, leave gradients where the loss has fallen by its nine tenths.
    training_grad_norm_reduction_threshold = -1.0

    def setUp(self) -> None:
        self.model_tester = Tester(self, DECLARATIONS[self.declaration])

    def test_model_outputs_equivalence(self) -> None:
        self.has_attentions = False  # all but attention's weights, which are refused
        super().test_model_outputs_equivalence()

    def test_retain_grad_hidden_states_attentions(self) -> None:
        self.has_attentions = False
        super().test_retain_grad_hidden_states_attentions()


for _name in DECLARATIONS:
    globals()[f"Test_{_name}"] = type(f"Test_{_name}", (Peers, unittest.TestCase), {"declaration": _name})
del Peers
