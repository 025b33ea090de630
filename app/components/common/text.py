"""Escaping of text for HTML and Markdown, and formatting of numbers with units."""

from collections import Counter
from collections.abc import Mapping
from html import escape

_EXTRA_ENTITIES = {"`": "&#96;", "$": "&#36;", "\\": "&#92;"}
_THIN = "\u2009"


def safe(text: object) -> str:
    """Escape a value for HTML, including characters special to JavaScript templates and Markdown."""
    escaped = escape(str(text), quote=True)
    for character, entity in _EXTRA_ENTITIES.items():
        escaped = escaped.replace(character, entity)
    return escaped


#: Help texts of the evaluation terms, by verdict.
MEANINGS = {
    "TP": "True positives — predicted and in the labels",
    "FP": "False positives — predicted, but not in the labels",
    "FN": "False negatives — in the labels, but not predicted",
}

_MARKDOWN = {ord(sign): f"\\{sign}" for sign in "\\`*_[]<>#|~:$&"}


def plain(text: object) -> str:
    """Escape a value for Markdown: no emphasis, formula, image or directive.

    Links remain only where browsers make one of a bare e-mail address.
    """
    return " ".join(str(text).split()).translate(_MARKDOWN)


def distinct(names: Mapping[str, str]) -> dict[str, str]:
    """Make labels unique by adding the end of their key: a select box identifies options by their label."""
    counts = Counter(names.values())
    return {key: name if counts[name] == 1 else f"{name} · {key[-13:]}" for key, name in names.items()}


def number(value: float | None, unit: str = "", digits: int = 3) -> str:
    """Format a number with thousands separators; an en dash for None.

    Args:
        value: The number.
        unit: Unit, appended with a space.
        digits: Maximum number of significant digits.

    Returns:
        The text.
    """
    if value is None:
        return "–"
    as_integer = abs(value) >= 10 ** (digits - 1) or float(value).is_integer()
    text = f"{value:,.0f}" if as_integer else f"{value:.{digits}g}"
    return f"{text}{_THIN}{unit}" if unit else text


def counted(count: int, noun: str) -> str:
    """Format a count with its noun in singular or plural, such as "3 tiles"."""
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"


def share(value: float | None) -> str:
    """Format a fraction as percent."""
    if value is not None and 0 < value < 0.001:
        return f"< 0.1{_THIN}%"
    return number(None if value is None else value * 100, "%", 2)


def duration(seconds: float | None) -> str:
    """Format a duration in seconds, minutes or hours."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.0f}{_THIN}s"
    if seconds < 5400:
        return f"{seconds / 60:.0f}{_THIN}min"
    return f"{seconds / 3600:.1f}{_THIN}h"
