"""Post-processing settings: probability threshold, split ratio, minimum area, simplification, regularization."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class VectorizeConfig:
    """Settings that turn a probability map into polygons; stored names are in core.compat."""

    threshold: float = 0.5  #: pixels with a higher probability are building
    saddle_ratio: float = 0.0  #: watershed split ratio: peak depth to saddle depth; 0 does not split
    min_area_m2: float = 5.0  #: smaller footprints are dropped; 5 m² are SpaceNet's 20 pixels at 0.5 m
    simplify_px: float = 0.6  #: tolerance of the simplification
    grow_px: float = 0.0  #: outward buffer, for networks trained on masks without their border
    regularize: bool = False  #: right angles, see core.postprocessing.regularize
    rescore: bool = False  #: filter likely false positives, see core.postprocessing.rescoring

    def with_changes(
        self, threshold: float | None = None, saddle_ratio: float | None = None, min_area_m2: float | None = None,
        regularize: bool | None = None, rescore: bool | None = None, simplify_px: float | None = None,
    ) -> "VectorizeConfig":  # fmt: skip
        """Replace settings; None keeps one.

        Args:
            threshold: Probability threshold.
            saddle_ratio: Watershed split ratio.
            min_area_m2: Minimum area [m²].
            regularize: Whether outlines get right angles.
            rescore: Whether likely false positives are filtered.
            simplify_px: Tolerance of the simplification [pixels].

        Returns:
            The changed settings.
        """
        changes = {
            "threshold": threshold, "saddle_ratio": saddle_ratio, "min_area_m2": min_area_m2,
            "regularize": regularize, "rescore": rescore, "simplify_px": simplify_px,
        }  # fmt: skip
        return replace(self, **{name: value for name, value in changes.items() if value is not None})  # type: ignore[arg-type]
