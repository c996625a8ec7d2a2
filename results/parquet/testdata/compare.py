"""Compares Parquet files of garb with the JSON lines of the same rows, read by pyarrow."""
import json
import pathlib
import sys

import numpy
import pyarrow
import pyarrow.parquet

folder = pathlib.Path(sys.argv[1])


def prune(value):
    """Removes nulls and empty lists, which the JSON lines omit."""
    if isinstance(value, dict):
        return {k: prune(v) for k, v in value.items() if v is not None and v != []}
    if isinstance(value, list):
        return [prune(v) for v in value]
    return value


def shorten(value):
    """Gives numbers that are float32 the shortest text, as JSON has them."""
    return float(str(numpy.float32(value)))


for name in "answers", "embeddings":
    table = pyarrow.parquet.read_table(folder / f"{name}.parquet")
    rows = [prune(row) for row in table.to_pylist()]
    for row in rows:
        for prediction in row.get("predictions", []):
            prediction["logit"] = shorten(prediction["logit"])
        if "embedding" in row:
            row["embedding"] = [shorten(v) for v in row["embedding"]]
    lines = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
    if rows != lines:
        sys.exit(f"{name}: Parquet has\n{rows}\nand JSON has\n{lines}")
    metadata = table.schema.metadata
    if metadata[b"garb.kind"] != name.encode() or metadata[b"garb.digest"] != b"sha256:12":
        sys.exit(f"{name}: metadata {metadata}")
    print(f"pyarrow {pyarrow.__version__}: {name} equal: {table.schema.names}")
schema = pyarrow.parquet.read_schema(folder / "embeddings.parquet")
if schema.field("embedding").type.value_type != pyarrow.float32():
    sys.exit(f"embeddings have type {schema.field('embedding').type}")
