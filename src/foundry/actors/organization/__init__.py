"""Organization: the coordinator; its lookup index and its runtime issues (R1, R18-R20)."""
