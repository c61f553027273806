"""What ``generate`` may be asked for."""

from __future__ import annotations

from typing import Any, NoReturn

from transformers import GenerationConfig, GenerationMixin
from transformers.generation.configuration_utils import GenerationMode

from mythos_blocks.generation.decoder import is_exact
from mythos_blocks.hugging_face import arguments
from mythos_blocks.hugging_face.arguments import exit_chosen, refuse_asked

_LOOPS = ("num_loops", "exit", "iterations")

# Options of a generation config that another kind of model has, and what to choose instead.
REFUSED: dict[str, str] = {
    "cache_config": "it configures a quantized cache; leave it out",
    "max_cache_len": "the cache grows as it must; leave it out",
    "compile_config": "compile the layers, with model.model.looped.compile_layers()",
    "assistant_early_exit": "use a copy as assistant_model, whose generation_config.num_loops is smaller",
    "use_mtp": "the model has no heads for further tokens; use prompt_lookup_num_tokens, or an assistant_model",
    "speculation_type": "use prompt_lookup_num_tokens, or an assistant_model",
}


class MythosGeneration(GenerationMixin):
    """Generation with the loop's own cache, and with the loops and the exit rule that the generation config names."""

    generation_config: GenerationConfig

    def adjust_generation_fn(self, *args: Any, **kwargs: Any) -> None:
        """Load the generation config; saved again, it keeps ``num_loops`` and ``exit``."""
        super().adjust_generation_fn(*args, **kwargs)  # type: ignore[misc]
        # Of one that it has made from the model's config, transformers loads no fields but its own.
        self.generation_config._from_model_config = False

    def _prepare_generation_config(
        self, generation_config: GenerationConfig | None, **kwargs: Any
    ) -> tuple[GenerationConfig, dict[str, Any]]:
        generation_config, model_kwargs = super()._prepare_generation_config(generation_config, **kwargs)  # type: ignore[misc]
        for name in _LOOPS:
            if model_kwargs.get(name) is None and (value := getattr(generation_config, name, None)) is not None:
                model_kwargs[name] = value
        if kwargs.get("iterations") is not None and kwargs.get("num_loops") is None:
            model_kwargs.pop("num_loops", None)  # a call's own go before those of a config
        for name in REFUSED:
            refuse_asked(name, getattr(generation_config, name, None) or None, REFUSED)
        if generation_config.cache_implementation not in (None, "dynamic"):
            raise ValueError(
                f"cache_implementation={generation_config.cache_implementation!r} is not supported: a looped "
                "transformer keeps keys and values by iteration; use 'dynamic', or leave it out"
            )
        refuse_asked("output_attentions", model_kwargs.get("output_attentions"), arguments.REFUSED)
        return generation_config, model_kwargs

    def _validate_generation_mode(
        self, generation_mode: Any, generation_config: GenerationConfig, generation_mode_kwargs: dict[str, Any]
    ) -> None:
        super()._validate_generation_mode(generation_mode, generation_config, generation_mode_kwargs)  # type: ignore[misc]
        looped = self.model.looped  # type: ignore[attr-defined]
        exit = getattr(generation_config, "exit", None) or self.config.exit  # type: ignore[attr-defined]
        if is_exact(looped, exit_chosen(exit, None, looped)):
            return
        for name, used in (
            ("assistant_model and prompt_lookup_num_tokens", generation_mode == GenerationMode.ASSISTED_GENERATION),
            ("prefill_chunk_size", generation_config.prefill_chunk_size),
        ):
            if used:
                raise ValueError(
                    f"{name} would change the tokens: with this model's key-value policy, halting or exit rule, what a "
                    "position computes depends on which others come in the same call; leave it out"
                )

    def _get_candidate_generator(self, **kwargs: Any) -> Any:  # type: ignore[override]
        # An assistant runs the loops of its own configs.
        own = {name: value for name, value in kwargs.pop("model_kwargs").items() if name not in _LOOPS}
        return super()._get_candidate_generator(**kwargs, model_kwargs=own)  # type: ignore[misc]

    def generate_batch(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Nothing: continuous batching needs a paged cache.

        Raises:
            ValueError: Always.
        """
        raise ValueError("continuous batching (cache_implementation='paged') is not supported; use generate")

    init_continuous_batching = continuous_batching_context_manager = generate_batch
