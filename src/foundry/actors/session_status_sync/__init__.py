"""SessionStatusSync: follows one live agent's event stream."""
