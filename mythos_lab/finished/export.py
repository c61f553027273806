"""A finished run as a folder that transformers loads: the model, and its tokenizer where its tokens are text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mythos_blocks.checkpoints import export_transformers
from mythos_lab.finished.run import Run
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.outputs import write_whole
from mythos_lab.tasks.text.task import Text
from mythos_lab.tasks.text.tokenizer import TOKENIZER, Tokenizer

_CONFIG = "tokenizer_config.json"
_END = "<|end|>"


def export(run: Run, folder: Path) -> list[Path]:
    """Write a run's model for transformers; ``AutoTokenizer`` reads its tokenizer there too.

    Args:
        run: The run.
        folder: A new folder, or an empty one.

    Returns:
        The files.

    Raises:
        RecipeError: Something lies in the folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RecipeError(f"{folder}: is not empty; expected a new folder")
    tokenizer = run.tokenizer if issubclass(run.recipe.task.component, Text) else None  # type: ignore[union-attr]
    end = None if tokenizer is None else tokenizer.end
    export_transformers(run.model, folder, **({} if end is None else {"eos_token_id": end}))
    if tokenizer is not None:
        content, config = _tokenizer(tokenizer)
        write_whole(folder / TOKENIZER, json.dumps(content, ensure_ascii=False))
        write_whole(folder / _CONFIG, json.dumps(config, indent=2) + "\n")
    return sorted(folder.iterdir())


def _tokenizer(tokenizer: Tokenizer) -> tuple[dict[str, Any], dict[str, Any]]:
    """The file of the ``tokenizers`` library with the end among its tokens, and what transformers wants beside it."""
    content = _bytes() if (kept := tokenizer.content()) is None else json.loads(kept)
    config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    if tokenizer.end is not None:
        config["eos_token"] = _end(content, tokenizer.end)
    return content, config


def _end(content: dict[str, Any], end: int) -> str:
    """The text of the end, which is added where the tokens have none of that number."""
    for token, number in content["model"]["vocab"].items() if isinstance(content["model"]["vocab"], dict) else ():
        if number == end:
            return str(token)
    for added in content["added_tokens"]:
        if added["id"] == end:
            return str(added["content"])
    content["added_tokens"].append(
        {
            "id": end,
            "content": _END,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
    )
    return _END


def _bytes() -> dict[str, Any]:
    """The bytes of UTF-8 as a tokenizer of the library, whose vocabulary writes each as one character."""
    from tokenizers import Tokenizer as Library
    from tokenizers import decoders, models, pre_tokenizers

    written = [chr(byte) for byte in range(256)]
    plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(256, 512))
    vocab = {written[byte] if byte in plain else chr(next(others)): byte for byte in range(256)}
    library = Library(models.BPE(vocab=vocab, merges=[]))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    library.decoder = decoders.ByteLevel()
    content: dict[str, Any] = json.loads(library.to_str())
    return content
