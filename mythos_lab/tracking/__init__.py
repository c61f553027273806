"""Where a run stands: MLflow, what it ran on, and who has its folder."""
