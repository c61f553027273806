"""Checkpoints in and out: our own files, the published systems' weights, and Hugging Face folders."""

from mythos_blocks.checkpoints.files import Checkpoint, load, load_into, load_model, save
from mythos_blocks.checkpoints.hrm import from_hrm, from_trm, hrm_translation, trm_translation
from mythos_blocks.checkpoints.hrm_text import from_hrm_text, hrm_text_translation
from mythos_blocks.checkpoints.hugging_face import export_transformers
from mythos_blocks.checkpoints.huginn import from_huginn, huginn_translation
from mythos_blocks.checkpoints.mixture_of_recursions import (
    from_mixture_of_recursions,
    mixture_of_recursions_translation,
)
from mythos_blocks.checkpoints.nanbeige import from_nanbeige, nanbeige_translation
from mythos_blocks.checkpoints.open_mythos import from_open_mythos, open_mythos_translation
from mythos_blocks.checkpoints.ouro import from_ouro, ouro_translation
from mythos_blocks.checkpoints.parcae import from_parcae, parcae_translation
from mythos_blocks.checkpoints.translation import Rule, Translation
from mythos_blocks.checkpoints.weights import assign, copy_into, empty_model

__all__ = [
    "Checkpoint",
    "Rule",
    "Translation",
    "assign",
    "copy_into",
    "empty_model",
    "export_transformers",
    "from_hrm",
    "from_hrm_text",
    "from_huginn",
    "from_mixture_of_recursions",
    "from_nanbeige",
    "from_open_mythos",
    "from_ouro",
    "from_parcae",
    "from_trm",
    "hrm_text_translation",
    "hrm_translation",
    "huginn_translation",
    "load",
    "load_into",
    "load_model",
    "mixture_of_recursions_translation",
    "nanbeige_translation",
    "open_mythos_translation",
    "ouro_translation",
    "parcae_translation",
    "save",
    "trm_translation",
]
