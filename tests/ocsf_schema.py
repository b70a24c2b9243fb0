"""The published OCSF JSON schema, as `ocsf-json-schema` bundles it, as validators."""

from __future__ import annotations

import functools

import jsonschema
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from tocsin.model.event import Event, nest
from tocsin.model.schema import CLASSES, OCSF_VERSION

__all__ = ["problems"]


@functools.cache
def _validator(class_uid: int, profiles: tuple[str, ...]) -> jsonschema.Draft202012Validator:
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=OCSF_VERSION))
    declared = CLASSES[class_uid]
    name = f"{declared.extension}/{declared.name}" if declared.extension else declared.name
    return jsonschema.Draft202012Validator(schema.get_class_schema(class_name=name, profiles=list(profiles)))


def problems(event: Event) -> list[str]:
    """What the published schema has against the event as we export it, with the profiles the event names."""
    nested = nest(event)
    metadata = nested["metadata"]
    assert isinstance(metadata, dict)
    profiles = metadata["profiles"]
    assert isinstance(profiles, list)
    validator = _validator(event.class_uid, tuple(str(p) for p in profiles))
    return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(nested)]
