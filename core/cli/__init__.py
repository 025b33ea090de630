"""The command line and the supervisor of web server and worker."""
