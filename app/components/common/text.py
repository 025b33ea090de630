"""Text from outside, made harmless for HTML in one place; numbers with units for people."""

from collections import Counter
from collections.abc import Mapping
from html import escape

_ALSO = {"`": "&#96;", "$": "&#36;", "\\": "&#92;"}
_THIN = "\u2009"


def safe(text: object) -> str:
    """Any value as HTML text: also what JavaScript templates and Markdown would read as code is an entity."""
    escaped = escape(str(text), quote=True)
    for sign, entity in _ALSO.items():
        escaped = escaped.replace(sign, entity)
    return escaped


_MARKDOWN = {ord(sign): f"\\{sign}" for sign in "\\`*_[]<>#|~:$&"}


def plain(text: object) -> str:
    """Any value as Markdown text that reads as it is written: no emphasis, formula, image or directive comes of it.

    Of links only those remain that browsers make of a bare e-mail address.
    """
    return " ".join(str(text).split()).translate(_MARKDOWN)


def distinct(names: Mapping[str, str]) -> dict[str, str]:
    """The same names by id, told apart where several are alike: a box chooses by what it shows."""
    counts = Counter(names.values())
    return {key: name if counts[name] == 1 else f"{name} · {key[-13:]}" for key, name in names.items()}


def number(value: float | None, unit: str = "", digits: int = 3) -> str:
    """At most `digits` significant digits, thin spaces between thousands; an en dash where there is no number."""
    if value is None:
        return "–"
    whole = abs(value) >= 10 ** (digits - 1) or float(value).is_integer()
    text = f"{value:,.0f}".replace(",", _THIN) if whole else f"{value:.{digits}g}"
    return f"{text}{_THIN}{unit}" if unit else text


def counted(count: int, thing: str) -> str:
    """So many of a thing, in the singular where it is one."""
    return f"{number(count)} {thing}{'' if count == 1 else 's'}"


def share(value: float | None) -> str:
    """A share of one in per cent."""
    if value is not None and 0 < value < 0.001:
        return f"< 0.1{_THIN}%"
    return number(None if value is None else value * 100, "%", 2)


def duration(seconds: float | None) -> str:
    """A time span in words people use."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.0f}{_THIN}s"
    if seconds < 5400:
        return f"{seconds / 60:.0f}{_THIN}min"
    return f"{seconds / 3600:.1f}{_THIN}h"
