"""The soak: people at work on a Foundry that is broken on purpose, and what must hold afterwards.

    python -m tests.harness.soak --mode sqlite|replicas --minutes 20 --seed 7

`ground` is what runs and how it is broken, `players` are the people, `book` is what Foundry accepted from them,
`saboteur` breaks things, `checks` are the invariants. A seed says who does what and what breaks when; what meets
what is up to the machine.
"""
