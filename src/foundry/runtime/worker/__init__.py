"""Worker: leased, unbounded I/O beside the turns."""
