"""Foundry: where a team and its coding agents work on the same repositories."""

__version__ = "0.4.0"
RELEASE = "0.4"  # of rows that say which release wrote them
