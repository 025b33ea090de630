"""Colors of maps, charts and exports, distinguishable by color-blind people (Okabe and Ito 2008)."""

TRUTH = "#F0E442"
PREDICTION = "#56B4E9"
TRUE_POSITIVE = "#009E73"
FALSE_POSITIVE = "#D55E00"
FALSE_NEGATIVE = "#CC79A7"
TRAINING = "#56B4E9"
VALIDATION = "#E69F00"
EXCLUDED = "#999999"
SPLIT_TILE = "#F0E442"
BOUNDARY = "#E8EAED"
CONTACT = "#A06CD5"
HALO = "#0E1117"


def rgb(color: str) -> tuple[int, int, int]:
    """Convert a hexadecimal color to red, green, blue (0 to 255)."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
