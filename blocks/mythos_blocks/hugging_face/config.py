"""What ``config.json`` holds."""

from __future__ import annotations

from typing import Any

from transformers import PretrainedConfig

from mythos_blocks.attention import Attention
from mythos_blocks.declaring.registry import load_plugins
from mythos_blocks.declaring.spec import Slot, Spec
from mythos_blocks.model.looped_transformer import LoopedTransformer


class MythosConfig(PretrainedConfig):  # type: ignore[no-untyped-call]
    """What ``config.json`` holds.

    ``num_loops`` and ``exit`` may be given wherever a config's fields may: ``from_pretrained(folder, num_loops=4)``,
    lm-eval's ``model_args``, ``model.config.num_loops = 4``. The generation config's and a call's own go before them.

    Args:
        declaration: The model's spec.
        vocab_size: The size of its vocabulary.
        hidden_size: Channels of its residual stream; as the two that follow, ``None`` takes what the spec declares.
        num_hidden_layers: Its layers; one of the core counts once.
        num_attention_heads: Heads of its first attention.
        num_loops: Iterations that every pass runs, in training too; ``None`` runs the sampler's mean, and in training
            draws.
        exit: The declaration of the rule that stops positions outside training; ``None`` takes the model's own.
        tie_word_embeddings: Whether the head is the embedding matrix; ``None`` takes what the spec declares.
    """

    model_type = "mythos_blocks"
    keys_to_ignore_at_inference = ["past_key_values", "hidden_states", "loops_run"]

    def __init__(
        self,
        declaration: dict[str, Any] | None = None,
        vocab_size: int = 1,
        hidden_size: int | None = None,
        num_loops: int | None = None,
        exit: str | dict[str, Any] | None = None,
        use_cache: bool = True,
        num_hidden_layers: int | None = None,
        num_attention_heads: int | None = None,
        tie_word_embeddings: bool | None = None,
        **kwargs: Any,
    ) -> None:
        self.declaration = declaration or {}
        self.vocab_size, self.hidden_size = vocab_size, hidden_size
        self.num_loops, self.exit, self.use_cache = num_loops, exit, use_cache
        self.num_hidden_layers, self.num_attention_heads = num_hidden_layers, num_attention_heads
        if tie_word_embeddings is None:
            tie_word_embeddings = self.declaration.get("tie_embeddings", True)
        super().__init__(**{**kwargs, "tie_word_embeddings": tie_word_embeddings})

    def spec(self) -> Spec:
        """The declaration of the model, tied or not as the config says."""
        load_plugins()
        declared = self.declaration
        if declared.get("tie_embeddings", True) != self.tie_word_embeddings:
            declared = {**declared, "tie_embeddings": self.tie_word_embeddings}
        return Slot("model").resolve(declared)


def sizes_of(model: LoopedTransformer) -> dict[str, int]:
    """What Hugging Face's libraries ask of a config: the model's sizes. A layer of the core counts once."""
    attentions = (module for module in model.modules() if isinstance(module, Attention))
    heads = (int(n) for module in attentions if isinstance(n := getattr(module, "num_heads", None), int))
    return {
        "vocab_size": model.embedding.num_embeddings,
        "hidden_size": model.embedding.embedding_dim,
        "num_hidden_layers": sum(len(part.layers) for part in (model.prelude, model.core, model.coda)),
        "num_attention_heads": next(heads, 1),
    }
