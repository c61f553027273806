"""What begins something of one's own: files with a working skeleton."""
