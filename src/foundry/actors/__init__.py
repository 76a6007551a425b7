"""The actor kinds, one package each, in the tree's names. Packages meet through `contracts` and the runtime."""
