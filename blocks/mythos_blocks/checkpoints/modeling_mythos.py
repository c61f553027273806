"""A looped transformer of mythos_blocks in Hugging Face's terms.

This file is copied into exported folders and run from there; what it is made of is in ``mythos_blocks.hugging_face``.
"""

from __future__ import annotations

from typing import Any

from mythos_blocks import hugging_face


class MythosConfig(hugging_face.MythosConfig):  # type: ignore[no-untyped-call]
    __doc__ = hugging_face.MythosConfig.__doc__

    def __init__(self, **kwargs: Any) -> None:  # without one, transformers would make one of the class's own fields
        super().__init__(**kwargs)


class MythosModel(hugging_face.MythosModel):  # type: ignore[no-untyped-call]
    __doc__ = hugging_face.MythosModel.__doc__
    config_class = MythosConfig


class MythosForCausalLM(hugging_face.MythosForCausalLM):  # type: ignore[no-untyped-call]
    __doc__ = hugging_face.MythosForCausalLM.__doc__
    config_class = MythosConfig


MythosConfig.register_for_auto_class()  # type: ignore[no-untyped-call]
MythosModel.register_for_auto_class("AutoModel")  # type: ignore[no-untyped-call]
MythosForCausalLM.register_for_auto_class("AutoModelForCausalLM")  # type: ignore[no-untyped-call]
