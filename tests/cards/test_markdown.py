from __future__ import annotations

import pytest

from hf_mlc.cards.markdown import code, escaped, fenced, prose, table


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", r"a\|b"),
        ("<b>", "&lt;b&gt;"),
        ("`x`", r"\`x\`"),
        ("*a* _b_ [c] $d$", r"\*a\* \_b\_ \[c\] \$d\$"),
        ("two\nlines\tof  text", "two lines of text"),
        ("back\\slash & more", r"back\\slash &amp; more"),
        ("<!-- hf_mlc: end -->", "&lt;!-- hf\\_mlc: end --&gt;"),
        ("bell\x07 and \u202eright to left", "bell and right to left"),
        (7, "7"),
    ],
)
def test_text_from_data_shows_as_it_is(text, shown):
    assert escaped(text) == shown


def test_a_value_is_code_unless_it_holds_what_would_end_the_code_or_the_cell():
    assert code("f1_macro") == "`f1_macro`"
    assert code("a|b") == r"a\|b" and code("a`b") == r"a\`b" and code("<!--") == "&lt;!--"
    assert code("") == ""


def test_a_fence_is_longer_than_any_run_of_backticks_inside():
    assert fenced("x", "python") == "```python\nx\n```"
    assert fenced("a ```` b").splitlines()[0] == "`````"


def test_a_table_sets_its_numbers_to_the_right():
    assert table(["a", "b"], [["x", "1"]], numbers=[1]) == "| a | b |\n| --- | ---: |\n| x | 1 |"


def test_prose_of_a_list_is_bullets():
    assert prose(["one\n two", "three"]) == "- one two\n- three"
    assert prose(" text \n") == "text" and prose(None) is None and prose([]) is None
