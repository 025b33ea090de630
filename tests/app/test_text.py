"""Text for people: harmless, with units."""

import pytest

from app.components.common.text import distinct, duration, number, plain, safe, share


@pytest.mark.parametrize("text", ["<img src=x onerror=alert(1)>", "${alert(1)}", "`x`", "</script>", "\\u003c", "'\""])
def test_signs_that_html_or_javascript_would_read_become_entities(text: str) -> None:
    assert not set(safe(text)) & set("<>`$\\'\"")


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.2698, "m", "0.27\u2009m"),
        (8110.4, "m²", "8,110\u2009m²"),
        (46, "", "46"),
        (None, "m", "–"),
        (3761858, "", "3,761,858"),
    ],
)
def test_numbers_have_three_digits_commas_and_units(value: float | None, unit: str, shown: str) -> None:
    assert number(value, unit) == shown


def test_shares_are_per_cent() -> None:
    assert share(0.264) == "26\u2009%"
    assert share(0.0000038) == "< 0.1\u2009%"
    assert share(0.0) == "0\u2009%"


def test_durations_are_in_the_unit_one_would_say() -> None:
    assert [duration(s) for s in (None, 12, 125, 7200)] == ["–", "12\u2009s", "2\u2009min", "2.0\u2009h"]


@pytest.mark.parametrize(
    "text", ["[x](https://e.org)", "*a* _b_ ~~c~~", ":red[b]", "$x^2$", "# big", "![i](x)", "<b>", "`c`"]
)
def test_no_sign_of_markdown_is_left_unescaped(text: str) -> None:
    shown = plain(text)
    assert shown.replace("\\", "") == text
    for sign in "[]*_~:$#<>`":
        assert shown.count(sign) == shown.count(f"\\{sign}")


def test_plain_text_is_one_line_and_keeps_its_words() -> None:
    assert plain("tile.tif is damaged.\n  Copy it again.") == "tile.tif is damaged. Copy it again."


def test_names_that_are_alike_are_told_apart_by_their_ids():
    assert distinct({"run-1": "Vegas", "run-2": "Vegas", "run-3": "Rio"}) == {
        "run-1": "Vegas · run-1",
        "run-2": "Vegas · run-2",
        "run-3": "Rio",
    }
