"""What is done to tensors in many places: rotations, tables of iterations, precision, random numbers."""
