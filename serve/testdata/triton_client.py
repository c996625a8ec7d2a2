"""Asks garb with clients that were written for other servers: tritonclient over HTTP and
gRPC, and what people send to TensorFlow Serving.

    triton_client.py HOST:PORT PICTURE VALUES CLASSES

VALUES is a file of the values that the model's preprocessing makes of PICTURE, which
shows a t-shirt; CLASSES are the model's, with commas between them. TestTritonClient runs it.
"""

import asyncio
import base64
import json
import queue
import sys
import urllib.error
import urllib.request

import numpy as np
import tritonclient.grpc as tgrpc
import tritonclient.grpc.aio as tgrpc_aio
import tritonclient.http as thttp
import tritonclient.http.aio as thttp_aio
from tritonclient.utils import InferenceServerException

url, picture_path, values_path, classes = sys.argv[1:]
classes = classes.split(",")
shirt = classes.index("t-shirt")
with open(picture_path, "rb") as f:
    picture = f.read()
values = np.fromfile(values_path, "<f4")
checks = 0


def check(what, ok):
    global checks
    checks += 1
    if not ok:
        raise SystemExit(f"{what}: wrong")


def refused(what, status, call):
    try:
        call()
    except InferenceServerException as e:
        print(f"{what}: {e}")
        check(f"{what}: {e}", e.status() == status)
        return
    raise SystemExit(f"{what}: no error")


def picture_input(t, count=1, data=picture, shape=None):
    i = t.InferInput("picture", shape or [count], "BYTES")
    i.set_data_from_numpy(np.array([data] * count, dtype=np.object_).reshape(shape or [count]))
    return i


def values_input(t, count=1):
    tensor = np.repeat(values.reshape(1, *side, 3), count, axis=0)
    i = t.InferInput("input", list(tensor.shape), "FP32")
    i.set_data_from_numpy(tensor)
    return i


def right(what, result, count=1):
    """Checks an answer with all outputs."""
    probabilities = result.as_numpy("probabilities")
    check(f"{what}, shape", probabilities.shape == (count, len(classes)) and probabilities.dtype == np.float32)
    check(f"{what}, class", [c.decode() for c in result.as_numpy("class")] == ["t-shirt"] * count)
    check(f"{what}, probabilities", (probabilities.argmax(1) == shirt).all() and np.allclose(probabilities.sum(1), 1, atol=1e-5))
    check(f"{what}, logits", (result.as_numpy("logits").argmax(1) == shirt).all())
    return probabilities


# Metadata, the same over both.
http = thttp.InferenceServerClient(url, concurrency=4)
grpc = tgrpc.InferenceServerClient(url)
metadata = http.get_model_metadata("clothing")
check("metadata over gRPC", {k: grpc.get_model_metadata("clothing", as_json=True)[k] for k in ("name", "versions", "platform")} == {k: metadata[k] for k in ("name", "versions", "platform")})
check("classes", metadata["parameters"]["classes"] == classes)
side = next(i["shape"][1:3] for i in metadata["inputs"] if i["datatype"] == "FP32")
for c in (http, grpc):
    check("live", c.is_server_live() and c.is_server_ready())
    check("model ready", c.is_model_ready("clothing") and c.is_model_ready("clothing", "1"))
    check("no model ready", not c.is_model_ready("hats") and not c.is_model_ready("clothing", "2"))
check("server", http.get_server_metadata()["name"] == "garb" and grpc.get_server_metadata().name == "garb")

# Both inputs over both transports, every answer the same.
answers = []
for t, c in ((thttp, http), (tgrpc, grpc)):
    for name, i in (("picture", picture_input(t)), ("picture [1,1]", picture_input(t, shape=[1, 1])), ("values", values_input(t))):
        result = c.infer("clothing", [i], model_version="1", request_id="a1")
        answers.append(right(f"{t.__name__}, {name}", result))
        response = result.get_response()
        check("id", (response["id"] if t is thttp else response.id) == "a1")
    right("several pictures", c.infer("clothing", [picture_input(t, 3)]), 3)
    right("several values", c.infer("clothing", [values_input(t, 3)]), 3)
