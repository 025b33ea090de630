"""Text, tabs, navigation and the frame around every page."""
