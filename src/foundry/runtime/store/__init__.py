"""Where the runtime's rows live: one module per database, the same guarantees from both."""