check("the same", all((a == answers[0]).all() for a in answers))

# Outputs as asked for: in JSON and binary, and by classification.
i = picture_input(thttp)
result = http.infer("clothing", [i], outputs=[thttp.InferRequestedOutput("probabilities", binary_data=False), thttp.InferRequestedOutput("class")])
check("JSON and binary", (result.as_numpy("probabilities") == answers[0]).all() and result.as_numpy("class")[0] == b"t-shirt" and result.as_numpy("logits") is None)
for t, c in ((thttp, http), (tgrpc, grpc)):
    top = c.infer("clothing", [picture_input(t)], outputs=[t.InferRequestedOutput("probabilities", class_count=3)]).as_numpy("probabilities")
    value, index, label = top[0][0].decode().split(":")
    check("classification", top.shape == (1, 3) and int(index) == shirt and label == "t-shirt" and abs(float(value) - answers[0][0][shirt]) < 1e-5)

# Inputs in JSON.
i = thttp.InferInput("picture", [1], "BYTES")
i.set_data_from_numpy(np.array([base64.b64encode(picture)], dtype=np.object_), binary_data=False)
right("picture in JSON", http.infer("clothing", [i]))
i = thttp.InferInput("input", [1, *side, 3], "FP32")
i.set_data_from_numpy(values.reshape(1, *side, 3), binary_data=False)
check("values in JSON", (right("values in JSON", http.infer("clothing", [i])) == answers[0]).all())
body, length = thttp.InferenceServerClient.generate_request_body([picture_input(thttp)])
raw = urllib.request.urlopen(urllib.request.Request(f"http://{url}/v2/models/clothing/infer", body, {"Inference-Header-Content-Length": str(length)}))
right("their own bodies", thttp.InferenceServerClient.parse_response_body(raw.read(), header_length=int(raw.headers["Inference-Header-Content-Length"])))

# Compressed.
for algorithm in ("gzip", "deflate"):
    right(f"http, {algorithm}", http.infer("clothing", [picture_input(thttp)], request_compression_algorithm=algorithm, response_compression_algorithm=algorithm))
right("grpc, gzip", grpc.infer("clothing", [values_input(tgrpc, 2)], compression_algorithm="gzip"), 2)
right("grpc, deflate", grpc.infer("clothing", [picture_input(tgrpc)], compression_algorithm="deflate"))

# Many at a time.
for r in [http.async_infer("clothing", [picture_input(thttp)]) for _ in range(8)]:
    right("async HTTP", r.get_result())
done = queue.Queue()
for _ in range(8):
    grpc.async_infer("clothing", [picture_input(tgrpc)], callback=lambda result, error: done.put((result, error)))
for _ in range(8):
    result, error = done.get(timeout=60)
    check(f"async gRPC: {error}", error is None)
    right("async gRPC", result)


async def coroutines():
    for t, inputs in ((thttp_aio, thttp), (tgrpc_aio, tgrpc)):
        async with t.InferenceServerClient(url) as c:
            check("live", await c.is_server_live())
            for result in await asyncio.gather(*(c.infer("clothing", [values_input(inputs)]) for _ in range(4))):
                right("coroutines", result)


asyncio.run(coroutines())

