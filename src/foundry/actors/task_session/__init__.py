"""TaskSession: one conversation with one agent."""
