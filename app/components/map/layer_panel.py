"""The rows of the map's layer panel: name, swatch, opacity to start with, and a legend of what the colours mean."""

from typing import Any

from core.labels.labels import BOUNDARY_M, CONTACT_M
from core.rendering import colors
from core.rendering.images import DISTANCE_MARKS, distance_level, ramp_css


def _row(key: str, name: str, swatch: str, on: bool = False, opacity: float = 1.0, **more: Any) -> dict[str, Any]:
    return {"key": key, "name": name, "swatch": swatch, "on": on, "opacity": opacity, **more}


def _says(*items: tuple[str, str]) -> dict[str, Any]:
    """A legend of swatches and words."""
    return {"items": items}


def distance_legend() -> dict[str, Any]:
    """Colours and marks of the signed distance, in metres."""
    marks = [
        (float(distance_level(m)) * 50 + 50, f"{m} m" if m == DISTANCE_MARKS[-1] else str(m)) for m in DISTANCE_MARKS
    ]
    return {"ramp": ramp_css("RdBu_r"), "marks": marks, "items": [("", "blue outside, red inside a building")]}


def _line(colour: str, style: str = "solid") -> str:
    return f"border: 2px {style} {colour}"


_STREET = "background: repeating-linear-gradient(45deg, #aad3df 0 4px, #f2efe9 4px 8px)"
_PHOTO = "background: linear-gradient(135deg, #6b8e5a, #b9a48a 60%, #4c566a)"
_DISTANCE = f"background: linear-gradient(to right, {ramp_css('RdBu_r')})"
_PROBABILITY = f"background: linear-gradient(to right, {ramp_css('viridis')})"
_VERDICTS = ", ".join(
    f"{colour} {n * 33}% {n * 33 + 33}%" for n, colour in enumerate((colors.RIGHT, colors.INVENTED, colors.MISSED))
)
#: By key; "street" is the only one from elsewhere.
ROWS = {
    "image": _row("image", "Image", _PHOTO, on=True, legend=_says(("", "2nd to 98th percentile of the area"))),
    "distance": _row("distance", "Signed distance", _DISTANCE, opacity=0.75, legend=distance_legend()),
    "mask": _row(
        "mask", "Building mask", f"background: {colors.TRUTH}", opacity=0.55,
        legend=_says((f"background: {colors.TRUTH}", "pixel centre in a building")),
    ),
    "boundary": _row(
        "boundary", "Boundary", f"background: {colors.BOUNDARY}", opacity=0.8,
        legend=_says((f"background: {colors.BOUNDARY}", f"{BOUNDARY_M:g} m along every wall")),
    ),
    "contact": _row(
        "contact", "Contact", f"background: {colors.CONTACT}", opacity=0.8,
        legend=_says((f"background: {colors.CONTACT}", f"under {CONTACT_M:g} m between two buildings")),
    ),
    "outlines": _row(
        "outlines", "Truth", _line(colors.TRUTH), on=True, legend=_says((_line(colors.TRUTH), "labelled footprint"))
    ),
    "probability": _row(
        "probability", "Probability", _PROBABILITY, opacity=0.7,
        legend={"ramp": ramp_css("viridis"), "marks": [(0, "0"), (50, "0.5"), (100, "1")]},
    ),
    "depth": _row("depth", "Distance head", _DISTANCE, opacity=0.75, legend=distance_legend()),
    "errors": _row(
        "errors", "Errors only", f"background: linear-gradient(90deg, {colors.INVENTED}, {colors.MISSED})",
        legend=_says(
            (_line(colors.INVENTED, "dashed"), "invented (FP)"), (_line(colors.MISSED, "dotted"), "missed (FN)")
        ),
    ),
    "accepted": _row(
        "accepted", "Accepted", _line(colors.PREDICTION), legend=_says((_line(colors.PREDICTION), "by a person"))
    ),
    "verdicts": _row(
        "verdicts", "Right and wrong", f"background: linear-gradient(90deg, {_VERDICTS})", on=True,
        legend=_says(
            (_line(colors.RIGHT), "found (TP)"), (_line(colors.INVENTED, "dashed"), "invented (FP)"),
            (_line(colors.MISSED, "dotted"), "missed (FN)"),
        ),
    ),
    "first": _row(
        "first", "Left run", f"background: linear-gradient(90deg, {_VERDICTS})", on=True,
        legend=_says(
            (_line(colors.RIGHT), "found (TP)"), (_line(colors.INVENTED, "dashed"), "invented (FP)"),
            (_line(colors.MISSED, "dotted"), "missed (FN)"),
        ),
    ),
    "second": _row("second", "Right run", f"background: linear-gradient(90deg, {_VERDICTS})", on=True),
    "changes": _row(
        "changes", "Gained and lost", f"background: linear-gradient(90deg, {colors.RIGHT}, {colors.MISSED})",
        legend=_says(
            (_line(colors.RIGHT), "only the right run finds it"),
            (_line(colors.MISSED, "dotted"), "only the left run finds it"),
        ),
    ),
    "street": _row(
        "street", "OpenStreetMap", _STREET, elsewhere=True, legend=_says(("", "fetched from tile.openstreetmap.org"))
    ),
}  # fmt: skip
#: The parts tiles play in training, by the letter that stands in them.
PARTS = {"T": colors.TRAIN, "V": colors.VALIDATION, "–": colors.LEFT_OUT, "L": colors.DIVIDED}
