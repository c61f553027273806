"""Tasks of looking things up: MQAR, and MAD's six."""
