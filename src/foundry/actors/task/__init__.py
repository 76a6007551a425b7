"""Task: one branch of one repository."""
