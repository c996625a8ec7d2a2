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
    if subject["side"] == 0:
        return whole_picture(subject, data)

    def answer():
        picture = Image.open(io.BytesIO(data))
        picture.draft("RGB", size)
        return picture.convert("RGB").resize(size, Image.Resampling.BICUBIC)

    return f"Pillow {PIL.__version__}", answer


def whole_picture(subject, data):
    """Decodes a picture whole."""
    import PIL
    from PIL import Image

    if subject["picture"].endswith(".heic"):
        register_heif()
    return f"Pillow {PIL.__version__}", lambda: Image.open(io.BytesIO(data)).convert("RGB")


def register_heif():
    try:
        import pillow_heif
    except ImportError as e:
        raise Absent(f"{e}: pip install pillow-heif") from e
    pillow_heif.register_heif_opener()


def encode(source, path):
    """Writes a picture in the format of path, with as many megapixels as its name says."""
    from PIL import Image

    if path.endswith(".heic"):
        register_heif()
    picture = Image.open(source)
    if os.path.basename(path).startswith("1-"):
        picture = picture.resize((1200, 900), Image.Resampling.BICUBIC)
    picture.save(path)


def simplejpeg_subject(subject):
    """Decodes by libjpeg-turbo alone, at the scale that Pillow chooses, and resizes by Pillow."""
    try:
        import simplejpeg
        from PIL import Image
    except ImportError as e:
        raise Absent(f"{e}: pip install simplejpeg pillow") from e

    with open(subject["picture"], "rb") as f:
        data = f.read()
    side = subject["side"]
    height, width = simplejpeg.decode_jpeg_header(data)[:2]
    scale = next(s for s in (8, 4, 2, 1) if min(width, height) // s >= side or s == 1)

    def answer():
        pixels = simplejpeg.decode_jpeg(data, min_height=height // scale, min_width=width // scale)
        return Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)

    return f"simplejpeg {simplejpeg.__version__}", answer


def opencv_subject(subject):
    """Decodes at the scale that OpenCV offers, and resizes by its filter for smaller pictures."""
    try:
        import cv2
        import numpy as np
    except ImportError as e:
        raise Absent(f"{e}: pip install opencv-python-headless numpy") from e

    cv2.setNumThreads(1)
    data = np.fromfile(subject["picture"], np.uint8)
    side = subject["side"]
    height, width = cv2.imdecode(data, cv2.IMREAD_COLOR).shape[:2]
    scale, flag = next(
        (scale, flag)
        for scale, flag in ((8, cv2.IMREAD_REDUCED_COLOR_8), (4, cv2.IMREAD_REDUCED_COLOR_4), (2, cv2.IMREAD_REDUCED_COLOR_2), (1, cv2.IMREAD_COLOR))
        if min(width, height) // scale >= side or scale == 1
    )

    def answer():
        pixels = cv2.imdecode(data, flag)
        return cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), (side, side), interpolation=cv2.INTER_AREA)

    return f"OpenCV {cv2.__version__}", answer


def list_output(output):
    """The values that garb's worker gives: levels, or the mean level of each row of a whole picture."""
    if hasattr(output, "ravel"):
        return [float(v) for v in output.ravel()]
    if output.size[0] * output.size[1] > 500_000:
        import numpy as np

        return [float(v) for v in np.asarray(output).reshape(output.size[1], -1).mean(axis=1)]
    return [float(v) for v in output.tobytes()]


def training_subject(subject):
    try:
        import training

        if "file" in subject:
            return training.keras_file(subject, read_input(subject))
        return getattr(training, subject["peer"])(subject, read_weights(subject["weights"]), read_input(subject))
    except ImportError as e:
        install = {"keras": "pip install keras tensorflow-cpu", "pytorch": "apt-get install python3-torch, or pip install torch"}
        raise Absent(f"{e}: {install[subject['peer']]}") from e


PEERS = {"onnxruntime": onnxruntime_subject, "openvino": openvino_subject, "keras": keras_subject, "pillow": pillow_subject, "simplejpeg": simplejpeg_subject, "opencv": opencv_subject}


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
                reply = {"output": list_output(answer())}
            elif request["op"] == "encode":
                encode(request["from"], request["file"])
                reply = {}
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
