"""`python -m foundry.cli`: the same as `foundry`."""

from foundry.cli import main

if __name__ == "__main__":
    main()
