"""Calls a service with TensorFlow Serving's client, and compares its answers with those of Keras.

    tensorflow_client.py make FILE
    tensorflow_client.py call HOST:PORT FILE PICTURE CLASSES

The first makes a model with the shapes and names of the course's; the second calls a service that serves it
as clothing-model. The function predict is what the course's gateway does.
"""

import json
import sys
import urllib.request

import grpc
import keras
import numpy as np
import tensorflow as tf
from PIL import Image
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

NAME, INPUT, OUTPUT, SIZE = "clothing-model", "input_8", "dense_7", 299
checks = 0


def check(what, holds):
    global checks
    checks += 1
    if not holds:
        sys.exit(f"{what}: not as it should be")


def make(path):
    keras.utils.set_random_seed(1)
    x = inputs = keras.Input((SIZE, SIZE, 3), name=INPUT)
    x = keras.layers.Conv2D(16, 5, strides=4, activation="relu", name="conv")(x)
    x = keras.layers.Conv2D(32, 3, strides=4, activation="relu", name="conv_2")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dense(100, activation="relu", name="dense_6")(x)
    keras.Model(inputs, keras.layers.Dense(10, name=OUTPUT)(x)).save(path)


def preprocess(path):
    """Returns a picture as the course's package for it does: values from -1 to 1, in a batch of one."""
    image = Image.open(path).convert("RGB").resize((SIZE, SIZE), Image.Resampling.NEAREST)
    return np.asarray(image, dtype="float32")[np.newaxis] / 127.5 - 1


def request(tensors, name=NAME, signature="serving_default"):
    q = predict_pb2.PredictRequest()
    q.model_spec.name, q.model_spec.signature_name = name, signature
    for key, value in tensors.items():
        q.inputs[key].CopyFrom(value)
    return q


def predict(stub, x, classes):
    q = request({INPUT: tf.make_tensor_proto(x, shape=x.shape)})
    result = stub.Predict(q, timeout=20.0)
    return dict(zip(classes, result.outputs[OUTPUT].float_val, strict=True))


def code(call, *arguments):
    try:
        call(*arguments, timeout=20.0)
    except grpc.RpcError as e:
        print(e.code(), e.details())
        return e.code()
    return grpc.StatusCode.OK


def check_predict(stub, model, x, picture, classes):
    want = np.asarray(model(x))
    tolerance = 1e-4 * np.abs(want).max()
    scores = predict(stub, x, classes)
    largest = np.abs(np.array(list(scores.values())) - want[0]).max()
    print(f"predict: garb and Keras differ by {largest:.1e}, of logits up to {np.abs(want).max():.2f}")
    check("predict", list(scores) == classes and largest <= tolerance)

    def logits(tensor, **options):
        outputs = stub.Predict(request({"any name": tensor}, **options), timeout=20.0).outputs
        return tf.make_ndarray(outputs[OUTPUT])

    batch = np.concatenate([x, -x, x / 2])
    got = logits(tf.make_tensor_proto(batch))
    check("a batch", got.shape == (3, 10) and np.abs(got - np.asarray(model(batch))).max() <= tolerance)
    for dtype in tf.float64, tf.float16, tf.bfloat16, tf.int8, tf.uint8, tf.int16, tf.uint16, tf.int32, tf.int64:
        ones = np.ones((1, SIZE, SIZE, 3), dtype.as_numpy_dtype)
        got = logits(tf.make_tensor_proto(ones, dtype=dtype))
        check(dtype.name, np.abs(got - np.asarray(model(np.ones_like(x)))).max() <= tolerance)
    for dtype, field in (tf.uint8, "int_val"), (tf.int64, "int64_val"), (tf.float32, "float_val"):
        tensor = tf.make_tensor_proto(np.ones((1, SIZE, SIZE, 3)), dtype=dtype)
        tensor.ClearField("tensor_content")
        getattr(tensor, field).extend([1] * SIZE * SIZE * 3)
        check(field, np.abs(logits(tensor) - np.asarray(model(np.ones_like(x)))).max() <= tolerance)
    got = logits(tf.make_tensor_proto([picture]), signature="serving_pictures")
    check("a picture", got.shape == (1, 10))
    check("a picture, under the default signature", np.array_equal(got, logits(tf.make_tensor_proto([picture]))))


