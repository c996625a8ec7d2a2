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
        self.opset = int(self.random.integers(11, 22))
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
        if self.chance(0.2):
            op = self.one("Elu", "Selu", "Erf", "Softplus", "Softmax", "Abs", "GELU", "GELU by tanh", "HardSwish by parts", "HardSwish by parts")
        if op == "Elu":
            return self.node(op, x, alpha=self.one(None, 0.4)), c
        if op in ("GELU", "GELU by tanh"):
            half = self.mixed("Mul", x, self.weight(0.5)) if self.chance(0.5) else x
            if op == "GELU":
                y = self.node("Erf", self.node("Div", x, self.weight(self.one(2**0.5, 2**0.5, 1.5))))
            else:
                y = self.mixed("Mul", self.node("Pow", x, self.weight(self.one(3.0, 3.0, 2.0))), self.weight(0.044715))
                y = self.node("Tanh", self.mixed("Mul", self.mixed("Add", x, y), self.weight((2 / numpy.pi) ** 0.5)))
            y = self.mixed("Mul", half, self.mixed("Add", y, self.weight(1.0)))
            return (y if half != x else self.mixed("Mul", y, self.weight(0.5))), c
        if op == "HardSwish by parts":
            y = self.node("HardSigmoid", x, alpha=1 / 6, beta=0.5)
            if self.chance(0.7):
                y = self.node("Clip", self.mixed("Add", x, self.weight(self.one(3.0, 3.0, 2.5))), self.weight(0.0), self.weight(6.0))
                if self.chance(0.5):
                    return self.node("Div", self.mixed("Mul", x, y), self.weight(6.0)), c
                y = self.node("Div", y, self.weight(6.0))
            if self.chance(0.2):  # it has another reader
                return self.node("Add", self.mixed("Mul", x, y), y), c
            return self.mixed("Mul", x, y), c
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

    def mixed(self, op, *pair):
        """A node of two inputs in either order."""
        return self.node(op, *(pair if self.chance(0.5) else pair[::-1]))

    # Constants that are computed: sizes and numbers.

    def integers(self, *values):
        return self.weight(list(values), "int64")

    def sizes(self, x):
        """Some of a map's sizes, not the batch's, as a list of n."""
        how = self.one("Slice", "Gather", "Split", "start")
        shape = self.node("Shape", x)
        if how == "Gather":
            which = self.one([2, 3], [-1, 1], [3], [1, 2, 3])
            return self.node("Gather", shape, self.integers(*which), axis=0), len(which)
        if how == "start" and self.opset >= 15:
            return self.node("Shape", x, start=-2), 2
        if how == "Split" and self.opset >= 13:
            outputs = [f"v{len(self.nodes)}a", f"v{len(self.nodes)}b"]
            self.nodes.append(helper.make_node("Split", [shape, self.integers(2, 2)], outputs))
            return outputs[1], 2
        if self.chance(0.3):  # backwards
            return self.node("Slice", shape, self.integers(-1), self.integers(0), self.integers(0), self.integers(-1)), 3
        return self.node("Slice", shape, self.integers(2), self.integers(self.one(4, 2**62))), 2

    def computed(self, x, c):
        """Something of a map's sizes and other constants is added to it."""
        y, n = self.sizes(x)
        kind = "int64"
        for _ in range(int(self.random.integers(1, 6))):
            number = lambda: self.weight(self.random.integers(1, 9, self.one((), (1,), (n,))), "int64") if kind == "int64" else \
                self.weight(self.random.uniform(0.5, 4, self.one((), (1,), (n,))), kind)
            op = self.one("Add", "Sub", "Mul", "Div", "Mod", "Min", "Max", "Cast", "Neg", "Abs", "function", "Concat", "Tile", "Expand",
                          "Where", "shape", "Range", "Slice", "Pow")
            if op == "Mod":
                y = self.node(op, y, number(), fmod=None if kind == "int64" and self.chance(0.6) else 1)
            elif op in ("Add", "Sub", "Mul", "Div", "Min", "Max"):
                y = self.mixed(op, y, number()) if op != "Div" else self.node(op, y, number())
            elif op == "Pow":
                y = self.node(op, y, self.one(self.weight(2, "int64"), self.weight(2.0)))
            elif op == "Cast":
                kind = self.one("float32", "float64", "int64", "int32") if kind != "int32" else "int64"
                y = self.node(op, y, to=helper.np_dtype_to_tensor_dtype(numpy.dtype(kind)))
                if kind == "int32":
                    y, kind = self.node("Cast", self.node("Mul", y, self.weight(3, "int32")), to=TensorProto.INT64), "int64"
            elif op == "function" and kind != "int64":
                y = self.node(self.one("Floor", "Ceil", "Round", "Sqrt", "Reciprocal", "Exp" if self.chance(0.1) else "Floor"), self.node("Abs", y))
            elif op in ("Neg", "Abs"):
                y = self.node(op, y)
            elif op == "Concat":
                y, n = self.node(op, y, self.node("Identity", y), axis=self.one(0, -1)), 2 * n
            elif op == "Tile":
                y, n = self.node(op, y, self.integers(2)), 2 * n
            elif op == "Expand":
                y = self.node("Reshape", self.node(op, y, self.integers(3, n)), self.integers(-1))
                n *= 3
            elif op == "Where":
                y = self.node(op, self.node(self.one("Equal", "Less", "Greater"), y, number()), y, number())
            elif op == "shape":
                y = self.node("Transpose", self.axes("Unsqueeze", y, self.one(0, 1)), perm=[1, 0])
                y = self.node("Add", y, self.node("ConstantOfShape", self.integers(2, 1, 1), value=helper.make_tensor("", helper.np_dtype_to_tensor_dtype(numpy.dtype(kind)), [1], [1])))
                y, n = self.node("Flatten", y, axis=0), 2 * n
                y = self.axes("Squeeze", y, 0)
            elif op == "Range" and kind == "int64":
                top = self.node("Abs", self.axes("ReduceMax", y, 0, since=18, keepdims=0))
                y = self.node("Mul", y, self.node("Size", self.node("Range", self.weight(0, "int64"), self.node("Min", top, self.weight(50, "int64")), self.weight(self.one(1, 3), "int64"))))
            elif op == "Slice" and n > 1:
                y, n = self.node(op, y, self.integers(1), self.integers(n)), n - 1
        if kind != "float32":
            y = self.node("Cast", y, to=TensorProto.FLOAT)
        y = self.axes(self.one("ReduceMean", "ReduceMax", "ReduceMin"), y, 0, since=18, keepdims=0)
        y = self.node("Div", y, self.node("Add", self.node("Abs", y), self.weight(10.0)))
        return self.mixed("Add", x, y), c

    def same(self, x, c):
        """TensorFlow's padding, computed, and a convolution."""
        stride = self.one(1, 2)
        size = self.node("Cast", self.node("Slice", self.node("Shape", x), self.integers(2), self.integers(4)), to=TensorProto.FLOAT)
        need = self.node("Sub", self.node("Ceil", self.node("Div", size, self.weight(float(stride)))), self.weight(1.0))
        need = self.node("Sub", self.node("Add", self.node("Mul", need, self.weight(float(stride))), self.weight(3.0)), size)
        need = self.node("Cast", self.node("Max", need, self.weight(0.0)), to=TensorProto.INT64)
        before = self.node("Div", need, self.weight(2, "int64"))
        pads = self.node("Concat", self.integers(0, 0), before, self.integers(0, 0), self.node("Sub", need, before), axis=0)
        return self.node("Conv", self.node("Pad", x, pads), self.normal(c, c, 3, 3), strides=[stride, stride]), c

    def pad(self, x, c):
        pads = self.weight([0, 0, self.one(0, 1), self.one(0, 1), 0, 0, self.one(1, 2), self.one(0, 1)], "int64")
        mode = self.one("reflect", "edge") if self.chance(0.4) else self.one(None, "constant")
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
        how = self.one("Add", "Mul", "Concat", "squeeze", "Sub", "expanded")
        if how == "expanded":
            y = self.node("Sigmoid", self.node("GlobalAveragePool", x))
            return self.mixed("Mul", x, self.node("Expand", y, self.node("Shape", x))), c
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

    def parts(self, x, c):
        """What networks do with channels that were shuffled."""
        if c % 2:
            return self.function(x, c)
        x, c = self.shuffle(x, c)
        how = self.one("Split", "Slice", "Gather", "Concat", "groups", "last")
        if how == "Split":
            low = int(self.random.integers(1, c))
            name = f"split{len(self.nodes)}"
            sizes = [self.weight([low, c - low], "int64")] if self.opset >= 13 else []
            old = {} if sizes else {"split": [low, c - low]}
            self.nodes.append(helper.make_node("Split", [x, *sizes], [name + "/0", name + "/1"], name=name, axis=self.one(1, -3), **old))
            return self.node("Concat", *self.one((name + "/1", name + "/0"), (name + "/0", self.node("Relu", name + "/1"))), axis=1), c
        if how == "Slice":
            low, high = sorted(self.random.choice(c + 1, 2, replace=False).tolist())
            starts, ends, axes = ([low, 1], [high, 9], [1, 3]) if self.chance(0.4) else ([low], [high], [1])
            return self.node("Slice", x, *(self.weight(k, "int64") for k in (starts, ends, axes))), high - low
        if how == "Gather":
            picked = self.random.integers(-c, c, int(self.random.integers(1, 6))).tolist()
            return self.node("Gather", x, self.weight(picked, "int64"), axis=1), len(picked)
        if how == "Concat":
            return self.node("Concat", *self.one((x, self.node("Sigmoid", x)), (self.node("Tanh", x), x)), axis=1), 2 * c
        if how == "groups":
            group = self.one(*[g for g in range(2, c + 1) if c % g == 0])
            into = group * self.one(1, 2)
            return self.node("Conv", x, self.normal(into, c // group, 1, 1), self.normal(into), group=group), into
        into = self.one(2, 4, 5)
        y = self.node("MatMul", self.node("Transpose", x, perm=[0, 2, 3, 1]), self.normal(c, into, scale=0.5))
        y = self.node("Add", y, self.normal(into)) if self.chance(0.5) else y
        return self.node("Transpose", y, perm=[0, 3, 1, 2]), into

    def cylinder(self, x, c):
        """Rows or columns of the other end beside each end, as circular padding is written."""
        axis = self.one(2, 3, -1)
        ends = [self.node("Slice", x, *(self.weight([v], "int64") for v in (low, high, axis))) for low, high in ((-2, 999), (0, self.one(1, 2)))]
        return self.node("Concat", ends[0], x, ends[1], axis=axis), c

    def soft(self, x, c):
        """Softplus as PyTorch writes it."""
        y = self.node("Softplus", x)
        above = self.node("Greater", x, self.weight(20.0))
        y = self.node("Where", above, x, y) if self.chance(0.9) else self.node("Where", above, y, x)
        return self.node("Mul", x, self.node("Tanh", y)) if self.chance(0.5) else y, c

    def larger(self, x, c):
        mode, factors = self.one("nearest", "nearest", "linear", "linear", "cubic" if self.chance(0.1) else "nearest"), self.one((2, 2), (3, 1), (1, 4), (2, 3), (1.5, 2), (0.5, 0.75), (0.7, 1.3))
        a = {"mode": mode, "coordinate_transformation_mode": self.one(None, "half_pixel", "pytorch_half_pixel", "asymmetric", "asymmetric" if mode == "nearest" else "half_pixel",
             self.one("align_corners", "tf_half_pixel_for_nn" if self.opset < 13 else "half_pixel"))}
        if mode == "nearest":
            a["nearest_mode"] = self.one(None, "floor", "floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
        if mode == "cubic":
            a["cubic_coeff_a"] = -0.5
        empty = self.weight([]) if self.opset < 13 else ""
        if self.opset >= 18 and self.chance(0.3):
            return self.node("Resize", x, "", self.weight(factors), axes=self.one([2, 3], [-2, -1]), **a), c
        if self.chance(0.3):  # by sizes, as PyTorch has them
            sizes = self.node("Slice", self.node("Shape", x), self.weight([0], "int64"), self.weight([2], "int64"), self.weight([0], "int64"))
            sizes = self.node("Concat", sizes, self.weight([int(self.size * f) for f in factors], "int64"), axis=0)
            return self.node("Resize", x, empty, empty, sizes, **a), c
        return self.node("Resize", x, empty, self.weight([1, 1, *factors]), **a), c

    def normed(self, x, c):
        """Normalizations by the picture's own statistics."""
        epsilon = self.one(None, 1e-3, 1e-6)
        how = self.one("layer", "layer", "instance", "groups", "group" if self.opset >= 21 else "instance", "elements" if self.chance(0.2) else "layer")
        groups = self.one(*[g for g in (1, 2, 3, c) if c % g == 0])
        if how == "layer" and self.opset >= 17:
            y = self.node("Transpose", x, perm=[0, 2, 3, 1])
            inputs = [y, self.normal(c)] + ([self.normal(c)] if self.chance(0.7) else [])
            y = self.node("LayerNormalization", *inputs, axis=self.one(None, -1, 3), epsilon=epsilon, stash_type=self.one(None, 1))
            return self.node("Transpose", y, perm=[0, 3, 1, 2]), c
        if how == "elements" and self.opset >= 17:  # over rows, which garb lacks
            return self.node("LayerNormalization", x, self.normal(self.size), epsilon=epsilon), c
        if how == "group":
            return self.node("GroupNormalization", x, self.normal(c), self.normal(c), num_groups=groups, epsilon=epsilon), c
        if how == "groups":
            h = self.size
            y = self.node("Reshape", x, self.weight([0, groups, -1], "int64"))
            y = self.node("InstanceNormalization", y, self.weight([1] * groups), self.weight([0] * groups), epsilon=epsilon)
            y = self.node("Reshape", y, self.node("Shape", x) if self.chance(0.5) else self.weight([0, c, h, h], "int64"))
            if self.chance(0.8):
                y = self.node("Mul", y, self.normal(c, 1, 1))
                y = self.node("Add", y, self.normal(c, 1, 1))
            return y, c
        return self.node("InstanceNormalization", x, self.normal(c), self.normal(c), epsilon=epsilon), c

    def part(self, x, c):
        """A part of a map, or its parts put together otherwise."""
        ints = lambda *v: self.weight(list(v), "int64")
        if c >= 2 and self.chance(0.5):
            first = int(self.random.integers(1, c))
            axis = self.one(1, -3)
            if self.opset < 13:
                a, inputs = {"split": [first, c - first]}, [x]
            else:
                a, inputs = {}, [x, ints(first, c - first)]
            if self.opset >= 13 and c % 2 == 0 and self.chance(0.4):
                a, inputs = {"num_outputs": 2 if self.opset >= 18 else None}, [x]
                first = c // 2
            name = f"v{len(self.nodes)}"
            self.nodes.append(helper.make_node("Split", inputs, [name, name + "b"], axis=axis, **{k: v for k, v in a.items() if v is not None}))
            if self.chance(0.3):
                return self.one((name, first), (name + "b", c - first))
            y = self.node(self.one("Relu", "Sigmoid"), name + "b")
            return self.node("Concat", *self.one((name, y), (y, name), (y, name + "b", name)), axis=1), None
        if self.chance(0.4) and c >= 2:
            low, high = self.one((0, c - 1), (1, 2**31 - 1), (1, -1), (-2, c + 7), (-c - 3, c - 1))
            kept = min(high if high >= 0 else high + c, c) - max(low if low >= 0 else low + c, 0)
            return self.node("Slice", x, ints(low), ints(high), ints(self.one(1, -3))), kept
        starts, ends = [], []
        for size in self.shape(x)[2:]:  # ONNX Runtime crashes where a window does not fit
            low = int(self.random.integers(0, max(1, size - 4)))
            high = int(self.random.integers(min(low + 5, size), size + 1))
            starts.append(self.one(low, low - size, -size - 3 if low == 0 else low))
            ends.append(self.one(high, high - size if high < size else 2**63 - 1, size + 5 if high == size else high))
        if self.chance(0.3):
            return self.node("Slice", x, ints(starts[1]), ints(ends[1]), ints(self.one(3, -1))), c
        steps = [ints(1, 2 if self.chance(0.1) else 1)] if self.chance(0.4) else []
        return self.node("Slice", x, ints(*starts), ints(*ends), ints(*self.one((2, 3), (-2, -1), (2, -1))), *steps), c

    def together(self, x, c):
        """A map and a smaller one."""
        op = self.one("Add", "Mul", "Max", "Min", "Sub")
        y = self.one(
            lambda: self.node("Conv", x, self.normal(1, c, 1, 1)),
            lambda: self.node("GlobalAveragePool", x),
            lambda: self.node("GlobalMaxPool", self.node("Conv", x, self.normal(1, c, 1, 1))),
            lambda: self.node("Conv", x, self.normal(c, c, 1, 1)),
            lambda: self.weight(self.one(0.0, 0.5, -0.25)),
            lambda: self.axes(self.one("ReduceMean", "ReduceMax"), x, self.one(2, 3), since=18, keepdims=1),
        )()
        if op in ("Max", "Min") and self.chance(0.3):
            return self.node(op, x, y, self.weight(0.25)), c
        if self.chance(0.3):  # channels last
            turned = [v if v.startswith("w") else self.node("Transpose", v, perm=[0, 2, 3, 1]) for v in (x, y)]
            return self.node("Transpose", self.node(op, *turned), perm=[0, 3, 1, 2]), c
        return self.node(op, *self.one((x, y), (y, x))), c

    def maps(self, x, c):
        y, n = self.one(self.larger, self.normed, self.part, self.part, self.together)(x, c)
        return y, n or self.shape(y)[1]

    def shape(self, x):
        """A value's shape, which ONNX Runtime says."""
        path = f"{folder}/trial.onnx"
        onnx.save(self.made(x, None), path)
        return session(path).run(None, {"pixels": numpy.zeros((2, 3, self.size, self.size), "float32")})[0].shape

    def flat(self, x):
        how = self.one("pool", "pool", "mean", "max", "flatten", "shape")
        if how == "flatten":
            if self.chance(0.3):
                return self.node("Flatten", self.node(self.one("GlobalAveragePool", "GlobalMaxPool"), x), axis=self.one(1, -3))
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
                            self.arithmetic, self.pad, self.nothing, self.branch, self.shuffle, self.maps, self.maps,
                            self.computed, self.same, self.parts, self.parts, self.one(self.cylinder, self.soft))
            x, c = step(x, c)
        x = self.flat(x)
        features = self.shape(x)[1]
        for _ in range(self.one(0, 1)):
            x, features = self.node("Relu", self.dense(x, features, 5)), 5
        x = self.dense(x, features, 4)
        if self.chance(0.3):
            x = self.node("Softmax", x, axis=self.one(1, -1))
        return self.made(x, ["n", 4])

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
