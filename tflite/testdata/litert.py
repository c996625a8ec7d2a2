"""Runs TensorFlow Lite models in LiteRT on one thread, with the delegates that it takes by itself.

    litert.py FOLDER

For each NAME.tflite it reads NAME.input, values of the model's input for some pictures, and
lets the model answer for the first picture alone and for all of them as a batch. What it
finds is printed as JSON: for each model its answers by the names of the outputs, how many
parts of it XNNPACK computes, and which classes the file names.
"""

import importlib.metadata
import json
import pathlib
import sys
import zipfile

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType


def parts(interpreter):
    """The number of an interpreter's nodes that a delegate computes in place of others."""
    return sum(node["op_name"] == "DELEGATE" for node in interpreter._get_ops_details())


def answers(interpreter, pictures):
    """All outputs for pictures, by the signature's names."""
    runner = interpreter.get_signature_runner("serving_default")
    (name,) = runner.get_input_details()
    given = runner(**{name: pictures})
    return {key: value.astype("float64").ravel().tolist() for key, value in given.items()}


models = {}
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.tflite")):
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    (declared,) = interpreter.get_input_details()
    assert declared["shape"][0] == 1 and declared["shape_signature"][0] == -1, declared
    pictures = np.fromfile(path.with_suffix(".input"), declared["dtype"]).reshape((-1, *declared["shape"][1:]))
    single = answers(interpreter, pictures[:1])
    plain = Interpreter(str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    plain.allocate_tensors()
    assert parts(plain) == 0, "a delegate although there should be none"
    models[path.stem] = {"parts": parts(interpreter), "single": single, "batch": answers(interpreter, pictures), "labels": []}
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None and archive.namelist() == ["labels.txt"], archive.namelist()
            models[path.stem]["labels"] = archive.read("labels.txt").decode().splitlines()
json.dump({"version": importlib.metadata.version("ai-edge-litert"), "models": models}, sys.stdout)
