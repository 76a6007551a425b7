"""The JSON API: one thin module per resource. docs/api.md has the paths and the rules.

`install` adds it to a FastAPI app. The app's `state.foundry` must be a `Foundry` before the first request.
"""

from foundry.api.context import Foundry
from foundry.api.install import install

__all__ = ["Foundry", "install"]
