"""Workflow: long work as a chain of durable steps. `flow` declares and runs one; `engine` and `recovery` drive DBOS."""
