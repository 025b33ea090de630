"""Demo: six steps from an image tile to a scored prediction and an exported file."""

from app.components.demo.demo_steps import demo
from core.catalog.store import read_catalog

demo(read_catalog())
