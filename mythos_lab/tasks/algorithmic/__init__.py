"""Tasks that a short program solves."""
