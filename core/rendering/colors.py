"""What a colour means, the same in every map, chart and export. Told apart by colour-blind people (Okabe and Ito)."""

TRUTH = "#F0E442"
PREDICTION = "#56B4E9"
RIGHT = "#009E73"
INVENTED = "#D55E00"
MISSED = "#CC79A7"
TRAIN = "#56B4E9"
VALIDATION = "#E69F00"
LEFT_OUT = "#999999"
DIVIDED = "#F0E442"
BOUNDARY = "#E8EAED"
CONTACT = "#A06CD5"
HALO = "#0E1117"


def rgb(colour: str) -> tuple[int, int, int]:
    """A hexadecimal colour as 0 to 255 in red, green, blue."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
