"""The JSON Schema of the pipeline YAML, for editors."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from tradewind.spec.pipeline import Pipeline
from tradewind.spec.scalars import format_duration
from tradewind.spec.source_kinds import SOURCE_KINDS


class _Generator(GenerateJsonSchema):
    """Pydantic's generator, except that default durations are spelled as in the YAML."""

    def encode_default(self, dft: Any) -> Any:
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def json_schema() -> dict[str, Any]:
    """The schema of a pipeline, JSON Schema draft 2020-12, with a description of every field."""
    schema = _closed(Pipeline.model_json_schema(schema_generator=_Generator))
    return {"$schema": GenerateJsonSchema.schema_dialect, **schema, "title": "Tradewind pipeline"}


def overlay_schema() -> dict[str, Any]:
    """The schema of defaults and overlays: any part of a pipeline, and ``null`` wherever something is taken away."""
    schema = _partial(json_schema())
    del schema["properties"]["pipeline"]
    kinds = [schema["$defs"][kind.__name__]["properties"] for kind in SOURCE_KINDS]
    for kind in kinds:  # a field of another kind may be taken away
        kind |= {name: {"type": "null"} for other in kinds for name in other if name not in kind}
    return {**schema, "title": "Tradewind defaults or overlay", "description": "A part of a pipeline's YAML."}


def _partial(node: Any) -> Any:
    if isinstance(node, list):
        return [_partial(item) for item in node]
    if not isinstance(node, dict):
        return node
    # What kind of source it is may stand in another layer, so that more than one fits.
    renamed = {"anyOf" if key == "oneOf" else key: value for key, value in node.items()}
    kept = {key: _partial(value) for key, value in renamed.items() if key not in ("required", "minProperties")}
    for group in ("properties", "patternProperties"):
        kept |= {group: {name: _or_null(value) for name, value in kept[group].items()}} if group in kept else {}
    return kept


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    beside = {key: value for key, value in schema.items() if key in ("description", "default")}
    return {"anyOf": [schema, {"type": "null"}], **beside}


def _closed(node: Any) -> Any:
    """Leave out titles, which only repeat field names, and let mappings take only names that fit their pattern."""
    if isinstance(node, list):
        return [_closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _closed(value) for key, value in node.items() if not (key == "title" and isinstance(value, str))}
    return {**kept, "additionalProperties": False} if "patternProperties" in kept else kept
