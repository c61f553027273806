"""The reader of published configurations: what is not read, and not said to change nothing, is never passed over."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from mythos_blocks.checkpoints.config import Config

DEFAULTS = {"width": 8, "eps": 1e-6, "bias": False, "label": "", "rope": {}}
INERT = {"label": "a name"}


def reading(source):
    return Config(source, "Published", DEFAULTS, INERT)


@dataclass
class Declared:
    width: int = 16


class Saved:
    """An object of Hugging Face's kind: it also has attributes that are no fields of its file."""

    width, hidden = 16, 3

    def to_diff_dict(self):
        return {"width": 16}


@pytest.mark.parametrize(
    "source",
    [{"width": 16}, Declared(), SimpleNamespace(width=16), Saved()],
    ids=["mapping", "dataclass", "namespace", "object"],
)
def test_a_config_comes_in_several_forms(source):
    read = reading(source)

    assert read.count("width") == 16 and read.given("width")
    assert read.number("eps") == 1e-6 and not read.given("eps")


def test_a_field_that_is_not_known_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="the Published config has widht=16, a field .* know; nearest: width"):
        reading({"widht": 16})


def test_an_importer_that_passes_a_field_over_is_a_mistake_of_ours():
    read = reading({})
    read.count("width"), read.flag("bias"), read.passed_over("rope")

    with pytest.raises(AssertionError, match="eps"):
        read.finish()
    read.number("eps")
    read.finish()
    with pytest.raises(AssertionError, match="label"):
        read.get("label")  # it was said to change nothing


def test_a_config_within_another_is_named_by_its_path():
    within = reading({"rope": {"base": 2}}).within("rope", {"base": 1, "use": True}, {})

    with pytest.raises(ValueError, match=r"has rope.base=2; only 1 can be imported: why not"):
        within.expect("base", 1, why="why not")
    with pytest.raises(ValueError, match=r"has rope.bse=2, a field .* nearest: base"):
        reading({"rope": {"bse": 2}}).within("rope", {"base": 1}, {})
    with pytest.raises(ValueError, match=r"the Published config's rope must be a mapping or an object with fields"):
        reading({"rope": 7}).within("rope", {"base": 1}, {})


@pytest.mark.parametrize(
    "fields, ask, message",
    [
        ({"width": 8.0}, lambda read: read.count("width"), "width=8.0; only whole numbers of at least 1 can be"),
        ({"width": True}, lambda read: read.count("width"), "width=True; only whole"),
        ({"width": 0}, lambda read: read.count("width"), "width=0; only whole numbers of at least 1"),
        ({"width": None}, lambda read: read.count("width"), "width=None; only whole"),
        (
            {},
            lambda read: read.count("width", at_least=9),
            r"width=8 \(its default\); only whole numbers of at least 9",
        ),
        ({"eps": "1e-6"}, lambda read: read.number("eps"), "eps='1e-6'; only finite numbers"),
        ({"eps": float("inf")}, lambda read: read.number("eps"), "eps=inf; only finite numbers"),
        ({"eps": -1}, lambda read: read.number("eps", at_least=0), "eps=-1; only finite numbers of at least 0"),
        ({"bias": "no"}, lambda read: read.flag("bias"), "bias='no'; only False or True"),
        ({"bias": 2}, lambda read: read.choose("bias", {1: "a", 3: "b"}), "bias=2; only 1 or 3"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_in_one_line(fields, ask, message):
    with pytest.raises(ValueError, match=message) as refusal:
        ask(reading(fields))
    assert "\n" not in str(refusal.value)
