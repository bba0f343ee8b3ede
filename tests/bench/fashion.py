"""ResNet-20 on Fashion-MNIST, the same recipe in both programs: how long ten epochs take, and what comes of them."""

import json
import os
import statistics
import subprocess
import tempfile
from pathlib import Path

from contenders import PEERS, NotMeasured, last_line, run_for_json, torch_environment
from table import number, table_text

RECIPE = Path(__file__).resolve().parents[2] / "configs" / "fashion-mnist" / "resnet20.yaml"
HEAD = ["program", "training s", "ratio", "test accuracy", "seeds"]


def add_arguments(parser):
    group = parser.add_argument_group("fashion")
    group.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    group.add_argument("--epochs", type=int, default=10)
    group.add_argument("--data", type=Path, help="the four files of Fashion-MNIST ($ATHANOR_DATA/fashion-mnist)")
    group.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="of our recipe")


def train_ours(settings, data, seed):
    """Seconds of the steps, without evaluations, and the last accuracy."""
    with tempfile.TemporaryDirectory() as folder:
        answer, code, error = run_for_json(
            [settings.program, "train", str(RECIPE), f"data.path={data}", f"train.seed={seed}",
             f"train.epochs={settings.epochs}", *settings.set, "--run", f"{folder}/run", "--json"])
        if answer is None:
            raise NotMeasured(f"exit code {code}: {error}")
        lines = map(json.loads, (Path(folder) / "run" / "metrics.jsonl").read_text().splitlines())
        seconds = sum(line["step_ms"] + line["data_wait_ms"] for line in lines if line["kind"] == "train") / 1e3
    return {"seconds": seconds, "accuracy": answer["accuracy"]}


def train_theirs(settings, data, seed, style):
    command = [settings.python, str(PEERS / "torch_fashion.py"), str(data), "--epochs", str(settings.epochs), "--seed",
               str(seed), "--threads", str(settings.cores), "--style", style]
    done = subprocess.run(command, capture_output=True, text=True,
                          env=torch_environment(settings.cores, settings.cache))
    if done.returncode != 0:
        raise NotMeasured(last_line(done.stderr))
    return json.loads(last_line(done.stdout))


def rows_of(runs):
    """`runs`: for each program its runs, seed by seed; ours first. Ratios are of the medians of the seconds."""
    medians = {name: statistics.median(run["seconds"] for run in seeds) for name, seeds in runs.items()}
    ours = next(iter(medians.values()))
    rows = []
    for name, seeds in runs.items():
        accuracy = statistics.median(run["accuracy"] for run in seeds)
        each = ", ".join(f"{run['seconds']:.0f} s {100 * run['accuracy']:.2f} %" for run in seeds)
        rows.append([name, number(medians[name], 1), number(ours / medians[name], 2), f"{100 * accuracy:.2f} %", each])
    return rows


def compare(settings, tell):
    """All programs in turns, seed by seed; prints the table."""
    data = settings.data or Path(os.environ.get("ATHANOR_DATA", "data")) / "fashion-mnist"
    programs = {"Athanor": lambda seed: train_ours(settings, data, seed)}
    for style in ("eager", "compiled"):
        programs[f"PyTorch {style}"] = lambda seed, style=style: train_theirs(settings, data, seed, style)
    runs = {name: [] for name in programs}
    for seed in settings.seeds:
        for name, train in programs.items():
            try:
                runs[name].append({"seed": seed} | train(seed))
            except NotMeasured as reason:
                tell(f"{name}, seed {seed}: {reason}")
                return [{"program": name, "error": str(reason)}]
            tell(f"{name}, seed {seed}: {runs[name][-1]['seconds']:.1f} s, {100 * runs[name][-1]['accuracy']:.2f} %")
    print(table_text(HEAD, rows_of(runs)))
    return [{"program": name, "runs": seeds} for name, seeds in runs.items()]
