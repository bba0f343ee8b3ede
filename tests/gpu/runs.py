#!/usr/bin/env python3
"""Compares run folders that `athanor train` left.

    runs.py same RUN RUN …              the weights have the same bits
    runs.py near RUN RUN TOLERANCE [N]  the losses differ by at most TOLERANCE, relative, step by step or in means of N
    runs.py alike RUN RUN               the losses of the first 5 steps differ by at most 1e-4, of all by at most 5e-2
    runs.py falls RUN                   the loss fell, and no number is bad
    runs.py speeds FILE …               a table from the JSON lines of benchmarks

Exit code 0: so it is. The last line says what was seen.
"""

import json
import math
import sys
from pathlib import Path


def summary(run):
    return json.loads((Path(run) / "summary.json").read_text())


def losses(run):
    lines = map(json.loads, (Path(run) / "metrics.jsonl").read_text().splitlines())
    return {line["step"]: line["loss"] for line in lines if line.get("kind") == "train"}


def same(*runs):
    hashes = [summary(run)["weights_sha256"] for run in runs]
    steps = [summary(run)["steps"] for run in runs]
    print(f"note: {len(runs)} runs of {steps[0]} steps, weights {', '.join(sorted({h[:12] for h in hashes}))}")
    return len(set(hashes)) == 1 and len(set(steps)) == 1


def near(first, second, tolerance, window=1):
    one, other = losses(first), losses(second)
    steps, window = sorted(one.keys() & other.keys()), int(window)
    worst, where = 0.0, 0
    for i in range(0, len(steps) - window + 1, window):
        part = steps[i : i + window]
        a, b = (sum(values[step] for step in part) / window for values in (one, other))
        print(part[-1], a, b)
        if not abs(a - b) / abs(a) <= worst:
            worst, where = abs(a - b) / abs(a), part[-1]
    print(f"note: {len(steps)} steps, the losses differ by {worst:.2e} at most (step {where})")
    return len(one) == len(other) == len(steps) > 0 and worst <= float(tolerance)


def alike(first, second):
    # Rounding alone, and what training makes of it: it doubles with every step at this rate until it is as large as the
    # noise of the batches (PyTorch's own float32 leaves its float64 by 7e-2 in 20 steps of such a network).
    one, other = losses(first), losses(second)
    far = {step: abs(one[step] - other[step]) / abs(one[step]) for step in one.keys() & other.keys()}
    start = max((far[step] for step in far if step <= 5), default=math.inf)
    print(f"note: {len(far)} steps, the losses differ by {start:.1e} in 5, by {max(far.values(), default=math.inf):.1e} in all")
    return len(one) == len(other) == len(far) > 0 and start <= 1e-4 and max(far.values()) <= 5e-2


def falls(run):
    values = [loss for _, loss in sorted(losses(run).items())]
    tenth = max(1, len(values) // 10)
    start, end = sum(values[:tenth]) / tenth, sum(values[-tenth:]) / tenth
    skipped = summary(run).get("skipped_steps", 0)
    print(f"note: loss {start:.4f} -> {end:.4f} in {len(values)} steps, {skipped} of them skipped")
    return all(map(math.isfinite, values[-tenth:])) and end < 0.9 * start


def speeds(*files):
    rows = []
    for file in files:
        for text in Path(file).read_text().splitlines():
            if not text.startswith("{"):
                continue
            line = json.loads(text)
            if "peer" in line:
                rate, step = line.get("images_per_s"), line.get("step_ms")
                rows.append((f"torch {line['model']} {line['mode']}", line["batch"], line["precision"], rate, step,
                             line.get("peak_bytes"), line.get("error", "")))
            else:
                rows.append((f"athanor {line['recipe']}", line["batch"], line["precision"],
                             line["images_per_s"]["median"], line["step_ms"]["median"], line.get("memory_plan_bytes"), ""))
    print(f"{'what':<34}{'batch':>6}  {'type':<5}{'images/s':>10}{'ms':>9}{'GB':>7}")
    for what, batch, kind, rate, step, memory, error in rows:
        numbers = f"{rate:10.0f}{step:9.3f}{(memory or 0) / 1e9:7.2f}" if rate else f"  {error}"
        print(f"{what:<34}{batch:6}  {kind:<5}{numbers}")
    return bool(rows)


if __name__ == "__main__":
    checks = {check.__name__: check for check in (same, near, alike, falls, speeds)}
    if len(sys.argv) < 3 or sys.argv[1] not in checks:
        sys.exit(__doc__)
    sys.exit(0 if checks[sys.argv[1]](*sys.argv[2:]) else 1)
