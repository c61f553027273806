"""What went in, what came out, and what may be said of the difference."""
