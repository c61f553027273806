"""What one does with a run that has ended: open it, evaluate it elsewhere, have it go on with a text, export it."""
