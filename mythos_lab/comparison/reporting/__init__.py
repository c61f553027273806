"""Reports of runs, studies and folders: what is read of them, and what stands on their pages."""
