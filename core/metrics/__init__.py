"""Object scores by the SpaceNet rule, average precision and calibration."""
