"""Makes a network with random weights, which garb and its peers compute.

    python networks.py torchvision NAME FILE.onnx
    python networks.py keras NAME FILE.keras

The statistics of its batch-norms are those of a batch of noise, so that values neither vanish
nor grow. Batches may have any size. Ends with 3, and says why, if a package is missing.
"""

import os
import sys


def torchvision(name, path):
    import torch
    import torchvision

    torch.manual_seed(1)
    network = torchvision.models.get_model(name, weights=None)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    noise = 2 * torch.rand(8, 3, 224, 224) - 1
    with torch.no_grad():
        network.train()(noise)
    torch.onnx.export(network.eval(), (noise,), path, dynamo=False, input_names=["input"], output_names=["logits"],
                      dynamic_axes={"input": {0: "n"}, "logits": {0: "n"}})


def keras(name, path):
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras
    import numpy

    keras.utils.set_random_seed(1)
    network = getattr(keras.applications, name)(weights=None, input_shape=(224, 224, 3), classifier_activation=None)
    norms = [l for l in network.layers if isinstance(l, keras.layers.BatchNormalization)]
    momentum = [l.momentum for l in norms]
    for layer in norms:
        layer.momentum = 0.0
    for layer in network.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    network(numpy.random.default_rng(1).uniform(-1, 1, (8, 224, 224, 3)).astype("float32"), training=True)
    for layer, m in zip(norms, momentum):
        layer.momentum = m
    network.save(path)


try:
    {"torchvision": torchvision, "keras": keras}[sys.argv[1]](*sys.argv[2:])
except ImportError as e:
    print(e, file=sys.stderr)
    sys.exit(3)
