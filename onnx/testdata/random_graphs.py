"""Makes random graphs by seed, and what ONNX Runtime answers for them, for TestRandomGraphs.

    python random_graphs.py FOLDER FIRST COUNT

writes FOLDER/SEED.onnx and FOLDER/graphs.json. The graphs have what exporters write and
what they do not: every version of the operators from opset 11 on, unusual attributes, and
operators that garb lacks. A graph that ONNX Runtime itself refuses is drawn anew.
"""
import json
import os
import sys

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

onnxruntime.set_default_logger_severity(4)


class Graph:
    """A graph of maps [n, channels, height, width] as it grows."""

    def __init__(self, seed, attempt):
        self.random = numpy.random.default_rng([seed, attempt])
        self.opset = int(self.random.integers(11, 20))
        self.nodes, self.weights = [], []
        self.size = int(self.random.integers(7, 13))

    def chance(self, p):
        return self.random.random() < p

    def one(self, *choices):
        return choices[self.random.integers(len(choices))]

    def weight(self, values, dtype="float32"):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(numpy.asarray(values, dtype=dtype), name))
        return name

    def normal(self, *shape, scale=None):
        fan = numpy.prod(shape[1:]) if len(shape) > 1 else 4
        return self.weight(self.random.normal(size=shape) * (scale or 1 / numpy.sqrt(fan)))

    def node(self, op, *inputs, **attributes):
        attributes = {k: v for k, v in attributes.items() if v is not None}
        output = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [output], name=f"{op}_{len(self.nodes)}", **attributes))
        return output

    def axes(self, op, x, *axes, since=13, **attributes):
        """A node whose axes are an attribute before an opset, and an input from then on."""
        if self.opset < since:
            return self.node(op, x, axes=list(axes), **attributes)
        return self.node(op, x, self.weight(list(axes), "int64"), **attributes)

    def window(self, kernel):
        """Strides and pads of a window, in one of the ways to say them."""
        a = {"strides": self.one(None, [1, 1], [2, 2], self.one([2, 1], [1, 3], [1, 2]))}
        if self.chance(0.2):
            a["auto_pad"] = self.one("SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET")
        elif self.chance(0.6):
            half, side = kernel[0] // 2, kernel[1] // 2
            a["pads"] = self.one([half, side] * 2, [0, 0, half, side], [0, side, 0, side], [0] * 4)
        return a

    def gaps(self):
        return self.one([2, 2], [1, 2], [2, 1], [1, 3], [1, 1])

    # Each step takes a map and its channels, and returns such.

    def conv(self, x, c):
        kernel = self.one((1, 1), (3, 3), (3, 3), (5, 5), (2, 2), (1, 3), (3, 2))
        group = self.one(1, 1, 1, c, *(g for g in range(2, c) if c % g == 0))
        filters = c if group == c and self.chance(0.6) else group * int(self.random.integers(1, 4))
        inputs = [x, self.normal(filters, c // group, *kernel)]
        if self.chance(0.6):
            inputs.append(self.normal(filters))
        a = self.window(kernel)
        if self.chance(0.2):
            a["dilations"] = self.gaps()
        return self.node("Conv", *inputs, group=group if group > 1 or self.chance(0.5) else None,
                         kernel_shape=list(kernel) if self.chance(0.8) else None, **a), filters

    def norm(self, x, c):
        positive = self.weight(self.random.uniform(0.5, 1.5, c))
        return self.node("BatchNormalization", x, self.normal(c), self.normal(c), self.normal(c), positive,
                         epsilon=self.one(None, 1e-3, 1e-5), momentum=self.one(None, 0.9)), c

    def pool(self, x, c):
        kernel = self.one((2, 2), (3, 3), (2, 3), (3, 1))
        a = self.window(kernel)
        if self.chance(0.2):
            a["ceil_mode"] = self.one(0, 1)
        if self.chance(0.15):
            a["dilations"] = self.gaps()
        if self.chance(0.5):
            return self.node("MaxPool", x, kernel_shape=list(kernel), storage_order=self.one(None, 0), **a), c
        return self.node("AveragePool", x, kernel_shape=list(kernel),
                         count_include_pad=self.one(None, 0, 1), **a), c

    def function(self, x, c):
        op = self.one("Relu", "Relu", "Sigmoid", "Tanh", "LeakyRelu", "PRelu", "Clip", "HardSigmoid", "HardSwish", "Swish")
        if self.chance(0.1):
            op = self.one("Elu", "Selu", "Erf", "Softplus", "Softmax", "Abs", "GELU", "HardSwish by parts")
        if op == "Elu":
            return self.node(op, x, alpha=self.one(None, 0.4)), c
        if op == "GELU":
            half = self.node("Mul", x, self.weight(0.5)) if self.chance(0.5) else x
            y = self.node("Add", self.node("Erf", self.node("Div", x, self.weight(2 ** 0.5))), self.weight(1.0))
            y = self.node("Mul", half, y)
            return (y if half != x else self.node("Mul", y, self.weight(0.5))), c
        if op == "HardSwish by parts":
            return self.node("Mul", x, self.node("HardSigmoid", x, alpha=1 / 6, beta=0.5)), c
        if op == "LeakyRelu":
            return self.node(op, x, alpha=self.one(None, 0.2, 0.01)), c
        if op == "PRelu":
            return self.node(op, x, self.normal(*self.one((c, 1, 1), (1,), (1, c, 1, 1)), scale=0.2)), c
        if op == "Clip":
            low, high = self.one("", self.weight(-0.5), self.weight(0)), self.one("", self.weight(6), self.weight(1.5))
            return self.node(op, *([x, low, high] if high else [x, low] if low else [x])), c
        if op == "HardSigmoid":
            return self.node(op, x, alpha=self.one(None, 1 / 6), beta=self.one(None, 0.5, 0.4)), c
        if op == "Swish":
            return self.node("Mul", x, self.node("Sigmoid", x)), c
        if op == "Softmax":
            return self.node(op, x, axis=self.one(None, 1, -1)), c
        return self.node(op, x), c

    def arithmetic(self, x, c):
        number = self.weight(self.one(0.5, 2.0, -1.5)) if self.chance(0.5) else self.weight(
            self.random.uniform(0.5, 1.5, self.one((c, 1, 1), (1, c, 1, 1))))
        op, pair = self.one("Add", "Sub", "Mul", "Div"), [x, number]
        if op == "Sub" and self.chance(0.3):
            return self.node(op, *self.one((x, self.node("Sigmoid", x)), (self.node("Relu", x), x))), c
        if self.chance(0.25):
            pair.reverse()
        if op == "Div" and pair[0] != x:
            op = "Mul"
        return self.node(op, *pair), c

    def pad(self, x, c):
        pads = self.weight([0, 0, self.one(0, 1), self.one(0, 1), 0, 0, self.one(1, 2), self.one(0, 1)], "int64")
        mode = self.one("reflect", "edge") if self.chance(0.1) else self.one(None, "constant")
        inputs = [x, pads] + ([self.weight(1.0 if self.chance(0.1) else 0.0)] if mode in (None, "constant") and self.chance(0.5) else [])
        return self.node("Pad", *inputs, mode=mode), c

    def nothing(self, x, c):
        op = self.one("Identity", "Dropout", "Cast", "Transpose")
        if op == "Cast":
            return self.node(op, x, to=TensorProto.FLOAT), c
        if op == "Transpose":
            y = self.node(op, x, perm=[0, 2, 3, 1])
            if self.chance(0.4):
                y = self.node("Relu", y)
            return self.node(op, y, perm=[0, 3, 1, 2]), c
        if op == "Dropout" and self.opset >= 12 and self.chance(0.5):
            return self.node(op, x, self.weight(0.3)), c
        return self.node(op, x), c

    def branch(self, x, c):
        """Two ways from one map, which become one again."""
        same = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
        how = self.one("Add", "Mul", "Concat", "squeeze", "Sub")
        if how == "squeeze":  # and excite
            y = self.node("GlobalAveragePool", x)
            y = self.node("Conv", y, self.normal(c, c, 1, 1), self.normal(c))
            return self.node("Mul", *self.one((x, self.node("Sigmoid", y)), (self.node("Sigmoid", y), x))), c
        if how == "Concat":
            other = self.one(2, 3)
            y = self.node("Conv", x, self.normal(other, c, 3, 3), **same)
            if self.chance(0.15):  # one below or beside the other
                return self.node(how, x, x, axis=self.one(2, 3, -1)), c
            return self.node(how, x, y, axis=self.one(1, -3)), c + other
        return self.node(how, x, self.node("Conv", x, self.normal(c, c, 3, 3), **same)), c

    def shuffle(self, x, c):
        if c % 2:
            return self.function(x, c)
        h = self.size  # right as long as nothing has changed it; ONNX Runtime says so otherwise
        y = self.node("Reshape", x, self.weight([0, 2, c // 2, h, h], "int64"))
        y = self.node("Transpose", y, perm=[0, 2, 1, 3, 4])
        return self.node("Reshape", y, self.weight([self.one(0, -1), c, h, h], "int64")), c

    def flat(self, x):
        how = self.one("pool", "pool", "mean", "max", "flatten", "shape")
        if how == "flatten":
            return self.node("Flatten", x, axis=self.one(None, 1, -3))
        if how == "mean":
            return self.axes("ReduceMean", x, *self.one((2, 3), (-2, -1), (-1, -2)), since=18, keepdims=0)
        y = self.node(self.one("GlobalAveragePool", "GlobalMaxPool") if how != "max" else "GlobalMaxPool", x)
        if how == "max":
            return self.axes("Squeeze", y, *self.one((2, 3), (-1, -2)))
        if how == "shape":
            n = self.node("Gather", self.node("Shape", y), self.weight(0, "int64"), axis=0)
            sizes = self.node("Concat", self.axes("Unsqueeze", n, 0), self.weight([-1], "int64"), axis=0)
            return self.node("Reshape", y, sizes)
        return self.node("Flatten", y) if self.chance(0.6) else self.node("Reshape", y, self.weight(self.one([0, -1], [-1, 4]), "int64"))

    def dense(self, x, features, units):
        if self.chance(0.3):
            y = self.node("MatMul", x, self.normal(features, units, scale=0.3))
            return self.node("Add", *self.one((y, self.normal(units)), (self.normal(units), y)))
        across = self.one(0, 1)
        shape = (units, features) if across else (features, units)
        inputs = [x, self.normal(*shape, scale=0.3)] + ([self.normal(*self.one((units,), (1, units), (1,)))] if self.chance(0.8) else [])
        return self.node("Gemm", *inputs, transB=across or self.one(None, 0), transA=self.one(None, 0),
                         alpha=self.one(None, 1.0, 0.5), beta=self.one(None, 1.0, 2.0))

    def model(self):
        x, c = "pixels", 3
        for _ in range(int(self.random.integers(2, 8))):
            step = self.one(self.conv, self.conv, self.conv, self.norm, self.pool, self.function, self.function,
                            self.arithmetic, self.pad, self.nothing, self.branch, self.shuffle)
            x, c = step(x, c)
        x = self.flat(x)
        features = self.width(x)
        for _ in range(self.one(0, 1)):
            x, features = self.node("Relu", self.dense(x, features, 5)), 5
        x = self.dense(x, features, 4)
        if self.chance(0.3):
            x = self.node("Softmax", x, axis=self.one(1, -1))
        return self.made(x, ["n", 4])

    def width(self, x):
        """The number of features, which ONNX Runtime says."""
        path = f"{folder}/trial.onnx"
        onnx.save(self.made(x, None), path)
        return session(path).run(None, {"pixels": numpy.zeros((2, 3, self.size, self.size), "float32")})[0].shape[1]

    def made(self, output, shape):
        graph = helper.make_graph(
            self.nodes, "main", [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, self.size, self.size])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)], self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)


def session(path):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options)


def draw(seed):
    for attempt in range(100):
        graph = Graph(seed, attempt)
        try:
            model = graph.model()
            path = os.path.join(folder, f"{seed}.onnx")
            onnx.checker.check_model(model)
            onnx.save(model, path)
            pixels = graph.random.uniform(-2, 2, (2, 3, graph.size, graph.size)).astype("float32")
            answer = session(path).run(None, {"pixels": pixels})[0]
        except Exception:  # ONNX Runtime's are of many types
            continue
        if answer.shape == (2, 4) and numpy.isfinite(answer).all():
            return {"seed": seed, "file": path, "pixels": pixels.transpose(0, 2, 3, 1).flatten().tolist(),
                    "answer": answer.flatten().tolist(), "operators": sorted({n.op_type for n in model.graph.node})}
    sys.exit(f"seed {seed}: no graph that ONNX Runtime runs")


folder = sys.argv[1]
first, count = int(sys.argv[2]), int(sys.argv[3])
graphs = [draw(seed) for seed in range(first, first + count)]
with open(os.path.join(folder, "graphs.json"), "w") as f:
    json.dump(graphs, f)
