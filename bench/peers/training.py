"""A training step of EfficientNet-Lite0 in PyTorch and in Keras, and of networks in Keras's files, as garb's Trainer does it.

All layers are trained by AdamW on the softmax cross-entropy of 1000 classes. Batch-norms
use their stored statistics; gamma and beta are trained. Weights and pictures are garb's;
picture i of the batch has the class 37·i modulo 1000.
"""

import os

EPSILON = 1e-3
LEARNING_RATE = 1e-4
WEIGHT_DECAY = 0.01
CLASSES = 1000

# repeat, kernel, stride, expansion, channels: as in garb's backbone/efficientnetlite.go.
STAGES = [
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320),
]


def blocks():
    """Yields name, stride, kernel, whether it expands, and whether it has a shortcut."""
    channels, number = 32, 0
    for repeat, kernel, stride, expansion, filters in STAGES:
        for i in range(repeat):
            s = stride if i == 0 else 1
            yield f"blocks/{number:02d}", s, kernel, expansion != 1, s == 1 and channels == filters
            channels, number = filters, number + 1


def labels(batch):
    return [37 * i % CLASSES for i in range(batch)]


def pytorch(subject, weights, inputs):
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(subject["threads"])
    parameters = {}

    def variable(name, axes=None):
        values = torch.from_numpy(weights[name].copy())
        values = values if axes is None else values.permute(axes).contiguous()
        parameters[name] = values.requires_grad_(True)
        return parameters[name]

    for name in weights:
        if name.endswith("conv/kernel"):
            kernel = variable(name, (2, 3, 0, 1) if "depthwise" in name else (3, 2, 0, 1))
            parameters[name] = kernel.detach().contiguous(memory_format=torch.channels_last).requires_grad_(True)
        elif name == "classifier/kernel":
            variable(name, (1, 0))
        elif not name.endswith(("moving_mean", "moving_variance")):
            variable(name)
    stored = {n: torch.from_numpy(v.copy()) for n, v in weights.items() if "moving" in n}

    def norm(x, name):
        return F.batch_norm(x, stored[name + "/moving_mean"], stored[name + "/moving_variance"],
                            parameters[name + "/gamma"], parameters[name + "/beta"], training=False, eps=EPSILON)

    def conv(x, name, stride=1, groups=1):
        kernel = parameters[name + "/kernel"]
        total = max(0, (-(-x.shape[2] // stride) - 1) * stride + kernel.shape[2] - x.shape[2])
        if total % 2:  # TensorFlow's padding: the larger part at the end
            x = F.pad(x, (total // 2, total - total // 2, total // 2, total - total // 2))
            return F.conv2d(x, kernel, stride=stride, groups=groups)
        return F.conv2d(x, kernel, stride=stride, padding=total // 2, groups=groups)

    def network(x):
        x = F.relu6(norm(conv(x, "stem/conv", 2), "stem/bn"))
        for name, stride, _, expands, shortcut in blocks():
            y = x
            if expands:
                y = F.relu6(norm(conv(y, name + "/expand/conv"), name + "/expand/bn"))
            y = F.relu6(norm(conv(y, name + "/depthwise/conv", stride, y.shape[1]), name + "/depthwise/bn"))
            y = norm(conv(y, name + "/project/conv"), name + "/project/bn")
            x = x + y if shortcut else y
        x = F.relu6(norm(conv(x, "head/conv"), "head/bn"))
        return F.linear(x.mean((2, 3)), parameters["classifier/kernel"], parameters["classifier/bias"])

    x = torch.from_numpy(inputs).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    y = torch.tensor(labels(len(inputs)))
    optimizer = torch.optim.AdamW(parameters.values(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(network(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach().numpy().reshape(1)

    return f"PyTorch {torch.__version__}", step


def keras(subject, weights, inputs):
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras
    import tensorflow as tf
    from keras import layers

    tf.config.threading.set_intra_op_parallelism_threads(subject["threads"])
    tf.config.threading.set_inter_op_parallelism_threads(1)
    made = {}

    def add(name, layer, x):
        made[name] = layer
        return layer(x)

    def norm(x, name):
        return add(name, layers.BatchNormalization(epsilon=EPSILON), x)

    def conv(x, name, stride=1):
        kernel = weights[name + "/kernel"].shape
        return add(name, layers.Conv2D(kernel[3], kernel[0], stride, "same", use_bias=False), x)

    x = start = keras.Input(inputs.shape[1:])
    x = layers.ReLU(6.0)(norm(conv(x, "stem/conv", 2), "stem/bn"))
    for name, stride, kernel, expands, shortcut in blocks():
        y = x
        if expands:
            y = layers.ReLU(6.0)(norm(conv(y, name + "/expand/conv"), name + "/expand/bn"))
        y = add(name + "/depthwise/conv", layers.DepthwiseConv2D(kernel, stride, "same", use_bias=False), y)
        y = layers.ReLU(6.0)(norm(y, name + "/depthwise/bn"))
        y = norm(conv(y, name + "/project/conv"), name + "/project/bn")
        x = layers.Add()([x, y]) if shortcut else y
    x = layers.ReLU(6.0)(norm(conv(x, "head/conv"), "head/bn"))
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(start, add("classifier", layers.Dense(CLASSES), x))
    for name, layer in made.items():
        variables = {"bn": ["gamma", "beta", "moving_mean", "moving_variance"], "conv": ["kernel"]}
        layer.set_weights([weights[f"{name}/{v}"] for v in variables.get(name.split("/")[-1], ["kernel", "bias"])])

    return keras_step(model, inputs)


def keras_file(subject, inputs):
    """The same of a network in a file of Keras's own."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(subject["threads"])
    tf.config.threading.set_inter_op_parallelism_threads(1)
    return keras_step(keras.models.load_model(subject["file"]), inputs)


def keras_step(model, inputs):
    import keras
    import tensorflow as tf

    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.AdamW(LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    optimizer.build(model.trainable_variables)

    @tf.function
    def compiled(x, y):
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x, training=False))  # stored statistics
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    x, y = tf.constant(inputs), tf.constant(labels(len(inputs)))
    return f"Keras {keras.__version__} on TensorFlow {tf.__version__}", lambda: compiled(x, y).numpy().reshape(1)
