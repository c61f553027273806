"""``help`` alone says how a public class is used: what it is, what it is given, and of what shape."""

import importlib
import inspect
import pkgutil
import re

import pytest
from torch import nn

import mythos_blocks as mb

PUBLIC = [
    cls
    for module in pkgutil.walk_packages(mb.__path__, "mythos_blocks.")
    if "hugging_face" not in module.name and not module.name.endswith("modeling_mythos")  # those need transformers
    for name, cls in vars(importlib.import_module(module.name)).items()
    if isinstance(cls, type) and cls.__module__ == module.name and not name.startswith("_")
]
CLASSES = sorted({c for name in mb.__all__ if isinstance(c := getattr(mb, name), type)}, key=lambda c: c.__name__)
MODULES = [cls for cls in PUBLIC if issubclass(cls, nn.Module) and cls.forward is not nn.Module.forward]
named = {"ids": lambda cls: cls.__name__}

SHAPE = re.compile(
    r"\((\.\.\., )?(batch|positions|width|chosen|queries|tokens|in|rows|num_\w+)\b[^)]*\)|\(\.\.\., \w+\)"
)


def said(cls, method):
    """What ``help`` shows of a method: its own words, or those of the class that it has it from."""
    return inspect.getdoc(getattr(cls, method)) or ""


def described(cls):
    """The names under ``Args`` and ``Attributes`` of what ``help`` shows of a class."""
    sections = re.findall(r"^(?:Args|Attributes):\n((?:[ ]{4}.*\n?|\n)*)", inspect.getdoc(cls), flags=re.MULTILINE)
    return {name for part in sections for name in re.findall(r"^ {4}(\w+): \S", part, flags=re.MULTILINE)}


@pytest.mark.parametrize("cls", CLASSES, **named)
def test_a_class_says_what_it_is(cls):
    own = vars(cls).get("__doc__") or ""
    assert own and not own.startswith(f"{cls.__name__}("), "not what dataclasses write"
    assert inspect.cleandoc(own).partition("\n\n")[0].rstrip().endswith((".", ":", "::"))


# tests/blocks/test_round_trip.py has components.
@pytest.mark.parametrize("cls", [cls for cls in CLASSES if not hasattr(cls, "Spec")], **named)
def test_a_class_describes_all_that_its_constructor_takes(cls):
    parameters = list(inspect.signature(cls).parameters.values())
    assert all(p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters), "each has a name"
    assert {p.name for p in parameters} <= described(cls)


@pytest.mark.parametrize("cls", MODULES, **named)
def test_a_module_says_what_calling_it_does(cls):
    forward = said(cls, "forward")
    assert forward and "Define the computation performed at every call" not in forward


@pytest.mark.parametrize("cls", [cls for cls in MODULES if cls in CLASSES], **named)
def test_a_module_says_the_shapes_of_what_it_takes_and_gives(cls):
    forward = said(cls, "forward")
    whole = forward + "".join(inspect.getdoc(base) or "" for base in cls.__mro__ if issubclass(base, mb.Component))
    assert SHAPE.search(whole)


@pytest.mark.parametrize("cls", [cls for cls in CLASSES if issubclass(cls, mb.Attention)], **named)
def test_attention_says_what_it_reads_where_nobody_says(cls):
    assert "causal" in said(cls, "forward") and "causal" in (inspect.getdoc(cls) or "").lower()
