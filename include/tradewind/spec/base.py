"""What all parts of the YAML share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Base of every part of the YAML: frozen, and no field that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def says_something(part: BaseModel, field: str) -> bool:
    """Whether a field says something; a default that is spelled out says nothing."""
    return bool(getattr(part, field) != type(part).model_fields[field].default)
