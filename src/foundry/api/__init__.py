"""The JSON API: one thin module a resource. Paths and rules: docs/api.md.

`install` puts it on a FastAPI app whose `state.foundry` is a `Foundry` before the first request comes.
"""

from foundry.api.context import Foundry
from foundry.api.install import install

__all__ = ["Foundry", "install"]
