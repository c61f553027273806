"""Two values that differ never look the same, however long they are."""

from hypothesis import given
from hypothesis import strategies as st

from mythos_lab.comparison.differing import apart

LONG = st.text("ab1 ,.", max_size=200)


@given(LONG, LONG, LONG, LONG)
def test_different_texts_come_out_different(before, a, b, after):
    one, other = apart(before + a + after, before + b + after, 40)
    assert (one == other) == (a == b)


def test_what_is_common_is_left_out_and_no_number_is_parted():
    rates = [f"0.{i:03}125" for i in range(100)]
    one, other = apart(", ".join(rates), ", ".join([*rates[:50], "0.5", *rates[51:]]), 40)
    assert one == "... 0.049125, 0.050125, 0.051125, ..." and other == "... 0.049125, 0.5, 0.051125, ..."
