"""Foundry: a team and its coding agents work on the same GitHub repositories."""

__version__ = "0.1.0"
