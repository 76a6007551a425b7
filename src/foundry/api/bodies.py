"""What every request body has in common."""

from __future__ import annotations

from typing import Any, cast

from pydantic import BaseModel, ConfigDict, model_validator

from foundry.contracts.errors import BadInput


class Body(BaseModel):
    """Fields that are not known are refused; text holds no NUL character, which PostgreSQL cannot store."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _no_nul(cls, data: Any) -> Any:
        fields = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
        for name, value in fields.items():
            if isinstance(value, str) and "\0" in value:
                raise BadInput(f"{name} has a NUL character in it", field=name, remedy="Leave it out.")
        return data
