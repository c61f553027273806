"""Looped transformers in Hugging Face's terms; needs transformers.

An exported folder's modelling file is made of these classes; see :func:`mythos_blocks.checkpoints.export_transformers`.
"""

from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from mythos_blocks.hugging_face.backbone import MythosModel
from mythos_blocks.hugging_face.base import MythosPreTrainedModel
from mythos_blocks.hugging_face.cache import MythosCacheLayer
from mythos_blocks.hugging_face.causal_lm import MythosForCausalLM
from mythos_blocks.hugging_face.config import MythosConfig
from mythos_blocks.hugging_face.outputs import MythosCausalLMOutput, MythosModelOutput


def register() -> None:
    """Let transformers' auto classes load such folders by these classes, without ``trust_remote_code``."""
    AutoConfig.register(MythosConfig.model_type, MythosConfig, exist_ok=True)
    AutoModel.register(MythosConfig, MythosModel, exist_ok=True)
    AutoModelForCausalLM.register(MythosConfig, MythosForCausalLM, exist_ok=True)


__all__ = [
    "MythosCacheLayer",
    "MythosCausalLMOutput",
    "MythosConfig",
    "MythosForCausalLM",
    "MythosModel",
    "MythosModelOutput",
    "MythosPreTrainedModel",
    "register",
]
