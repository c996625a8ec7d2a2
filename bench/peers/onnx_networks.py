"""The benchmark's networks as ONNX graphs, from the weights that garb exported.

Each function mirrors one file of garb's package backbone, layer by layer, with the
parameter names of that file. Convolutions keep their batch-norm beside them: to
fold it is the peer's own work, as it is garb's.
"""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

BATCH_NORM_EPSILON = 1e-3


class Graph:
    """Builds an ONNX graph over feature maps [n c h w], square and of known side.

    A value is (name, channels, side).
    """

    def __init__(self, weights, side, batch):
        self.weights, self.side, self.batch = weights, side, batch
        self.nodes, self.initializers = [], []
        self.input = ("input", 3, side)

    def constant(self, name, values):
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), name))
        return name

    def parameter(self, name, axes=None):
        values = self.weights[name]
        return self.constant(name, values if axes is None else values.transpose(axes))

    def node(self, op, inputs, **attributes):
        out = f"{op}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [out], **attributes))
        return out

    def window(self, side, kernel, stride, same):
        """TensorFlow's padding: (outputs along an axis, ONNX pads)."""
        if not same:
            return (side - kernel) // stride + 1, [0, 0, 0, 0]
        outputs = -(-side // stride)
        total = max(0, (outputs - 1) * stride + kernel - side)
        before, after = total // 2, total - total // 2
        return outputs, [before, before, after, after]

    def conv(self, name, x, stride=1, same=True):
        kernel, _, _, filters = self.weights[name + "/kernel"].shape
        outputs, pads = self.window(x[2], kernel, stride, same)
        out = self.node("Conv", [x[0], self.parameter(name + "/kernel", (3, 2, 0, 1))],
                        kernel_shape=[kernel, kernel], strides=[stride, stride], pads=pads)
        return out, filters, outputs

    def depthwise(self, name, x, stride=1):
        kernel, _, channels, _ = self.weights[name + "/kernel"].shape
        outputs, pads = self.window(x[2], kernel, stride, True)
        out = self.node("Conv", [x[0], self.parameter(name + "/kernel", (2, 3, 0, 1))],
                        kernel_shape=[kernel, kernel], strides=[stride, stride], pads=pads, group=channels)
        return out, channels, outputs

    def batch_norm(self, name, x):
        names = [self.parameter(f"{name}/{p}") for p in ("gamma", "beta", "moving_mean", "moving_variance")]
        return (self.node("BatchNormalization", [x[0], *names], epsilon=BATCH_NORM_EPSILON), *x[1:])

    def relu(self, x):
        return (self.node("Relu", [x[0]]), *x[1:])

    def relu6(self, x):
        if not any(i.name == "six" for i in self.initializers):
            self.constant("zero", 0), self.constant("six", 6)
        return (self.node("Clip", [x[0], "zero", "six"]), *x[1:])

    def max_pool(self, x):
        outputs, pads = self.window(x[2], 3, 2, True)
        return self.node("MaxPool", [x[0]], kernel_shape=[3, 3], strides=[2, 2], pads=pads), x[1], outputs

    def add(self, x, y):
        return (self.node("Add", [x[0], y[0]]), *x[1:])

    def pool_all(self, x):
        return self.node("Flatten", [self.node("GlobalAveragePool", [x[0]])]), x[1], 1

    def dense(self, name, x):
        out = self.node("Gemm", [x[0], self.parameter(name + "/kernel"), self.parameter(name + "/bias")])
        return out, self.weights[name + "/kernel"].shape[1], 1

    def model(self, output):
        graph = helper.make_graph(
            self.nodes, "network",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, [self.batch, 3, self.side, self.side])],
            [helper.make_tensor_value_info(output[0], TensorProto.FLOAT, [self.batch, output[1]])],
            self.initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        return model


def efficientnet_lite0(g):
    """Logits [n 1000]: backbone/efficientnetlite.go with its ImageNet top."""

    def conv(name, x, stride=1):
        return g.batch_norm(name + "/bn", g.conv(name + "/conv", x, stride))

    strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]  # of the 16 blocks
    x = g.relu6(conv("stem", g.input, 2))
    for block, stride in enumerate(strides):
        name = f"blocks/{block:02d}"
        inner = x
        if name + "/expand/conv/kernel" in g.weights:
            inner = g.relu6(conv(name + "/expand", inner))
        inner = g.depthwise(name + "/depthwise/conv", inner, stride)
        inner = g.relu6(g.batch_norm(name + "/depthwise/bn", inner))
        inner = conv(name + "/project", inner)
        x = g.add(inner, x) if stride == 1 and inner[1] == x[1] else inner
    return g.dense("classifier", g.pool_all(g.relu6(conv("head", x))))


def xception(g):
    """Pooled features [n 2048]: backbone/xception.go without its top."""

    def conv(name, x, stride=1, same=True):
        return g.batch_norm(name + "/bn", g.conv(name, x, stride, same))

    def sepconv(name, x):
        x = g.conv(name + "/pointwise", g.depthwise(name + "/depthwise", x))
        return g.batch_norm(name + "/bn", x)

    def down(block, x, relu_first=True):
        name = f"block{block}"
        inner = g.relu(x) if relu_first else x
        inner = g.relu(sepconv(name + "/sepconv1", inner))
        inner = g.max_pool(sepconv(name + "/sepconv2", inner))
        return g.add(inner, conv(name + "/shortcut", x, 2))

    x = g.relu(conv("block1/conv1", g.input, 2, same=False))
    x = g.relu(conv("block1/conv2", x, same=False))
    x = down(2, x, relu_first=False)
    x = down(3, x)
    x = down(4, x)
    for block in range(5, 13):
        inner = x
        for i in (1, 2, 3):
            inner = sepconv(f"block{block}/sepconv{i}", g.relu(inner))
        x = g.add(inner, x)
    x = down(13, x)
    for i in (1, 2):
        x = g.relu(sepconv(f"block14/sepconv{i}", x))
    return g.pool_all(x)


NETWORKS = {"efficientnet-lite0": efficientnet_lite0, "xception": xception}


def build(architecture, weights, side, batch):
    """Returns the serialized ONNX model of a network for batches of one size."""
    g = Graph(weights, side, batch)
    return g.model(NETWORKS[architecture](g)).SerializeToString()


def fixed(path, batch):
    """Returns the serialized model of a file, for batches of one size."""
    import onnx

    model = onnx.load(path)
    for value in [*model.graph.input, *model.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_value = batch
    del model.graph.value_info[:]  # of other sizes
    return model.SerializeToString()
