"""Teaches schemathesis what openapi.json cannot say: pictures, and parts of a request that belong together."""

import base64
import copy
import json

import schemathesis
from hypothesis import strategies as st

PICTURE = base64.b64decode("R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs=")
TEXT = base64.b64encode(PICTURE).decode()
LENGTH = "Inference-Header-Content-Length"

schemathesis.openapi.format("picture-base64", st.sampled_from([TEXT, "data:image/gif;base64," + TEXT, TEXT.rstrip("=")]))
schemathesis.openapi.format("timeout", st.sampled_from(["25", "29.5", "20s", "1m30s", "28000ms"]))
for kind in "image/*", "image/gif", "application/octet-stream":
    schemathesis.openapi.media_type(kind, st.just(PICTURE))


@schemathesis.deserializer("application/octet-stream")
def deserialize(context, response):
    """Returns the JSON before binary tensors."""
    return json.loads(response.content[: int(response.headers[LENGTH.lower()][0])])


def instance(value):
    """Replaces values, whose number depends on the model, by a picture."""
    if isinstance(value, list):
        return {"b64": TEXT}
    return value if "b64" in value else {name: instance(v) for name, v in value.items()}


def instances(values):
    return [instance(v) for v in values[:32]]  # a request has no more by default


def tensors(body, path):
    """Makes the parts of a request of the Open Inference Protocol agree."""
    body["inputs"] = [{"name": "picture", "datatype": "BYTES", "shape": [1], "data": [TEXT]}]
    if body.get("model_name"):
        body["model_name"] = path["model"]
    if (body.get("parameters") or {}).get("timeout"):
        body["parameters"]["timeout"] = 25_000_000
    outputs = {o["name"]: o for o in body.get("outputs") or []}
    for name, o in outputs.items():
        if name in ("class", "acceptance"):
            (o.get("parameters") or {}).pop("classification", None)
    if outputs:
        body["outputs"] = list(outputs.values())


@schemathesis.hook
def before_call(context, case, kwargs):
    """Makes the parts of a valid request agree: shapes with their data, and options with one another."""
    if case.meta is None:
        return
    if case.meta.generation.mode.is_negative:
        if case.media_type == "multipart/form-data":
            case.body = {"comment": "a form has no types that could be wrong, so leave the picture out"}
        return
    if case.query and "class" in case.query:
        case.query.update({"explain": "true", "class": "t-shirt"})
    infer = case.path.endswith("/infer")
    if infer and case.headers is not None:
        case.headers.pop(LENGTH, None)
    if infer and case.media_type == "application/octet-stream":
        text = {"inputs": [{"datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 4 + len(PICTURE)}}]}
        text = json.dumps(text).encode()
        case.body = text + len(PICTURE).to_bytes(4, "little") + PICTURE
        case.headers = {**(case.headers or {}), LENGTH: str(len(text))}
    if not isinstance(case.body, dict):
        return
    case.body = body = copy.deepcopy(case.body)
    if infer:
        tensors(body, case.path_parameters)
    if isinstance(body.get("picture"), list):
        # Strings are no pictures, but one of several pictures may fail. The names of other fields may have
        # control characters, which make a form malformed.
        case.body = {"picture": (body["picture"] * 2)[:32]}
    for name in "instances", "examples":
        if name in body:
            body[name] = instances(body[name])
    if not infer and isinstance(body.get("inputs"), list):
        body["inputs"] = instances(body["inputs"])
    elif not infer and "inputs" in body:
        body["inputs"] = {name: instances(values) for name, values in body["inputs"].items()}
