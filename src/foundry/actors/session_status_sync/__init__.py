"""SessionStatusSync: reads one live agent's event stream."""
