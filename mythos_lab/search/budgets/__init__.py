"""Equal budgets: integer search over sizes, for whole candidates and for counterparts."""
