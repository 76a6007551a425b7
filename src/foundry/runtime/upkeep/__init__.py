"""What a process does about its own rows: retention, overdue messages and schedules, inspection."""
