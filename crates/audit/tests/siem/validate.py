"""Validates OCSF events, one a line on standard input, against the published schema 1.8.0.

Needs the packages `ocsf-json-schema` (1.2 or newer; it brings the published schemas) and `jsonschema`.
Prints each problem, and ends with 1 if there was one or if there was no event.
"""
import json
import sys

import jsonschema
from ocsf_json_schema.embedded import OcsfJsonSchemaEmbedded
from ocsf_json_schema.loader import get_ocsf_schema

schemas = OcsfJsonSchemaEmbedded(get_ocsf_schema(version="1.8.0"))
schema = schemas.get_class_schema("api_activity", ["ai_operation", "security_control"])
validator = jsonschema.Draft202012Validator(schema)
events = [json.loads(line) for line in sys.stdin]
problems = [
    (number, "/".join(map(str, error.absolute_path)), error.message)
    for number, event in enumerate(events, 1)
    for error in validator.iter_errors(event)
]
for number, place, message in problems:
    print(f"event {number} at `{place}`: {message[:200]}")
sys.exit(1 if problems or not events else 0)
