"""Makes windows.onnx, and what ONNX Runtime answers for two pictures: windows.json.

Ran with onnx 1.23.2 and ONNX Runtime 1.32.0. It has groups and multipliers of convolutions,
also of channels that were shuffled before, strides and dilations that differ between rows
and columns, and pools with gaps.
"""
import json
import os

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

folder = os.path.dirname(os.path.abspath(__file__))
random = numpy.random.default_rng(3)
nodes, weights = [], []


def weight(*shape, values=None, dtype="float32"):
    if values is None:
        values = random.normal(size=shape) / numpy.sqrt(numpy.prod(shape[1:]) if len(shape) > 1 else 4)
    weights.append(numpy_helper.from_array(numpy.asarray(values, dtype=dtype), f"w{len(weights)}"))
    return weights[-1].name


def node(op, *inputs, **attributes):
    nodes.append(helper.make_node(op, inputs, [f"v{len(nodes)}"], name=f"{op}_{len(nodes)}", **attributes))
    return nodes[-1].output[0]


def shuffle(x, c, h, w):
    x = node("Reshape", x, weight(values=[-1, 2, c // 2, h, w], dtype="int64"))
    return node("Reshape", node("Transpose", x, perm=[0, 2, 1, 3, 4]), weight(values=[-1, c, h, w], dtype="int64"))


x = node("Conv", "pixels", weight(8, 3, 3, 2), strides=[1, 2], auto_pad="SAME_LOWER")  # 15 × 7
x = node("Relu", node("Conv", x, weight(12, 2, 3, 3), weight(12), group=4, pads=[1, 1, 1, 1]))
y = node("Conv", x, weight(12, 12, 3, 3), dilations=[2, 3], pads=[2, 3, 2, 3])
x = node("Add", x, y)
x = shuffle(x, 12, 15, 7)
x = node("Conv", x, weight(12, 4, 1, 1), weight(12), group=3)  # of channels in another order
x = shuffle(x, 12, 15, 7)
x = node("Conv", x, weight(24, 1, 3, 3), weight(24), group=12, dilations=[2, 1], pads=[2, 1, 2, 1])  # two for each channel
x = node("BatchNormalization", x, weight(24), weight(24), weight(24), weight(values=random.uniform(0.5, 1.5, 24)))
x = node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 1], dilations=[2, 1], pads=[1, 0, 2, 1])  # 7 × 6
x = node("AveragePool", x, kernel_shape=[3, 1], strides=[1, 2], pads=[1, 0, 1, 0])  # 7 × 3
x = node("Gemm", node("Flatten", x), weight(24 * 21, 5), weight(5))

graph = helper.make_graph(nodes, "main", [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, 15, 13])],
                          [helper.make_tensor_value_info(x, TensorProto.FLOAT, ["n", 5])], weights)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model, full_check=True)
path = os.path.join(folder, "windows.onnx")
onnx.save(model, path)
pixels = random.uniform(-2, 2, (2, 3, 15, 13)).round(2).astype("float32")
logits = onnxruntime.InferenceSession(path).run(None, {"pixels": pixels})[0]
with open(os.path.join(folder, "windows.json"), "w") as f:
    json.dump({"pixels": [round(float(v), 2) for v in pixels.transpose(0, 2, 3, 1).flatten()],
               "logits": [float(v) for v in logits.flatten()]}, f)
    f.write("\n")
