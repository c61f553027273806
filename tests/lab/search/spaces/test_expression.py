"""Constraints: what they mean, what they refuse, and that nothing in them runs."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mythos_lab.search.spaces.expression import parse


def violation(text, **values):
    constraint = parse(text)
    return constraint.violation({name: values[name.replace("/", "_").replace(".", "_")] for name in constraint.names})


def test_a_product_of_fields():
    assert parse("core.depth * loops.mean <= 48").names == ("core.depth", "loops.mean")
    assert violation("core.depth * loops.mean <= 48", core_depth=4, loops_mean=12) == 0
    assert violation("core.depth * loops.mean <= 48", core_depth=4, loops_mean=13) == 4


def test_a_slash_is_a_metric_where_it_names_one_and_a_division_elsewhere():
    constraint = parse("cost/params / 1000 < 5 and width/num_heads >= 8")
    assert constraint.names == ("cost/params", "width", "num_heads") and constraint.metrics == ("cost/params",)
    assert constraint.violation({"cost/params": 4000, "width": 64, "num_heads": 8}) <= 0
    assert constraint.violation({"cost/params": 9000, "width": 64, "num_heads": 8}) == 4


@given(a=st.integers(-9, 9), b=st.integers(-9, 9))
def test_a_violation_is_zero_or_below_exactly_where_python_says_that_it_holds(a, b):
    for text in (
        "a < b",
        "a <= b",
        "a > b",
        "a >= b",
        "a == b",
        "a != b",
        "a < b < 3",
        "a < b or a > 5",
        "a == 1 and b <= 2",
    ):
        assert (parse(text).violation({"a": a, "b": b}) <= 0) == eval(text, {"a": a, "b": b}), text


def test_a_strict_bound_that_is_met_exactly_is_violated_by_as_little_as_there_is():
    assert violation("stability/rho_A < 1", stability_rho_A=1.0) == math.ulp(0.0)


def test_components_are_compared_by_their_kind():
    for text, holds in (
        ("core.injection == 'lti'", True),
        ("core.injection in ['add', 'none']", False),
        ("core.injection != 'lti'", False),
    ):
        assert (parse(text).violation({"core.injection": "lti"}) <= 0) is holds


@pytest.mark.parametrize(
    "text, said",
    [
        ("stability/rho_a < 1", "did you mean 'stability/rho_J'"),
        ("core.depth", "expected a comparison"),
        ("core.depth <", "expected a comparison"),
        ("__import__('os').system('x') == 0", "unknown function"),
        ("open('x') == 0", "unknown function 'open'"),
        ("a[0] < 1", "Subscript has no meaning"),
        ("(lambda: 1) < 2", "Lambda has no meaning"),
        ("f'{a}' < 1", "JoinedStr has no meaning"),
        ("[b for b in a] < 1", "ListComp has no meaning"),
        ("(a := 1) < 2", "NamedExpr has no meaning"),
        ("log(a, base=2) < 2", "unknown function 'log'"),
        ("log(a, 2) < 2", "log() takes one"),
        ("min() < 2", "min() takes one or more numbers"),
        ("a in 5", "expected a list after 'in'"),
        ("a // 0 < 1", "'a // 0 < 1': a // 0 has no value for any candidate: division by zero"),
        ("a % (2 - 2) < 1", "has no value for any candidate: division by zero"),
        ("a < 3 and b < 1 / 0", "1 / 0 has no value for any candidate"),
        ("a < log(0)", "log(0) has no value for any candidate"),
        ("a < sqrt(-1)", "sqrt(-1) has no value for any candidate"),
        ("a < 9**9**9", "has no value for any candidate"),
    ],
)  # fmt: skip
def test_what_is_no_constraint_is_refused_with_what_was_expected(text, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        parse(text)


@pytest.mark.parametrize(
    "text, values",
    [
        ("1 / a < 2", {"a": 0}),
        ("a < 2", {"a": "lti"}),
        ("log(a) < 2", {"a": -1}),
        ("a < 2", {"a": None}),
        ("a < 2", {"a": math.nan}),
        ("b < 2 and a < 2", {"a": math.nan, "b": 1}),
        ("b < a < 2", {"a": 1, "b": math.nan}),
    ],
)
def test_what_cannot_be_computed_says_so(text, values):
    with pytest.raises(ValueError):
        parse(text).violation(values)


@pytest.mark.parametrize(
    "text, found",
    [
        ("a < 2", None),  # says nothing of a recipe without a
        ("a < 2 and b < 2", 1),  # all of the rest
        ("a < 2 or b < 2", None),  # the first could not be violated
        ("min(a, b) < 2", None),
        ("b < 2 or c > 0", 0.5),
        ("a < 2 and (a > 3 or b < 1)", None),
    ],
)
def test_a_comparison_with_a_field_that_a_recipe_does_not_have_holds(text, found):
    assert parse(text).violation({"b": 3, "c": -0.5}) == found


def test_names_and_numbers_are_told_apart_before_anything_runs():
    parse("log(a) < 2").check_types({"a": -1})  # another candidate may do
    parse("b < 2").check_types({"a": "lti"})
    for text in ("a < 2", "a + 1 > 0", "log(a) < 2"):
        with pytest.raises(ValueError, match=f"^{re.escape(repr(text))}: "):
            parse(text).check_types({"a": "lti"})
    assert list(parse("a == 'x' and ('y' != b or c in ['z', 1])").words()) == [("a", "x"), ("b", "y"), ("c", "z")]
