"""Print what two programs' answers (JSON lines) must have in common, to compare them bit by bit."""

import json
import sys

for line in map(json.loads, sys.stdin):
    predictions = [[p["class"], p["probability"], p["logit"]] for p in line["predictions"]]
    print(line["picture"], line["accepted"], line["acceptance"], line.get("refusal"), predictions)
