"""Exports networks of torchvision and timm with random weights, for TestTorchvisionModels.

    python torchvision_models.py FOLDER script|dynamo NAME:SIDE...

FOLDER gets each network by one of PyTorch's exporters, for batches of any size, and
models-EXPORTER.json: two pictures of SIDE pixels a side for each.
"""

import json
import logging
import os
import sys
import warnings

import torch

from torch_modules import export, network

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)


def main(folder, exporter, names):
    rows = []
    for name in names:
        name, side = name.split(":")
        side = int(side)
        module, pictures = network(name, side), torch.randn(2, 3, side, side)
        path = os.path.join(folder, f"{name}-{exporter}.onnx")
        export(module, pictures, path, exporter == "dynamo", True, False)
        rows.append({"dynamo": exporter == "dynamo", "file": path, "pixels": pictures.permute(0, 2, 3, 1).flatten().tolist(),
                     "side": side, "operators": [name]})
    with open(os.path.join(folder, f"models-{exporter}.json"), "w") as f:
        json.dump(rows, f)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
