"""The web server of a worker."""
