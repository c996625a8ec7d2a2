"""Validates an OpenAPI description, which is the argument."""

import json
import sys

from openapi_spec_validator import OpenAPIV31SpecValidator

with open(sys.argv[1]) as f:
    errors = [f"{list(e.absolute_path)}: {e.message}" for e in OpenAPIV31SpecValidator(json.load(f)).iter_errors()]
sys.exit("\n".join(errors) or None)
