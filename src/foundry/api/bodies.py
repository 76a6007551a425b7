"""The base class of every request body."""

from __future__ import annotations

from typing import Any, cast

from pydantic import BaseModel, ConfigDict, model_validator

from foundry.contracts.errors import BadInput


class Body(BaseModel):
    """Refuses unknown fields, and NUL characters in text because PostgreSQL cannot store them."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _no_nul(cls, data: Any) -> Any:
        fields = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
        for name, value in fields.items():
            if isinstance(value, str) and "\0" in value:
                raise BadInput(f"{name} contains a NUL character", field=name, remedy="Remove the NUL character.")
        return data
