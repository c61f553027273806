"""Optuna: spaces, studies and their workers."""
