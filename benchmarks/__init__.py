"""Measurements that anyone can run: each prints what docs say that it found."""
