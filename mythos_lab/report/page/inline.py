"""A figure as part of a page: matplotlib's SVG without styles of its own, its colours those of the page's variables.

The page's policy lets in one style sheet, and no style that stands at an element; what matplotlib writes there becomes
attributes.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from markupsafe import Markup, escape

from mythos_lab.report.page.palette import ROLES

_SVG, _LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
_REFERENCE = re.compile(r"url\(#([\w.-]+)\)")
_DROPPED = ("metadata", "style", "title")
_PAINTS = ("fill", "stroke")
_KEPT = {
    "fill", "fill-opacity", "fill-rule", "font-size", "font-weight", "opacity", "stroke", "stroke-dasharray",
    "stroke-dashoffset", "stroke-linecap", "stroke-linejoin", "stroke-opacity", "stroke-width", "text-anchor",
}  # fmt: skip
_VARIABLES = {role.light: f"var(--{role.name})" for role in ROLES}


def inline(svg: str, key: str, label: str, css_class: str) -> Markup:
    """The element of an SVG document of ours for a page.

    Args:
        svg: The document, as :mod:`~mythos_lab.report.page.drawing` makes it.
        key: A prefix that no other figure of the page has.
        label: What is read aloud in its place.
        css_class: Its class.
    """
    root = ET.fromstring(svg.partition("<svg")[1] + svg.partition("<svg")[2])
    _clean(root, key, _referenced(root))
    inner = "".join(_written(child) for child in root)
    box = root.get("viewBox", "")
    return Markup('<svg class="{}" role="img" aria-label="{}" viewBox="{}">{}</svg>').format(
        css_class, label, box, Markup(inner)
    )


def _referenced(root: ET.Element) -> set[str]:
    found = set()
    for element in root.iter():
        for name, value in element.attrib.items():
            found |= set(_REFERENCE.findall(value))
            if name == _LINK:
                found.add(value.removeprefix("#"))
    return found


def _clean(element: ET.Element, key: str, referenced: set[str]) -> None:
    for child in list(element):
        if child.tag.removeprefix(_SVG) in _DROPPED:
            element.remove(child)
        else:
            _clean(child, key, referenced)
    attributes = dict(element.attrib)
    element.attrib.clear()
    for declaration in attributes.pop("style", "").split(";"):
        name, _, value = declaration.partition(":")
        if name.strip() in _KEPT:
            attributes[name.strip()] = value.strip()
    for name, value in attributes.items():
        if name == "id" and value not in referenced:
            continue
        if name == "id":
            value = f"{key}-{value}"
        elif name == _LINK:
            name, value = "href", f"#{key}-{value.removeprefix('#')}"
        elif name in _PAINTS:
            value = _VARIABLES.get(value.lower(), value)
        element.set(name, _REFERENCE.sub(lambda found: f"url(#{key}-{found[1]})", value))
    if element.tag == f"{_SVG}text" and "fill" not in element.attrib:
        element.set("fill", "currentColor")


def _written(element: ET.Element) -> str:
    tag = element.tag.removeprefix(_SVG)
    attributes = "".join(f' {name}="{escape(" ".join(value.split()))}"' for name, value in element.attrib.items())
    inner = escape((element.text or "").strip()) + Markup("").join(Markup(_written(child)) for child in element)
    if tag in ("g", "defs") and not inner:
        return ""
    return f"<{tag}{attributes}>{inner}</{tag}>"
