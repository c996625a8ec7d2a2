"""Sums up `go test -json` from standard input.

Prints what failed with its output, each package's line, and the totals. Exits
with 1 if a test failed, if none ran, or if one was skipped for want of a
GARB_ variable: in CI all of them are set.
"""

import collections
import json
import sys


def main():
    output = collections.defaultdict(list)
    counts = collections.Counter()
    failed, unset = [], []
    for line in sys.stdin:
        if not line.startswith("{"):
            print(line, end="")  # a build's error
            continue
        event = json.loads(line)
        action, test = event["Action"], event.get("Test")
        key = (event.get("Package") or event.get("ImportPath"), test)
        if action in ("output", "build-output"):
            output[key].append(event["Output"])
            if action == "build-output":
                print(event["Output"], end="")
        elif action in ("pass", "fail", "skip"):
            text = "".join(output.pop(key, []))
            if test is None:
                counts["broken packages"] += action == "fail"
                print("".join(text.splitlines(keepends=True)[-1:]), end="")
                continue
            counts[action] += 1
            if action == "fail":
                failed.append(key)
                print(text, end="")
            elif action == "skip" and "GARB_" in text:
                unset.append(key)
                print(text, end="")
    for package, test in unset:
        print(f"skipped though CI sets what it needs: {package} {test}")
    print(f"{counts['pass']} passed, {counts['fail']} failed, {counts['skip']} skipped")
    if failed or unset or counts["broken packages"] or not counts["pass"]:
        sys.exit(1)


main()
