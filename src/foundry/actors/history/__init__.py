"""History: what happened in one repository, append-only (R2)."""
