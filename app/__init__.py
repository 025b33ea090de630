"""Web interface: pages and the components they are made of."""
