"""The names of what goes into a run, light to import."""

from __future__ import annotations

INPUTS = (
    *("parameters", "training FLOPs", "inference FLOPs per token", "steps", "batch size", "tokens seen"),
    *("learning rate curve", "optimizer", "gradient clip", "objective", "attention mask", "precision"),
    *("number of devices", "strategy", "data order", "start", "data", "tokenizer", "device", "kernel path", "versions"),
    *("source", "imported code", "git commit", "resumed elsewhere", "seeds", "initial weights"),
)
"""What may differ between two runs besides the fields of their recipes."""
