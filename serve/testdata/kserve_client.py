"""Calls a service with KServe's client: its protocols v1 and v2 over REST, and gRPC.

Arguments: host:port, a picture, its class, the classes.
"""

import asyncio
import base64
import sys

import grpc
import httpx
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig

url, picture, label, classes = sys.argv[1], open(sys.argv[2], "rb").read(), sys.argv[3], sys.argv[4].split(",")
base = f"http://{url}"
text = base64.b64encode(picture).decode()
checks = 0


def check(what, holds):
    global checks
    checks += 1
    if not holds:
        sys.exit(f"{what}: not as it should be")


async def status(call):
    try:
        await call
    except httpx.HTTPStatusError as e:
        print(e)
        return e.response.status_code
    return 200


async def v1():
    client = InferenceRESTClient(RESTConfig(protocol="v1"))
    check("v1 live", await client.is_server_live(base))
    check("v1 ready", await client.is_model_ready(base, "clothing") is True)
    check("v1 unknown", await status(client.is_model_ready(base, "hats")) == 404)
    instances = {"instances": [{"b64": text}]}
    row = (await client.infer(base, instances, model_name="clothing"))["predictions"][0]
    check("v1 predict", classes[row.index(max(row))] == label)
    explanation = (await client.explain(base, "clothing", instances))["explanations"][0]
    check("v1 explain", explanation["class"] == label and explanation["explanation"].startswith("data:image/png"))
    check("v1 refused", await status(client.infer(base, {"instances": [1]}, model_name="clothing")) == 400)
    await client.close()


def request(binary):
    tensor = InferInput("picture", [1], "BYTES", [text])
    if binary:
        tensor = InferInput("picture", [1], "BYTES")
        tensor._raw_data = len(picture).to_bytes(4, "little") + picture
        tensor.parameters = {"binary_data_size": len(picture) + 4}
    return InferRequest("clothing", [tensor])


def found(response):
    output = next(o for o in response.outputs if o.name == "class")
    value = output.data[0] if output.data else output.as_numpy()[0]
    return value.decode() if isinstance(value, bytes) else value


async def v2():
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    check("v2 live", await client.is_server_live(base))
    check("v2 ready", await client.is_server_ready(base))
    check("v2 model", await client.is_model_ready(base, "clothing"))
    check("v2 unknown", not await client.is_model_ready(base, "hats"))
    for binary in False, True:
        check(f"v2 infer, {binary}", found(await client.infer(base, request(binary), model_name="clothing")) == label)
    check("v2 another name", await status(client.infer(base, request(False), model_name="hats")) == 404)
    await client.close()


async def v2_grpc():
    client = InferenceGRPCClient(url, retries=0)
    check("grpc live", await client.is_server_live())
    check("grpc ready", await client.is_server_ready())
    check("grpc model", await client.is_model_ready("clothing"))
    tensor = InferInput("picture", [1], "BYTES", [picture])
    check("grpc infer", found(await client.infer(InferRequest("clothing", [tensor]))) == label)
    try:
        await client.infer(InferRequest("hats", [tensor]))
        sys.exit("an unknown model was found")
    except grpc.RpcError as e:
        check("grpc unknown", e.code() == grpc.StatusCode.NOT_FOUND)
    await client.close()


asyncio.run(v1())
asyncio.run(v2())
asyncio.run(v2_grpc())
print(f"{checks} checks, all right")
