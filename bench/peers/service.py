"""The common way to serve a network: FastAPI, ONNX Runtime and Pillow.

    python service.py WEIGHTS.safetensors PORT [--tuned]

It answers POST /classify, with a picture as the body, by the five most probable of the ImageNet
classes, on 127.0.0.1. GET /ready answers once it can. As its documentation shows it: one process,
pictures in FastAPI's pool of threads, ONNX Runtime's own choice of threads. --tuned: a process for
each core, each with one thread for the network.
"""

import io
import os
import sys

SIDE = 224


def make():
    """Returns the application of one process."""
    import numpy as np
    import onnxruntime
    from fastapi import FastAPI, Request
    from fastapi.concurrency import run_in_threadpool
    from PIL import Image

    from onnx_networks import build
    from worker import read_weights

    options = onnxruntime.SessionOptions()
    if "GARB_BENCH_TUNED" in os.environ:
        options.intra_op_num_threads = 1
    model = build("efficientnet-lite0", read_weights(os.environ["GARB_BENCH_WEIGHTS"]), SIDE, 1)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def answer(data):
        picture = Image.open(io.BytesIO(data))
        picture.draft("RGB", (SIDE * 3 // 2, SIDE * 3 // 2))
        levels = np.asarray(picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float32)
        values = ((levels - 127) / 128).transpose(2, 0, 1)[None]
        logits = session.run(None, {"input": np.ascontiguousarray(values)})[0][0]
        p = np.exp(logits - logits.max())
        p /= p.sum()
        best = np.argsort(-p)[:5]
        return [{"index": int(i), "probability": float(p[i])} for i in best]

    app = FastAPI()

    @app.get("/ready")
    async def ready():
        return "ready"

    @app.post("/classify")
    async def classify(request: Request):
        return await run_in_threadpool(answer, await request.body())

    return app


if __name__ == "__main__":
    try:
        import fastapi  # noqa: F401
        import uvicorn
    except ImportError as e:
        print(f"{e}: pip install fastapi uvicorn", file=sys.stderr)
        sys.exit(3)
    os.environ["GARB_BENCH_WEIGHTS"] = sys.argv[1]
    workers = 1
    if "--tuned" in sys.argv:
        os.environ["GARB_BENCH_TUNED"] = "1"
        workers = len(os.sched_getaffinity(0))
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    uvicorn.run("service:make", factory=True, host="127.0.0.1", port=int(sys.argv[2]), workers=workers, log_level="warning", access_log=False)
