"""What torchvision's networks answer: python vision.py FOLDER [--files]

Each parameter is a function of its name, which vision_test.go has as well, so that
FOLDER/vision.json holds names, shapes and answers only. With --files the state dicts are
saved beside it. torchvision 0.29.2 made the committed file.
"""

import json
import os
import sys

import numpy
import torch
import torchvision

NETWORKS = {"mobilenet-v2": "mobilenet_v2", "resnet18": "resnet18", "resnet50": "resnet50"}
HEIGHT, WIDTH = 64, 75
folder, files = sys.argv[1], "--files" in sys.argv


def noise(name, shape):
    """Numbers from -1 to 1: SplitMix64 from a seed that is the FNV-1a hash of the name."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    z = numpy.arange(1, int(numpy.prod(shape)) + 1, dtype=numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15)
    z += numpy.uint64(seed)
    z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    z ^= z >> numpy.uint64(31)
    return ((z >> numpy.uint64(40)).astype(numpy.float32) / 2**23 - 1).reshape(shape)


def value(name, shape):
    u = noise(name, shape)
    if len(shape) > 1:  # of a variance that keeps that of its inputs
        return u * numpy.float32((6 / numpy.prod(shape[1:])) ** 0.5)
    if name.endswith("running_var"):
        return 1 + u / 2
    if name.endswith("weight"):
        return 0.75 + u / 4
    return u / 4


answers = []
for name, function in NETWORKS.items():
    network = getattr(torchvision.models, function)().eval()
    state = network.state_dict()
    for key, t in state.items():
        if t.is_floating_point():
            t.copy_(torch.from_numpy(numpy.asarray(value(key, t.shape))))
    picture = noise("picture", (HEIGHT, WIDTH, 3))
    inputs = torch.from_numpy(picture).permute(2, 0, 1)[None]
    features = []
    last = network.fc if hasattr(network, "fc") else network.classifier
    last.register_forward_pre_hook(lambda _, x: features.append(x[0]))
    with torch.no_grad():
        logits = network(inputs)
    answers.append(
        {
            "name": name,
            "shapes": {k: list(t.shape) for k, t in state.items()},
            "features": [float(f"{v:.6g}") for v in features[0].flatten().tolist()],
            "logits": [float(f"{v:.6g}") for v in logits.flatten().tolist()],
        }
    )
    if files:
        torch.save(state, os.path.join(folder, name + ".pth"))

with open(os.path.join(folder, "vision.json"), "w") as f:
    json.dump({"height": HEIGHT, "width": WIDTH, "networks": answers}, f, separators=(",", ":"))
