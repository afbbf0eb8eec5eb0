"""What the worker's web server answers."""
