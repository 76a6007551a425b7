"""The web pages. Rendering is pure (`fragments`, `pages`); routes read and act through the API's functions."""

from foundry.web.install import install

__all__ = ["install"]
