"""YAML as recipes are written: what it means, that it means the same in an override, and where it ends."""

import time

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mythos_lab.recipe import RecipeError
from mythos_lab.recipe.documents import parse_yaml, read_mapping, to_yaml
from mythos_lab.recipe.overrides import split

BOMB = "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10) if i else 'x'}]\n" for i in range(9))
DEEPER = "".join(f"a{i}: &a{i} {'[' * 60}{f'*a{i - 1}' if i else 'x'}{']' * 60}\n" for i in range(40))

scalars = st.one_of(
    st.from_regex(r"[-+]?[0-9][0-9_.eE+-]{0,7}", fullmatch=True),
    st.sampled_from(
        "true True tRUE false null NULL on off yes no inf -inf nan y n 1e-4 3e3 010 0x1f 0o7 1_000".split()
    ),
)


@settings(max_examples=200, deadline=None)
@given(scalars)
def test_a_scalar_means_in_a_file_what_it_means_in_an_override(text):
    in_a_file = parse_yaml(f"waive: [{text}]", "f.yaml")["waive"]
    (_, typed), = split([f"waive=[{text}]"])[1]  # fmt: skip
    assert repr(in_a_file) == repr(typed)


@pytest.mark.parametrize(
    "text, value",
    [
        ("1e-4", 1e-4), ("3e3", 3000.0), ("1_000", 1000), ("010", "010"), ("on", "on"), ("no", "no"), ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"), ("'1e3'", "1e3"), ("~", None), ("", None), (".inf", float("inf")),
    ],
)  # fmt: skip
def test_what_a_scalar_means(text, value):
    assert parse_yaml(f"a: {text}", "f.yaml") == {"a": value}


def test_merge_keys_bring_what_is_not_written():
    text = "x: &x {a: 1, b: 1}\ny: {<<: *x, b: 2}\nz: {<<: [{b: 3}, *x], c: 3}"
    assert parse_yaml(text, "f.yaml") == {"x": {"a": 1, "b": 1}, "y": {"a": 1, "b": 2}, "z": {"a": 1, "b": 3, "c": 3}}


REFUSED = [
    ("a: 1\nb: 2\na: 3", "f.yaml: line 3: a: written twice"),
    ("a: {b: 1,\n b: 1}", "f.yaml: line 2: b: written twice"),
    ("<<: {a: 1}\n<<: {b: 1}", "line 2: <<: written twice"),
    ("<<: 3", "expected a mapping"),
    ("1: 2", "expected a name as key, found 1"),
    ("? [1]\n: 2", "expected a name as key, found a list"),
    ("a: *b", "*b stands for nothing"),
    ("a: &x [1, *x]", "*x stands for nothing"),
    ("a: !!python/object/apply:os.getcwd []", "not YAML that is read here: the tag"),
    ("a: !!str 3", "the tag tag:yaml.org,2002:str"),
    ("--- 1\n--- 2", "line 2: a second document"),
    ("a: [1", "line 1: not YAML"),
    ("a:\n\tb: 1", "line 2: not YAML"),
    ("\x01", "not YAML"),
    ('a: "\\0"', "a character that no file can"),
    ('a: "\\ud800"', "a character that no file can"),
    ("a: " + "9" * 5000, "beyond 64 bits"),
    ("a: " + "9" * 20, "beyond 64 bits"),
    ("a: " + "[" * 2000 + "]" * 2000, "nested more than 64 deep"),
    ("a: " + "{a: " * 2000, "nested more than 64 deep"),
    ("".join(" " * i + "a:\n" for i in range(2000)), "nested more than 64 deep"),
    (DEEPER, "nested more than 64 deep"),
    (BOMB, "more than 10,000 values"),
    ("- a\n" * 10_001, "more than 10,000 values"),
]


@pytest.mark.parametrize("text, said", REFUSED, ids=[said for _, said in REFUSED])
def test_what_no_recipe_needs_is_refused_with_its_line_and_quickly(text, said):
    before = time.process_time()
    with pytest.raises(RecipeError) as caught:
        parse_yaml(text, "f.yaml")
    assert len(caught.value.lines) == 1 and said in caught.value.lines[0]
    assert time.process_time() - before < 10


@pytest.mark.parametrize(
    "content, said",
    [(b"\xff\xfe", "byte 0 is not UTF-8"), (b"# " + b"x" * 2**20, "larger than"), (b"", "found nothing")],
)
def test_a_file_that_is_no_document_is_refused(tmp_path, content, said):
    (tmp_path / "f.yaml").write_bytes(content)
    with pytest.raises(RecipeError, match=said):
        read_mapping(tmp_path / "f.yaml", "recipe")
    with pytest.raises(RecipeError, match="cannot be read"):
        read_mapping(tmp_path, "recipe")


texts = st.one_of(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12), scalars)
plain_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63) + 1, 2**63 - 1), st.floats(allow_nan=False), texts),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts.filter(lambda k: k != "<<"), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(plain_values)
@example({"\x85": "a\u2028b"})
def test_what_is_written_is_read_back_the_same_here_and_by_pyyaml(value):
    assert parse_yaml(to_yaml(value), "f.yaml") == value
    assert yaml.safe_load(to_yaml(value)) == value


@pytest.mark.parametrize(
    "override, said",
    [
        ("waive=" + "[" * 3000 + "]" * 3000, "nested more than 64 deep"),
        ("description=" + "${" * 3000 + "}" * 3000, "nested more than 64 deep"),
        ("waive=[" + "a," * 6000 + "a]", "12,009 characters; expected at most 10,000"),
        ("seed=" + "9" * 5000, "expected path=value"),
        ("seed=" + "9" * 30, "beyond 64 bits"),
        ("model={1: 2}", "expected a name as key, found 1"),
        ("waive=extend_list(1)", "Unknown function"),
    ],
)
def test_an_override_has_the_same_bounds(override, said):
    with pytest.raises(RecipeError) as caught:
        split([override])
    assert len(caught.value.lines) == 1 and said in caught.value.lines[0]
