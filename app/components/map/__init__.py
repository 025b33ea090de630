"""The Leaflet map and its layer panel."""
