"""Exports networks of torchvision with random weights, for TestTorchvisionModels.

    python torchvision_models.py FOLDER script|dynamo NAME:SIDE...

FOLDER gets each network by one of PyTorch's exporters, for batches of any size, and
models-EXPORTER.json: what PyTorch answers for two pictures of SIDE pixels a side. Weights are
those of a fresh network; batch-norms get statistics, so that no layer is without effect.
"""

import json
import logging
import os
import sys
import warnings

import torch
import torchvision
from torch import nn

from torch_modules import export

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)


def network(name):
    torch.manual_seed(1)
    options = {"aux_logits": False, "init_weights": True} if name in ("googlenet", "inception_v3") else {}
    module = getattr(torchvision.models, name)(num_classes=10, **options).eval()
    for m in module.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.running_mean.normal_(0, 0.1)
            m.running_var.uniform_(0.5, 1.5)
    return module


def main(folder, exporter, names):
    rows = []
    for name in names:
        name, side = name.split(":")
        module, side = network(name), int(side)
        pictures = torch.randn(2, 3, side, side)
        with torch.no_grad():
            answers = module(pictures)
        path = os.path.join(folder, f"{name}-{exporter}.onnx")
        export(module, pictures, path, exporter == "dynamo", True, False)
        rows.append({"dynamo": exporter == "dynamo", "file": path, "pixels": pictures.permute(0, 2, 3, 1).flatten().tolist(),
                     "answer": answers.flatten().tolist(), "operators": [name]})
    with open(os.path.join(folder, f"models-{exporter}.json"), "w") as f:
        json.dump(rows, f)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
