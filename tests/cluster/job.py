"""Jobs on the cluster and what can be read of them: the program under Slurm, or under `athanor launch` with mpirun."""

import json
import os
import re
import subprocess
import time

from hosts import ENTER, ROOT


class Failed(Exception):
    """A row did not find what it must."""


class Skipped(Exception):
    """A row cannot be tried here, and why."""


def wait_until(condition, what, deadline_s, about=None):
    """Waits until `condition()` is true, and returns it; fails after `deadline_s`. `about()`: more for the message."""
    began = time.monotonic()
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() - began > deadline_s:
            raise Failed(f"waited {deadline_s} s in vain for {what}" + (f"\n{about()}" if about else ""))
        time.sleep(0.05)


class Job:
    """`self.run_folder` is where the run's files are found from here, `self.output` the file with what the job prints."""

    def __init__(self, cluster, home, recipe, overrides=(), environment=None, everywhere=False, run_folder=None, seen_at=None):
        """`overrides`: of the recipe. `environment`: of the job; `everywhere`: of ranks on other hosts too, where the
        launcher does not see to that itself. `run_folder`: another than the usual, and where it is `seen_at` from here."""
        self.cluster = cluster
        self.home = home
        run_folder = run_folder or home / "run"
        self.run_folder = seen_at or run_folder
        self.output = home / "run.out"
        self.environment = environment or {}
        self.train = ["train", str(recipe), "--run", str(run_folder), *overrides]
        if everywhere:
            cluster.set_environment(self.environment)

    def text(self):
        """All that the job has printed."""
        try:
            return self.output.read_text(errors="replace")
        except OSError:
            return ""

    def metrics(self, kind="train"):
        """The lines of metrics.jsonl of one kind."""
        found = []
        try:
            lines = (self.run_folder / "metrics.jsonl").read_text().splitlines()
        except OSError:
            return found
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if entry.get("kind") == kind:
                found.append(entry)
        return found

    def step(self):
        """The newest step that metrics.jsonl knows; 0: none."""
        lines = self.metrics()
        return lines[-1]["step"] if lines else 0

    def summary(self, folder=None):
        try:
            return json.loads(((folder or self.run_folder) / "summary.json").read_text())
        except (OSError, ValueError):
            return {}

    def checkpoints(self):
        """Steps of the checkpoints in the run folder."""
        return sorted(int(file.stem.removeprefix("step-")) for file in (self.run_folder / "checkpoints").glob("step-*.h5"))

    def log(self):
        try:
            return (self.run_folder / "log.txt").read_text(errors="replace")
        except OSError:
            return ""

    def resumes(self):
        """The steps from which the run has gone on so far."""
        return [int(step) for step in re.findall(r"goes on from \S+, step (\d+) of", self.log())]

    def stops(self):
        """The steps after which it stopped because it was asked to."""
        return [int(step) for step in re.findall(r"stopped after step (\d+) of", self.log())]

    def wait(self, condition, what, deadline_s):
        return wait_until(condition, what, deadline_s, about=self.text)

    def wait_for_step(self, step, deadline_s=60):
        def reached():
            if self.has_ended():
                raise Failed(f"the job ended before step {step}\n{self.text()}")
            return self.step() >= step
        self.wait(reached, f"step {step}", deadline_s)

    def wait_for_text(self, pattern, deadline_s, after=0):
        """Waits until the output holds the pattern behind the character `after`; returns the match."""
        return self.wait(lambda: re.search(pattern, self.text()[after:], re.DOTALL), f"'{pattern}' in the output", deadline_s)

    def rank_on(self, host):
        """The process number of the rank on a host."""
        return self.wait(lambda: self.cluster.processes_named(host, "athanor", "train"), f"a rank on {host}", 30)[0]

    def rank_hosts(self):
        """Hosts on which ranks run now."""
        return [host for host in self.cluster.names if self.cluster.processes_named(host, "athanor", "train")]


class LaunchJob(Job):
    """`athanor launch` with mpirun, on the first host."""

    launcher = "mpirun"

    def __init__(self, cluster, home, recipe, overrides=(), options=(), rsh=ENTER, hosts=None, **more):
        """`options`: of `athanor launch`. `rsh`: what mpirun reaches other hosts with. `hosts`: their order."""
        super().__init__(cluster, home, recipe, overrides, **more)
        places = ",".join(f"{host}:1" for host in hosts or cluster.names)
        self.words = [str(cluster.program), "launch", "--hosts", places, "--launcher", "mpirun", "--rsh", str(rsh), *options,
                      *self.train]
        self.process = None

    def start(self):
        output = self.output.open("ab")
        self.process = subprocess.Popen(self.cluster.inside("node1", self.words), stdin=subprocess.DEVNULL, stdout=output,
                                        stderr=subprocess.STDOUT, env={**os.environ, **self.environment}, cwd=self.home)
        output.close()
        return self

    def has_ended(self):
        return self.process.poll() is not None

    def end(self, deadline_s=120):
        """Waits to the end; returns the exit code (−signal)."""
        self.wait(self.has_ended, "the end of the job", deadline_s)
        return self.process.returncode

    def launcher_process(self):
        """(host, process number) of mpirun."""
        return "node1", self.wait(lambda: self.cluster.processes_named("node1", "mpirun") +
                                  self.cluster.processes_named("node1", "orterun"), "mpirun", 20)[0]

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class SlurmJob(Job):
    """`sbatch cluster/slurm/train.sbatch …`; `words`: what stands between the program and `train`."""

    launcher = "slurm"
    SCRIPT = ROOT / "cluster/slurm/train.sbatch"
    FOUR_HOSTS = ("--nodes=4", "--ntasks-per-node=1")

    def __init__(self, cluster, home, recipe, overrides=(), options=(), words=(), program=None, script=SCRIPT, arguments=(),
                 **more):
        """`options`: of sbatch, on top of the four hosts; None: none at all. `words`: what stands before `train`.
        `arguments`: of the script, before the program."""
        super().__init__(cluster, home, recipe, overrides, **more)
        self.options = [] if options is None else [*self.FOUR_HOSTS, *options]
        self.words = [script, *arguments, program or cluster.program, *words, *self.train]
        self.id = None

    def start(self):
        exported = [f"{key}={value}" for key, value in self.environment.items()]
        printed = self.cluster.run("ctl", "env", *exported, "sbatch", "--parsable", f"--output={self.output}", *self.options,
                                   *self.words, cwd=self.home)
        self.id = int(printed.split(";")[0])
        return self

    def facts(self):
        """What `scontrol show job` says."""
        shown = self.cluster.run("ctl", "scontrol", "show", "job", str(self.id), "-o", check=False)
        return dict(field.split("=", 1) for field in shown.split() if "=" in field)

    def state(self):
        return self.facts().get("JobState", "")

    def restarts(self):
        return int(self.facts().get("Restarts", "0"))

    def has_ended(self):
        return self.state() in ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "DEADLINE",
                                "PREEMPTED", "BOOT_FAIL")

    def end(self, deadline_s=120):
        """Waits until Slurm will not start it again; returns the exit code (128 + signal)."""
        self.wait(self.has_ended, "the end of the job", deadline_s)
        code, signal = self.facts()["ExitCode"].split(":")
        return int(code) if signal == "0" else 128 + int(signal)

    def control(self, *words):
        return self.cluster.run("ctl", *words)

    def launcher_process(self):
        """(host, process number) of srun."""
        return "node1", self.wait(lambda: self.cluster.processes_named("node1", "srun"), "srun", 20)[0]

    def stop(self):
        if self.id is not None:
            self.cluster.run("ctl", "scancel", str(self.id), check=False)
