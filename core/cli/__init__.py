"""Command-line interface, and the supervisor of web server and worker."""
