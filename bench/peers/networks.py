"""Makes a network with random weights, which garb and its peers compute.

    python networks.py torchvision NAME FILE.onnx SIDE [dynamo]
    python networks.py keras NAME FILE.keras SIDE

Of PyTorch's two exporters the older writes the file, or the one that dynamo names.

The statistics of its batch-norms are those of a batch of noise, so that values neither vanish
nor grow. Batches may have any size. Ends with 3, and says why, if a package is missing.
"""

import os
import sys


def torchvision(name, path, side, exporter=""):
    import torch
    import torchvision

    torch.manual_seed(1)
    network = torchvision.models.get_model(name, weights=None, **({"init_weights": True} if name in ("googlenet", "inception_v3") else {}))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    noise = 2 * torch.rand(8, 3, int(side), int(side)) - 1
    with torch.no_grad():
        network.train()(noise)
    names = dict(input_names=["input"], output_names=["logits"])
    if exporter == "dynamo":
        torch.onnx.export(network.eval(), (noise,), path, dynamo=True, external_data=False, dynamic_shapes=({0: torch.export.Dim("n")},), **names)
    else:
        torch.onnx.export(network.eval(), (noise,), path, dynamo=False, dynamic_axes={"input": {0: "n"}, "logits": {0: "n"}}, **names)


def keras(name, path, side):
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras
    import numpy

    keras.utils.set_random_seed(1)
    side = int(side)
    network = getattr(keras.applications, name)(weights=None, input_shape=(side, side, 3), classifier_activation=None)
    norms = [l for l in network.layers if isinstance(l, keras.layers.BatchNormalization)]
    momentum = [l.momentum for l in norms]
    for layer in norms:
        layer.momentum = 0.0
    for layer in network.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    network(numpy.random.default_rng(1).uniform(-1, 1, (8, side, side, 3)).astype("float32"), training=True)
    for layer, m in zip(norms, momentum):
        layer.momentum = m
    network.save(path)


try:
    {"torchvision": torchvision, "keras": keras}[sys.argv[1]](*sys.argv[2:])
except ImportError as e:
    print(e, file=sys.stderr)
    sys.exit(3)
