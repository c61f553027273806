"""What the loops of a model do."""
