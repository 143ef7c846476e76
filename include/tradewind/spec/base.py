"""What all parts of the YAML share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Base of every part of the YAML: frozen, and no field that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")
