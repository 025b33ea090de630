"""Settings of vectorization: threshold, saddle ratio, minimum area, simplification."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Shaping:
    """How probability becomes polygons."""

    threshold: float = 0.5  #: probability from which it is building
    seed: float = 0.0  #: times a building is deeper than the neck to its neighbour; 0: neighbours stay together
    min_area_m2: float = 5.0  #: smaller ones are left out; 5 m² are SpaceNet's 20 pixels at 0.5 m
    simplify_px: float = 0.6  #: vertices nearer than that to the straight line are dropped
    grow_px: float = 0.0  #: outward, for networks that were taught to leave out a border
    square: bool = False  #: with right angles, see core.postprocessing.regularize
    judged: bool = False  #: after a second look, where the run has learned one, see core.postprocessing.rescoring

    def changed(
        self, threshold: float | None = None, seed: float | None = None, min_area_m2: float | None = None,
        square: bool | None = None, judged: bool | None = None, simplify_px: float | None = None,
    ) -> "Shaping":  # fmt: skip
        """With what is named instead."""
        named = {
            "threshold": threshold, "seed": seed, "min_area_m2": min_area_m2, "square": square, "judged": judged,
            "simplify_px": simplify_px,
        }  # fmt: skip
        return replace(self, **{name: value for name, value in named.items() if value is not None})  # type: ignore[arg-type]
