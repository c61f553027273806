"""Looped transformers in Hugging Face's terms; needs transformers.

An exported folder's modelling file is made of these classes; see :func:`mythos_blocks.checkpoints.export_transformers`.
Where this package has been imported, transformers' auto classes know them without ``trust_remote_code``.
"""

from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from mythos_blocks.hugging_face.backbone import MythosModel
from mythos_blocks.hugging_face.base import MythosPreTrainedModel
from mythos_blocks.hugging_face.cache import MythosCacheLayer
from mythos_blocks.hugging_face.causal_lm import MythosForCausalLM
from mythos_blocks.hugging_face.config import MythosConfig
from mythos_blocks.hugging_face.outputs import MythosCausalLMOutput, MythosModelOutput

AutoConfig.register(MythosConfig.model_type, MythosConfig)
AutoModel.register(MythosConfig, MythosModel)
AutoModelForCausalLM.register(MythosConfig, MythosForCausalLM)

__all__ = [
    "MythosCacheLayer",
    "MythosCausalLMOutput",
    "MythosConfig",
    "MythosForCausalLM",
    "MythosModel",
    "MythosModelOutput",
    "MythosPreTrainedModel",
]
