"""The peers' side of garb's benchmark: handles one request a line, as garb's worker does.

Requests and replies are JSON, one a line; worker.go says what they hold.
Only standard output carries replies: libraries that print go to standard error.
"""

import io
import json
import os
import struct
import sys
import time

replies = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


class Absent(Exception):
    """A peer that is not installed: its rows are skipped, with this reason."""


def read_weights(path):
    """Reads a float32 safetensors file: name to array."""
    import numpy as np

    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    header.pop("__metadata__", None)
    weights = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        weights[name] = np.frombuffer(data[start:end], "<f4").reshape(entry["shape"])
    return weights


def read_input(subject):
    import numpy as np

    side = subject["side"]
    return np.fromfile(subject["input"], "<f4").reshape(subject["batch"], side, side, 3)


def onnxruntime_subject(subject):
    try:
        import numpy as np
        import onnxruntime
        from onnx_networks import build, fixed
    except ImportError as e:
        raise Absent(f"{e}: pip install numpy onnx onnxruntime") from e

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = subject["threads"]
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    if "file" in subject:
        model = fixed(subject["file"], subject["batch"])
    else:
        model = build(subject["architecture"], read_weights(subject["weights"]), subject["side"], subject["batch"])
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: as_declared(read_input(subject), session.get_inputs()[0].shape)}
    return f"ONNX Runtime {onnxruntime.__version__}", lambda: session.run(["logits"] if "file" in subject else None, feed)[0]


def as_declared(x, shape):
    """The pictures [n h w c] in the layout that a network takes; to change it is no part of the time."""
    import numpy as np

    return x if shape[3] == 3 else np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def openvino_subject(subject):
    try:
        import openvino
        from onnx_networks import fixed
    except ImportError as e:
        raise Absent(f"{e}: pip install numpy onnx openvino") from e

    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": subject["threads"], "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    model = core.compile_model(core.read_model(fixed(subject["file"], subject["batch"])), "CPU", settings)
    run = model.create_infer_request()
    x = as_declared(read_input(subject), list(model.input(0).shape))
    run.set_input_tensor(openvino.Tensor(x))

    def answer():
        run.infer()
        return run.get_tensor("logits").data

    return f"OpenVINO {openvino.__version__.split('-')[0]}", answer


def keras_subject(subject):
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import keras
        import tensorflow
    except ImportError as e:
        raise Absent(f"{e}: pip install keras tensorflow-cpu") from e

    tensorflow.config.threading.set_intra_op_parallelism_threads(subject["threads"])
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    side = subject["side"]
    model = keras.applications.Xception(weights=None, include_top=False, pooling="avg", input_shape=(side, side, 3))
    load_keras_xception(model, read_weights(subject["weights"]))
    compiled = tensorflow.function(lambda x: model(x, training=False))
    x = tensorflow.constant(read_input(subject))
    name = f"Keras {keras.__version__} on TensorFlow {tensorflow.__version__}"
    return name, lambda: compiled(x).numpy()


def load_keras_xception(model, weights):
    """Gives Keras's Xception garb's weights. Keras leaves the four shortcuts
    unnamed; they come in the order of their blocks."""
    shortcuts = {"Conv2D": [2, 3, 4, 13], "BatchNormalization": [2, 3, 4, 13]}
    variables = {
        "Conv2D": ["kernel"],
        "SeparableConv2D": ["depthwise/kernel", "pointwise/kernel"],
        "BatchNormalization": ["bn/gamma", "bn/beta", "bn/moving_mean", "bn/moving_variance"],
    }
    for layer in model.layers:
        kind = type(layer).__name__
        if kind not in variables:
            continue
        if layer.name.startswith("block"):
            place = layer.name.removesuffix("_bn").replace("_", "/")
        else:
            place = f"block{shortcuts[kind].pop(0)}/shortcut"
        layer.set_weights([weights[f"{place}/{v}"] for v in variables[kind]])


def pillow_subject(subject):
    try:
        import PIL
        from PIL import Image
    except ImportError as e:
        raise Absent(f"{e}: pip install pillow") from e

    with open(subject["picture"], "rb") as f:
        data = f.read()
    size = (subject["side"], subject["side"])

    def answer():
        picture = Image.open(io.BytesIO(data))
        picture.draft("RGB", size)
        return picture.convert("RGB").resize(size, Image.Resampling.BICUBIC)

    return f"Pillow {PIL.__version__}", answer


def training_subject(subject):
    try:
        import training

        if "file" in subject:
            return training.keras_file(subject, read_input(subject))
        return getattr(training, subject["peer"])(subject, read_weights(subject["weights"]), read_input(subject))
    except ImportError as e:
        install = {"keras": "pip install keras tensorflow-cpu", "pytorch": "apt-get install python3-torch, or pip install torch"}
        raise Absent(f"{e}: {install[subject['peer']]}") from e


PEERS = {"onnxruntime": onnxruntime_subject, "openvino": openvino_subject, "keras": keras_subject, "pillow": pillow_subject}


def main():
    answer = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["op"] == "prepare":
                subject = request["subject"]
                load = training_subject if subject.get("train") else PEERS[subject["peer"]]
                name, answer = load(subject)
                reply = {"name": name}
            elif request["op"] == "output":
                output = answer()
                values = output.ravel() if hasattr(output, "ravel") else output.tobytes()
                reply = {"output": [float(v) for v in values]}
            elif request["op"] == "time":
                seconds = []
                for _ in range(request["repeats"]):
                    start = time.perf_counter()
                    answer()
                    seconds.append(time.perf_counter() - start)
                reply = {"seconds": seconds}
            else:
                reply = {"error": f"unknown request {request['op']}"}
        except Absent as e:
            reply = {"absent": str(e)}
        except Exception as e:  # told to the coordinator, which stops the run
            reply = {"error": f"{type(e).__name__}: {e}"}
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
