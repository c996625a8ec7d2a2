"""Calls a service as gRPC's own clients do: health, reflection, a stream of tritonclient, unknown methods.

Arguments: host:port, a picture, the class of the picture.
"""

import queue
import sys

import grpc
import numpy as np
import tritonclient.grpc as triton
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

url, picture, label = sys.argv[1], open(sys.argv[2], "rb").read(), sys.argv[3]
checks = 0


def check(what, holds):
    global checks
    checks += 1
    if not holds:
        sys.exit(f"{what}: not as it should be")


def code(call):
    try:
        call()
    except grpc.RpcError as e:
        return e.code()
    return grpc.StatusCode.OK


with grpc.insecure_channel(url) as channel:
    health = health_pb2_grpc.HealthStub(channel)
    serving = health_pb2.HealthCheckResponse.SERVING
    for name in "", "clothing", "inference.GRPCInferenceService":
        check(f"health of {name!r}", health.Check(health_pb2.HealthCheckRequest(service=name)).status == serving)
    check("unknown health", code(lambda: health.Check(health_pb2.HealthCheckRequest(service="hats"))) == grpc.StatusCode.NOT_FOUND)
    watch = health.Watch(health_pb2.HealthCheckRequest(service="clothing"))
    check("watch", next(watch).status == serving)
    watch.cancel()

    database = ProtoReflectionDescriptorDatabase(channel)
    services = list(database.get_services())
    check(f"services {services}", {"inference.GRPCInferenceService", "grpc.health.v1.Health"} <= set(services))
    pool = DescriptorPool(database)
    for name in services:
        if not name.startswith("grpc.reflection"):
            check(f"descriptor of {name}", pool.FindServiceByName(name).methods)

    for path in "/inference.GRPCInferenceService/Nothing", "/some.Service/Call":
        check(path, code(lambda: channel.unary_unary(path)(b"")) == grpc.StatusCode.UNIMPLEMENTED)


def request(data):
    tensor = triton.InferInput("picture", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([data], np.object_))
    return [tensor]


answers = queue.Queue()
client = triton.InferenceServerClient(url)
client.start_stream(lambda result, error: answers.put((result, error)))
for name, data in ("good", picture), ("bad", b"no picture"), ("again", picture):
    client.async_stream_infer("clothing", request(data), request_id=name, enable_empty_final_response=True)
    result, error = answers.get(timeout=60)
    if name == "bad":
        check(f"{name}: {error}", error is not None and "not a picture" in str(error))
        continue
    check(f"{name}: {error}", error is None and result.get_response().id == name)
    check(name, result.as_numpy("class")[0].decode() == label)
    check(f"{name}, the last", result.get_response().parameters["triton_final_response"].bool_param)
client.stop_stream()

memory = triton.InferRequestedOutput("class")
memory.set_shared_memory("region", 100)
try:
    client.infer("clothing", request(picture), outputs=[memory])
    sys.exit("shared memory is ignored")
except triton.InferenceServerException as e:
    check(f"shared memory: {e}", "shared memory" in e.message())
client.close()
print(f"{checks} checks, all right")
