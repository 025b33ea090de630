"""Rows of the map's layer panel: name, swatch, initial opacity, and legend."""

from typing import Any

from core.labels.labels import BOUNDARY_M, CONTACT_M
from core.rendering import colors
from core.rendering.images import DISTANCE_MARKS, distance_level, ramp_css


def _row(key: str, name: str, swatch: str, visible: bool = False, opacity: float = 1.0, **extra: Any) -> dict[str, Any]:
    return {"key": key, "name": name, "swatch": swatch, "on": visible, "opacity": opacity, **extra}


def _legend(*items: tuple[str, str]) -> dict[str, Any]:
    """Return a legend of swatches with captions."""
    return {"items": items}


def distance_legend() -> dict[str, Any]:
    """Return the color ramp and marks of the signed distance [m]."""
    marks = [
        (float(distance_level(m)) * 50 + 50, f"{m} m" if m == DISTANCE_MARKS[-1] else str(m)) for m in DISTANCE_MARKS
    ]
    return {"ramp": ramp_css("RdBu_r"), "marks": marks, "items": [("", "Blue outside, red inside a building")]}


def _border(color: str, style: str = "solid") -> str:
    return f"border: 2px {style} {color}"


_STREET = "background: repeating-linear-gradient(45deg, #aad3df 0 4px, #f2efe9 4px 8px)"
_PHOTO = "background: linear-gradient(135deg, #6b8e5a, #b9a48a 60%, #4c566a)"
_DISTANCE = f"background: linear-gradient(to right, {ramp_css('RdBu_r')})"
_PROBABILITY = f"background: linear-gradient(to right, {ramp_css('viridis')})"
_VERDICTS = ", ".join(
    f"{color} {n * 33}% {n * 33 + 33}%"
    for n, color in enumerate((colors.TRUE_POSITIVE, colors.FALSE_POSITIVE, colors.FALSE_NEGATIVE))
)
#: Rows by layer key; "street" is the only layer from another server.
ROWS = {
    "image": _row("image", "Image", _PHOTO, visible=True, legend=_legend(("", "Contrast stretch: 2–98 %"))),
    "distance": _row("distance", "Signed distance", _DISTANCE, opacity=0.75, legend=distance_legend()),
    "mask": _row(
        "mask", "Building mask", f"background: {colors.TRUTH}", opacity=0.55,
        legend=_legend((f"background: {colors.TRUTH}", "Binary mask")),
    ),
    "boundary": _row(
        "boundary", "Building edges", f"background: {colors.BOUNDARY}", opacity=0.8,
        legend=_legend((f"background: {colors.BOUNDARY}", f"{BOUNDARY_M:g} m wide")),
    ),
    "contact": _row(
        "contact", "Building gaps", f"background: {colors.CONTACT}", opacity=0.8,
        legend=_legend((f"background: {colors.CONTACT}", f"Gaps between adjacent buildings (< {CONTACT_M:g} m)")),
    ),
    "outlines": _row(
        "outlines", "Ground truth", _border(colors.TRUTH), visible=True,
        legend=_legend((_border(colors.TRUTH), "Labeled building footprints")),
    ),
    "probability": _row(
        "probability", "Probability", _PROBABILITY, opacity=0.7,
        legend={"ramp": ramp_css("viridis"), "marks": [(0, "0"), (50, "0.5"), (100, "1")]},
    ),
    "depth": _row("depth", "Predicted signed distance", _DISTANCE, opacity=0.75, legend=distance_legend()),
    "errors": _row(
        "errors", "Errors only",
        f"background: linear-gradient(90deg, {colors.FALSE_POSITIVE}, {colors.FALSE_NEGATIVE})",
        legend=_legend(
            (_border(colors.FALSE_POSITIVE, "dashed"), "False positives"),
            (_border(colors.FALSE_NEGATIVE, "dotted"), "False negatives (missed)"),
        ),
    ),
    "accepted": _row(
        "accepted", "Accepted", _border(colors.PREDICTION),
        legend=_legend((_border(colors.PREDICTION), "Accepted in review")),
    ),
    "verdicts": _row(
        "verdicts", "Evaluation (TP\u00a0/\u00a0FP\u00a0/\u00a0FN)",
        f"background: linear-gradient(90deg, {_VERDICTS})", visible=True,
        legend=_legend(
            (_border(colors.TRUE_POSITIVE), "Correct (TP)"),
            (_border(colors.FALSE_POSITIVE, "dashed"), "False positive (FP)"),
            (_border(colors.FALSE_NEGATIVE, "dotted"), "Missed (FN)"),
        ),
    ),
    "first": _row(
        "first", "Run A", f"background: linear-gradient(90deg, {_VERDICTS})", visible=True,
        legend=_legend(
            (_border(colors.TRUE_POSITIVE), "Correct (TP)"),
            (_border(colors.FALSE_POSITIVE, "dashed"), "False positive (FP)"),
            (_border(colors.FALSE_NEGATIVE, "dotted"), "Missed (FN)"),
        ),
    ),
    "second": _row("second", "Run B", f"background: linear-gradient(90deg, {_VERDICTS})", visible=True),
    "changes": _row(
        "changes", "Changes", f"background: linear-gradient(90deg, {colors.TRUE_POSITIVE}, {colors.FALSE_NEGATIVE})",
        legend=_legend(
            (_border(colors.TRUE_POSITIVE), "Found only by run B"),
            (_border(colors.FALSE_NEGATIVE, "dotted"), "Found only by run A"),
        ),
    ),
    "street": _row(
        "street", "OpenStreetMap", _STREET, elsewhere=True, legend=_legend(("", "Online basemap (OpenStreetMap)"))
    ),
}  # fmt: skip
#: Colors of tiles by role in the train/validation split; the letter is drawn in the tile.
SPLIT_COLORS = {"T": colors.TRAINING, "V": colors.VALIDATION, "–": colors.EXCLUDED, "L": colors.SPLIT_TILE}
