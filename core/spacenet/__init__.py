"""Downloads from SpaceNet's public bucket."""
