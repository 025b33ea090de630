"""Demo: six steps from a blank map to a scored overlay and a file, on whatever data is there."""

from app.components.demo.demo_steps import demo
from core.catalog.store import read_catalog

demo(read_catalog())
