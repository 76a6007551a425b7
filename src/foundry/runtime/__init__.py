"""The runtime, in six words: actor, turn, mailbox, workflow, worker, topic. `docs/glossary.md` explains each."""
