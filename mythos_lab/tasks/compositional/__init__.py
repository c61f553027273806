"""Tasks that need several steps of reasoning, and show by audit that nothing less will do."""