# What is wrong is told as other servers tell it.
for t, c, names in ((thttp, http, ("400", "404", "400")), (tgrpc, grpc, ("StatusCode.INVALID_ARGUMENT", "StatusCode.NOT_FOUND", "StatusCode.INVALID_ARGUMENT"))):
    wrong, missing, unread = names
    name = t.__name__.split(".")[-1]
    refused(f"{name}, no picture", unread, lambda: c.infer("clothing", [picture_input(t, data=b"text")]))
    refused(f"{name}, no model", missing, lambda: c.infer("hats", [picture_input(t)]))
    refused(f"{name}, no version", missing, lambda: c.infer("clothing", [picture_input(t)], model_version="2"))
    refused(f"{name}, no output", wrong, lambda: c.infer("clothing", [picture_input(t)], outputs=[t.InferRequestedOutput("classes")]))
    refused(f"{name}, two inputs", wrong, lambda: c.infer("clothing", [picture_input(t), values_input(t)]))
    i = t.InferInput("input", [1, 2, 2, 3], "FP32")
    i.set_data_from_numpy(np.zeros([1, 2, 2, 3], np.float32))
    refused(f"{name}, a shape", wrong, lambda: c.infer("clothing", [i]))
    i = t.InferInput("input", [1, *side, 3], "FP32")
    i.set_data_from_numpy(np.full([1, *side, 3], np.nan, np.float32))
    refused(f"{name}, NaN", wrong, lambda: c.infer("clothing", [i]))
    i = t.InferInput("picture", [1], "INT64")
    i.set_data_from_numpy(np.zeros([1], np.int64))
    refused(f"{name}, a type", wrong, lambda: c.infer("clothing", [i]))
    refused(f"{name}, no metadata", missing, lambda: c.get_model_metadata("hats"))
refused("grpc, an extension", "StatusCode.UNIMPLEMENTED", lambda: grpc.get_trace_settings())
refused("grpc, a deadline", "StatusCode.DEADLINE_EXCEEDED", lambda: grpc.infer("clothing", [picture_input(tgrpc, 16)], client_timeout=0.002))
right("after all that", grpc.infer("clothing", [picture_input(tgrpc)], client_timeout=60))
right("after all that", http.infer("clothing", [picture_input(thttp)]))
http.close()
grpc.close()


# TensorFlow Serving.
def serving(path, body=None):
    request = urllib.request.Request(f"http://{url}/v1/models/{path}", None if body is None else json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request) as r:
            return json.load(r)
    except urllib.error.HTTPError as e:
        return e.code, json.load(e)


status = serving("clothing")["model_version_status"][0]
check("status", status["state"] == "AVAILABLE" and status["version"] == "1" and serving("clothing/versions/1")["model_version_status"] == [status])
signature = serving("clothing/metadata")["metadata"]["signature_def"]["signature_def"]["serving_default"]
height, width = (int(d["size"]) for d in signature["inputs"]["input"]["tensor_shape"]["dim"][1:3])
check("signature", [height, width] == side and signature["method_name"] == "tensorflow/serving/predict")
tensor = values.reshape(1, height, width, 3)
b64 = {"b64": base64.b64encode(picture).decode()}
for body, key in (
    ({"instances": tensor.tolist()}, "predictions"),
    ({"signature_name": "serving_default", "instances": tensor.tolist()}, "predictions"),
    ({"instances": [{"input": tensor[0].tolist()}]}, "predictions"),
    ({"instances": [b64]}, "predictions"),
    ({"instances": [{"picture": b64}]}, "predictions"),
    ({"inputs": tensor.tolist()}, "outputs"),
    ({"inputs": {"input": tensor.tolist()}}, "outputs"),
    ({"inputs": {"picture": [b64]}}, "outputs"),
):
    for path in ("clothing:predict", "clothing/versions/1:predict"):
        answer = serving(path, body)
        predictions = np.array(answer[key], np.float32)
        check(f"{path}, {list(body)}", list(answer) == [key] and (predictions == answers[0]).all())
for what, code, path, body in (
    ("no model", 404, "hats:predict", {"instances": [b64]}),
    ("no model", 404, "hats", None),
    ("no version", 404, "clothing/versions/2:predict", {"instances": [b64]}),
    ("no instances", 400, "clothing:predict", {}),
    ("NaN", 400, "clothing:predict", {"instances": np.full_like(tensor, np.nan).tolist()}),
    ("a shape", 400, "clothing:predict", {"instances": [[[[1.0, 2.0, 3.0]]]]}),
    ("no signature", 400, "clothing:predict", {"signature_name": "regress", "instances": [b64]}),
):
    got = serving(path, body)
    print(f"serving, {what}: {got}")
    check(f"serving, {what}", got[0] == code and list(got[1]) == ["error"])
print(f"{checks} checks, all right")
