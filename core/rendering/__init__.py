"""Arrays to images: contrast stretch, colors, PNG and WebP."""
