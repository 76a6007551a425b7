"""One world for the tests: the real actors on a real database, with an outside that each test chooses."""
