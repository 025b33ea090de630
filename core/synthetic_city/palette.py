"""Material palette: reflectance in the eight bands of WorldView-3, and texture parameters."""

import numpy as np

#: WorldView-3's order.
BANDS = ("coastal", "blue", "green", "yellow", "red", "red edge", "NIR1", "NIR2")
#: Where red, green and blue lie in it.
RGB = (4, 2, 1)

# name: red, green, blue, near infrared (reflectance); grain (one pixel), clumps (metres), drift (streets), courses
_MATERIALS = {
    "asphalt": (0.068, 0.068, 0.069, 0.08, 0.07, 0.09, 0.12, 0),
    "old asphalt": (0.100, 0.100, 0.098, 0.12, 0.07, 0.10, 0.14, 0),
    "patched asphalt": (0.045, 0.046, 0.048, 0.06, 0.05, 0.05, 0.05, 0),
    "lane mark": (0.34, 0.34, 0.31, 0.35, 0.10, 0.30, 0.25, 0),
    "pavement": (0.23, 0.225, 0.21, 0.27, 0.05, 0.08, 0.14, 0),
    "kerb": (0.33, 0.32, 0.30, 0.35, 0.06, 0.10, 0.10, 0),
    "concrete": (0.27, 0.26, 0.24, 0.31, 0.04, 0.09, 0.12, 0),
    "pavers": (0.24, 0.18, 0.145, 0.30, 0.08, 0.08, 0.05, 0),
    "cobbles": (0.15, 0.14, 0.13, 0.19, 0.09, 0.12, 0.15, 0),
    "grass": (0.075, 0.108, 0.055, 0.40, 0.13, 0.18, 0.13, 0),
    "lush grass": (0.050, 0.090, 0.042, 0.45, 0.11, 0.13, 0.08, 0),
    "dry grass": (0.16, 0.145, 0.085, 0.29, 0.12, 0.18, 0.14, 0),
    "soil": (0.22, 0.175, 0.125, 0.28, 0.09, 0.17, 0.15, 0),
    "bare ground": (0.27, 0.22, 0.165, 0.33, 0.08, 0.15, 0.15, 0),
    "gravel": (0.26, 0.215, 0.17, 0.30, 0.10, 0.10, 0.12, 0),
    "bark": (0.11, 0.08, 0.06, 0.17, 0.12, 0.16, 0.10, 0),
    "sports court": (0.09, 0.14, 0.15, 0.16, 0.03, 0.04, 0.04, 0),
    "pool": (0.085, 0.32, 0.335, 0.03, 0.05, 0.12, 0.02, 0),
    "deep pool": (0.05, 0.22, 0.31, 0.02, 0.05, 0.12, 0.02, 0),
    "pond": (0.020, 0.034, 0.036, 0.01, 0.04, 0.05, 0.10, 0),
    "oak": (0.058, 0.078, 0.044, 0.36, 0.30, 0.14, 0.10, 0),
    "ash": (0.074, 0.100, 0.050, 0.42, 0.28, 0.14, 0.10, 0),
    "olive": (0.098, 0.106, 0.074, 0.32, 0.28, 0.14, 0.08, 0),
    "palm": (0.078, 0.090, 0.056, 0.34, 0.32, 0.12, 0.05, 0),
    "tan tile": (0.42, 0.325, 0.225, 0.46, 0.10, 0.06, 0.02, 0.07),
    "sand tile": (0.36, 0.29, 0.215, 0.41, 0.10, 0.06, 0.02, 0.07),
    "terracotta": (0.305, 0.170, 0.122, 0.39, 0.11, 0.07, 0.03, 0.08),
    "old terracotta": (0.235, 0.150, 0.110, 0.32, 0.12, 0.14, 0.04, 0.08),
    "brown shingle": (0.165, 0.125, 0.095, 0.20, 0.09, 0.06, 0.02, 0.06),
    "grey shingle": (0.155, 0.155, 0.155, 0.18, 0.09, 0.06, 0.02, 0.06),
    "slate": (0.095, 0.102, 0.115, 0.13, 0.09, 0.10, 0.03, 0.08),
    "white roof": (0.58, 0.57, 0.55, 0.58, 0.02, 0.06, 0.05, 0),
    "gravel roof": (0.30, 0.285, 0.26, 0.33, 0.06, 0.10, 0.05, 0),
    "tar roof": (0.13, 0.13, 0.135, 0.15, 0.05, 0.16, 0.06, 0),
    "blue metal": (0.14, 0.205, 0.29, 0.25, 0.03, 0.06, 0.03, 0.10),
    "grey metal": (0.33, 0.335, 0.34, 0.38, 0.02, 0.07, 0.04, 0.12),
    "rusty metal": (0.28, 0.20, 0.15, 0.33, 0.05, 0.20, 0.05, 0.10),
    "block wall": (0.27, 0.235, 0.195, 0.32, 0.06, 0.08, 0.10, 0),
    "solar panel": (0.035, 0.042, 0.07, 0.06, 0.03, 0.02, 0, 0.20),
    "machine": (0.36, 0.36, 0.35, 0.38, 0.08, 0.08, 0, 0),
    "skylight": (0.46, 0.50, 0.52, 0.46, 0.03, 0.03, 0, 0),
    "glass": (0.10, 0.11, 0.115, 0.08, 0.05, 0, 0, 0),
    "white car": (0.50, 0.50, 0.49, 0.50, 0.03, 0, 0, 0),
    "silver car": (0.36, 0.37, 0.38, 0.38, 0.03, 0, 0, 0),
    "black car": (0.03, 0.03, 0.033, 0.04, 0.03, 0, 0, 0),
    "grey car": (0.13, 0.135, 0.14, 0.15, 0.03, 0, 0, 0),
    "red car": (0.34, 0.05, 0.04, 0.40, 0.03, 0, 0, 0),
    "blue car": (0.05, 0.09, 0.22, 0.20, 0.03, 0, 0, 0),
}

CAR_COLOURS = ("white car", "white car", "silver car", "silver car", "black car", "grey car", "red car", "blue car")
TREE_KINDS = ("oak", "ash", "olive", "palm")

#: Material name to its row in the tables below.
SWATCH = {name: n for n, name in enumerate(_MATERIALS)}


#: (materials, 8) float32 reflectance.
SPECTRA = np.array([  # the red edge lies half-way between red and near infrared
    [blue * 0.9, blue, green, (red + green) / 2, red, (red + infrared) / 2, infrared, infrared * 1.02]
    for red, green, blue, infrared, *_ in _MATERIALS.values()
], np.float32)  # fmt: skip
#: (materials, 4) float32: share by which grain, clumps, drift and courses change the reflectance.
UNEVENNESS = np.array([row[4:] for row in _MATERIALS.values()], np.float32)
