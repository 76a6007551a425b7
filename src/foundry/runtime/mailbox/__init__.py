"""Mailbox: the durable queue of messages to an actor, and how replicas hear of new ones."""
