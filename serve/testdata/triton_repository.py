"""Controls the models of garb with Triton's clients over HTTP and gRPC, and reads their statistics and
configuration.

    triton_repository.py HOST:PORT

The service has the versions 1 and 2 of the model m. TestTritonRepository runs it.
"""

import sys

import numpy as np
import tritonclient.grpc as tgrpc
import tritonclient.http as thttp
from tritonclient.utils import InferenceServerException


def check(what, ok):
    if not ok:
        raise SystemExit(f"{what}: wrong")


def refused(what, status, call):
    try:
        call()
    except InferenceServerException as e:
        check(f"{what}: {e}", e.status() == status)
        return
    raise SystemExit(f"{what}: no error")


def control(t, client, missing, invalid, **form):
    """Checks a client. form is what makes a gRPC client return dicts, as the HTTP client does."""
    name = t.__name__

    def ready():
        index = client.get_model_repository_index(**form)
        models = index.get("models", []) if form else index
        return [(m["name"], m["version"]) for m in models if m["state"] == "READY"]

    check(f"{name}, index", ready() == [("m", "2")])
    extensions = set(client.get_server_metadata(**form)["extensions"])
    check(f"{name}, extensions", {"model_repository", "statistics", "model_configuration"} <= extensions)

    def config(*version):
        c = client.get_model_config("m", *version, **form)
        return c["config"] if form else c

    check(f"{name}, config", config()["name"] == "m" and config()["max_batch_size"] == 32)
    check(f"{name}, config of a version", config("2") == config())
    side = [int(d) for d in next(i["dims"][:2] for i in config()["input"] if i["data_type"] == "TYPE_FP32")]

    tensor = t.InferInput("input", [3, *side, 3], "FP32")
    tensor.set_data_from_numpy(np.zeros([3, *side, 3], np.float32))

    def statistics(*of):
        (m,) = client.get_inference_statistics(*of, **form)["model_stats"]
        check(f"{name}, statistics", (m["name"], m["version"]) == ("m", "2"))
        return m

    client.unload_model("m")
    check(f"{name}, unloaded", ready() == [] and not client.is_model_ready("m"))
    refused(f"{name}, infer", missing, lambda: client.infer("m", [tensor]))
    refused(f"{name}, unload again", missing, lambda: client.unload_model("m"))
    client.load_model("m")
    check(f"{name}, loaded", ready() == [("m", "2")] and client.is_model_ready("m"))

    client.infer("m", [tensor])
    for m in (statistics(), statistics("m"), statistics("m", "2")):
        check(f"{name}, pictures", int(m["inference_count"]) == 3)
        times = m["inference_stats"]
        check(f"{name}, times", int(times["success"]["ns"]) >= int(times["compute_infer"]["ns"]) // 3 > 0)
        batches = sum(int(b["batch_size"]) * int(b["compute_infer"]["count"]) for b in m["batch_stats"])
        check(f"{name}, batches", batches == 3)

    refused(f"{name}, a configuration", invalid, lambda: client.load_model("m", config="{}"))
    refused(f"{name}, files", invalid, lambda: client.load_model("m", config="{}", files={"file:1/model.onnx": b"x"}))
    refused(f"{name}, no model", missing, lambda: client.load_model("hats"))
    refused(f"{name}, no statistics", missing, lambda: client.get_inference_statistics("hats"))
    refused(f"{name}, no config", missing, lambda: client.get_model_config("hats"))
    client.close()


control(thttp, thttp.InferenceServerClient(sys.argv[1]), "404", "400")
control(tgrpc, tgrpc.InferenceServerClient(sys.argv[1]), "StatusCode.NOT_FOUND", "StatusCode.INVALID_ARGUMENT", as_json=True)