def check_rest(url, model, x):
    def call(path, body=None):
        q = urllib.request.Request(f"http://{url}/v1/models/{NAME}{path}", body and json.dumps(body).encode())
        return json.load(urllib.request.urlopen(q, timeout=20))

    want = np.asarray(model(x))
    got = call(":predict", {"signature_name": "serving_default", "instances": x.tolist()})["predictions"]
    check("REST", np.abs(np.array(got) - want).max() <= 1e-4 * np.abs(want).max())
    got = call(":predict", {"inputs": {INPUT: x.tolist()}})["outputs"]
    check("REST by columns", np.abs(np.array(got) - want).max() <= 1e-4 * np.abs(want).max())
    signature = call("/metadata")["metadata"]["signature_def"]["signature_def"]["serving_default"]
    check("REST metadata", [*signature["inputs"]] == [INPUT] and [*signature["outputs"]] == [OUTPUT])


def check_metadata(stub, models):
    q = get_model_metadata_pb2.GetModelMetadataRequest()
    q.model_spec.name = NAME
    check("no field", code(stub.GetModelMetadata, q) == grpc.StatusCode.INVALID_ARGUMENT)
    q.metadata_field.append("signature_def")
    a = stub.GetModelMetadata(q, timeout=20.0)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    check("the type of metadata", a.metadata["signature_def"].Unpack(signatures))
    signature = signatures.signature_def["serving_default"]
    shape = [d.size for d in signature.inputs[INPUT].tensor_shape.dim]
    check("metadata", shape == [-1, SIZE, SIZE, 3] and [*signature.outputs] == [OUTPUT])
    check("the version", a.model_spec.version.value == 1)
    q = get_model_status_pb2.GetModelStatusRequest()
    q.model_spec.name = NAME
    (status,) = models.GetModelStatus(q, timeout=20.0).model_version_status
    available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
    check("status", (status.version, status.state, status.status.error_code) == (1, available, 0))
    q.model_spec.name = "hats"
    check("status of no model", code(models.GetModelStatus, q) == grpc.StatusCode.NOT_FOUND)


def check_classify(stub, picture, classes):
    q = classification_pb2.ClassificationRequest()
    q.model_spec.name = NAME
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[picture]))
    example = tf.train.Example(features=tf.train.Features(feature={"image/encoded": feature}))
    q.input.example_list.examples.append(example)
    (result,) = stub.Classify(q, timeout=20.0).result.classifications
    check("labels", [c.label for c in result.classes] == classes)
    check("scores", abs(sum(c.score for c in result.classes) - 1) < 1e-5)


def check_errors(stub, models, x):
    tensor = tf.make_tensor_proto(x)
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    check("no such model", code(stub.Predict, request({INPUT: tensor}, name="hats")) == grpc.StatusCode.NOT_FOUND)
    check("no such signature", code(stub.Predict, request({INPUT: tensor}, signature="x")) == invalid)
    check("two inputs", code(stub.Predict, request({INPUT: tensor, "b": tensor})) == invalid)
    check("another shape", code(stub.Predict, request({INPUT: tf.make_tensor_proto(x[:, :9])})) == invalid)
    check("another type", code(stub.Predict, request({INPUT: tf.make_tensor_proto(x > 0)})) == invalid)
    q = request({INPUT: tensor})
    q.output_filter.append("x")
    check("no such output", code(stub.Predict, q) == invalid)
    q = request({INPUT: tensor})
    q.predict_streamed_options.request_state = predict_pb2.PredictStreamedOptions.SPLIT
    check("a stream", code(stub.Predict, q) == invalid)
    regression = regression_pb2.RegressionRequest()
    regression.input.example_list.examples.append(tf.train.Example())
    for call, q in (
        (stub.Regress, regression),
        (stub.MultiInference, inference_pb2.MultiInferenceRequest()),
        (models.HandleReloadConfigRequest, model_management_pb2.ReloadConfigRequest()),
    ):
        check("what is not supported", code(call, q) == grpc.StatusCode.UNIMPLEMENTED)


def main(url, path, picture, classes):
    model = keras.models.load_model(path, compile=False)
    x, data = preprocess(picture), open(picture, "rb").read()
    with grpc.insecure_channel(url) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        models = model_service_pb2_grpc.ModelServiceStub(channel)
        check_predict(stub, model, x, data, classes)
        check_metadata(stub, models)
        check_classify(stub, data, classes)
        check_errors(stub, models, x)
    check_rest(url, model, x)
    print(f"{checks} checks, all right")


if sys.argv[1] == "make":
    make(sys.argv[2])
else:
    main(*sys.argv[2:5], sys.argv[5].split(","))
