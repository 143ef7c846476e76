"""The JSON Schema of the pipeline YAML, for editors."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from tradewind.spec.models import Pipeline
from tradewind.spec.values import spell


class _Generator(GenerateJsonSchema):
    """Pydantic's generator, except that default durations are spelled as in the YAML."""

    def encode_default(self, dft: Any) -> Any:
        return spell(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def json_schema() -> dict[str, Any]:
    """The schema of a pipeline, JSON Schema draft 2020-12, with a description of every field."""
    schema = _closed(Pipeline.model_json_schema(schema_generator=_Generator))
    return {"$schema": GenerateJsonSchema.schema_dialect, **schema, "title": "Tradewind pipeline"}


def _closed(node: Any) -> Any:
    """Leave out titles, which only repeat field names, and let mappings take only names that fit their pattern."""
    if isinstance(node, list):
        return [_closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _closed(value) for key, value in node.items() if not (key == "title" and isinstance(value, str))}
    return {**kept, "additionalProperties": False} if "patternProperties" in kept else kept
