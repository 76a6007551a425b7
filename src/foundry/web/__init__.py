"""The pages: what people see. Rendering is pure (`render`, `page`); routes read and act through the API's functions."""

from foundry.web.install import install

__all__ = ["install"]
