"""What varies: search spaces as written, and as read."""
