"""Checks an ONNX model and runs it on one input, alone and three times as a batch.

    run.py MODEL INPUT

It prints the logits and probabilities of all four answers, and the metadata, as JSON.
"""

import json
import sys

import numpy as np
import onnx
import onnxruntime

model, values = sys.argv[1:]
onnx.checker.check_model(model, full_check=True)
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
(declared,) = session.get_inputs()
_, height, width, channels = declared.shape
picture = np.fromfile(values, np.uint8 if declared.type == "tensor(uint8)" else np.float32).reshape(1, height, width, channels)
logits, probabilities = [], []
for batch in (picture, np.repeat(picture, 3, 0)):
    answer = session.run(["logits", "probabilities"], {declared.name: batch})
    logits += answer[0].tolist()
    probabilities += answer[1].tolist()
json.dump({"logits": logits, "probabilities": probabilities, "metadata": session.get_modelmeta().custom_metadata_map}, sys.stdout)
