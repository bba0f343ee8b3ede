"""A row of the fault table: a function of a Bench, registered under its name. `run` runs one."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

from hosts import ROOT
from job import Failed, LaunchJob, Skipped, SlurmJob, wait_until

ROWS = {}

STEPS, EVERY_STEPS = 160, 20

RECIPE = """\
name: small
data: {data}
model: {{name: cifar_resnet, depth: 8, width: 8, classes: 10}}
train: {{epochs: 0, max_steps: {steps}, batch: 128, shards: 4, shard_threads: 1}}
eval: {{every_epochs: 0}}
optimizer: {{name: sgd, lr: 0.05, momentum: 0.9}}
checkpoint: {{every_steps: {every}, keep: 4}}
watchdog: {{timeout_s: 8}}
"""


class Row:
    def __init__(self, function, deadline_s, is_long):
        self.function = function
        self.deadline_s = deadline_s
        self.is_long = is_long


def row(name, deadline_s=120, is_long=False):
    """Registers a row; `deadline_s` is what ctest gives it, `is_long`: only with --all."""
    def register(function):
        ROWS[name] = Row(function, deadline_s, is_long)
        return function
    return register


def rows_under(launchers, topic, long_under=(), **options):
    """Registers one function for several ways to start a job: {launcher: kind of Job} gives LAUNCHER.TOPIC. `long_under`:
    launchers under which it is left to --all."""
    def register(function):
        for launcher, kind in launchers.items():
            def bound(bench, kind=kind):
                function(bench, kind)
            row(f"{launcher}.{topic}", is_long=launcher in long_under, **options)(bound)
        return function
    return register


BOTH = {"slurm": SlurmJob, "mpirun": LaunchJob}


def real_data():
    """The folder of Fashion-MNIST, or None."""
    for folder in (os.environ.get("ATHANOR_DATA"), ROOT.parent / "shared/data"):
        if folder and (Path(folder) / "fashion-mnist").is_dir():
            return Path(folder).resolve() / "fashion-mnist"
    return None


def recipe_text(data=None, steps=STEPS):
    folder = data or real_data()
    source = (f"{{name: fashion_mnist, path: {folder}}}" if folder
              else "{name: glyphs, train_size: 4096, test_size: 512, side: 28}")
    return RECIPE.format(data=source, steps=steps, every=EVERY_STEPS)


class Bench:
    """What a row works with: the cluster, a folder that all hosts see, the recipe, and what an undisturbed run gives."""

    def __init__(self, cluster, name):
        self.cluster = cluster
        self.home = cluster.folder / "rows" / name
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        self.recipe = self.home / "recipe.yaml"
        self.recipe.write_text(recipe_text())
        self.jobs = []

    def job(self, kind, overrides=(), **options):
        """A job that is started, and ended with the row."""
        job = kind(self.cluster, self.home, options.pop("recipe", self.recipe), overrides, **options)
        self.jobs.append(job)
        return job.start()

    def own_data(self):
        """A copy of the real data, which the recipe then names."""
        data = real_data()
        if data is None:
            raise Skipped("needs Fashion-MNIST in ATHANOR_DATA")
        folder = self.home / "data"
        shutil.copytree(data, folder)
        self.recipe.write_text(recipe_text(folder))
        return folder

    def undisturbed(self, overrides=()):
        """The summary of a run alone, without a fault."""
        if not overrides:
            return json.loads((self.cluster.folder / "undisturbed.json").read_text())
        folder = self.home / "undisturbed"
        subprocess.run([self.cluster.program, "train", self.recipe, *overrides, "--run", folder], check=True,
                       stdout=subprocess.DEVNULL)
        return json.loads((folder / "summary.json").read_text())

    def want(self, condition, what):
        if not condition:
            raise Failed(what + "".join(f"\n--- output of the job\n{job.text()}" for job in self.jobs))

    def want_named(self, job, pattern, since, after=0, within_s=15):
        """The output must name the culprit within 15 s of `since`; says how long it took."""
        job.wait_for_text(pattern, within_s - (time.monotonic() - since) + 5, after)
        took_s = time.monotonic() - since
        print(f"named after {took_s:.1f} s")
        self.want(took_s <= within_s, f"named after {took_s:.1f} s, want {within_s} s")

    def want_restarted(self, job, since, step, most_lost=EVERY_STEPS + 5, times=1, deadline_s=60):
        """The run must go on from a checkpoint for the `times`-th time, at most `most_lost` steps before `step`, the newest
        that was known when the fault came (its own line may have been a moment late: the 5)."""
        resumed = job.wait(lambda: job.resumes()[times - 1:], f"going on for the {times}. time", deadline_s)[0]
        job.wait(lambda: job.step() > resumed or job.has_ended(), "a step after that", deadline_s)
        print(f"next step {time.monotonic() - since:.1f} s after the fault; went on from step {resumed}, {step} was known")
        self.want(step - resumed <= most_lost, f"{step - resumed} steps lost, want {most_lost} at most")

    def want_nothing_lost(self, job, times=1, deadline_s=60):
        """Like want_restarted after a stop that was asked for: it must go on from the step after which it stopped."""
        resumed = job.wait(lambda: job.resumes()[times - 1:], f"going on for the {times}. time", deadline_s)[0]
        self.want(job.stops()[-1:] == [resumed], f"stopped after {job.stops()}, went on from {job.resumes()}")
        print(f"stopped after step {resumed} and went on from there")

    def want_undisturbed_result(self, job, overrides=(), code=0, deadline_s=120):
        """The job must end with `code` and the weights of the undisturbed run, and leave nothing on any host."""
        found = job.end(deadline_s)
        self.want(found == code, f"exit code {found}, want {code}")
        summary = job.summary()
        self.want(summary.get("weights_sha256") == self.undisturbed(overrides)["weights_sha256"],
                  f"the weights are not those of the undisturbed run: {summary}")
        steps = [line["step"] for line in job.metrics()]
        self.want(steps == list(range(1, len(steps) + 1)), f"metrics.jsonl does not count 1, 2, 3, …: {steps}")
        self.want_nothing_left()

    def want_nothing_left(self, deadline_s=20, but=("orted",)):
        """No process of a job may be left on any host, `but` these: mpirun's own daemons leave some 10 s after it."""
        def leftovers():
            return [f"{host}: {pid} {' '.join(words)}" for host in self.cluster.names
                    for pid, words in self.cluster.processes(host).items()
                    if "slurmstepd" not in words[0] and Path(words[0]).name not in but]
        wait_until(lambda: not leftovers(), "an end of all processes", deadline_s, about=lambda: "\n".join(leftovers()))

    def stop(self):
        for job in self.jobs:
            job.stop()


__all__ = ["BOTH", "Bench", "EVERY_STEPS", "Failed", "LaunchJob", "ROOT", "ROWS", "STEPS", "Skipped", "SlurmJob", "real_data",
           "recipe_text", "row", "rows_under", "wait_until"]
