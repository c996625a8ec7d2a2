"""Controls the models of garb with Triton's client over HTTP, and reads their statistics and
configuration.

    triton_repository.py HOST:PORT

The service has the versions 1 and 2 of the model m. TestTritonRepository runs it.
"""

import sys

import numpy as np
import tritonclient.http as thttp
from tritonclient.utils import InferenceServerException

client = thttp.InferenceServerClient(sys.argv[1])


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


def ready():
    return [(m["name"], m["version"]) for m in client.get_model_repository_index() if m["state"] == "READY"]


check("index", ready() == [("m", "2")])
check("extensions", {"model_repository", "statistics", "model_configuration"} <= set(client.get_server_metadata()["extensions"]))

config = client.get_model_config("m")
check("config", config["name"] == "m" and config["max_batch_size"] == 32)
check("config of a version", client.get_model_config("m", "2") == config)
side = next(i["dims"][:2] for i in config["input"] if i["data_type"] == "TYPE_FP32")

tensor = thttp.InferInput("input", [3, *side, 3], "FP32")
tensor.set_data_from_numpy(np.zeros([3, *side, 3], np.float32))
client.infer("m", [tensor])
for s in (client.get_inference_statistics(), client.get_inference_statistics("m"), client.get_inference_statistics("m", "2")):
    (m,) = s["model_stats"]
    check("statistics", (m["name"], m["version"], m["inference_count"]) == ("m", "2", 3))
    check("times", m["inference_stats"]["success"]["ns"] >= m["inference_stats"]["compute_infer"]["ns"] // 3 > 0)
    check("batches", sum(b["batch_size"] * b["compute_infer"]["count"] for b in m["batch_stats"]) == 3)

client.unload_model("m")
check("unloaded", ready() == [] and not client.is_model_ready("m"))
refused("infer", "404", lambda: client.infer("m", [tensor]))
refused("unload again", "404", lambda: client.unload_model("m"))
client.load_model("m")
check("loaded", ready() == [("m", "2")] and client.is_model_ready("m"))
client.infer("m", [tensor])
refused("a configuration", "400", lambda: client.load_model("m", config="{}"))
refused("files", "400", lambda: client.load_model("m", config="{}", files={"file:1/model.onnx": b"x"}))
refused("no model", "404", lambda: client.load_model("hats"))
client.close()
