"""The two programs under measurement: `athanor bench step`, started anew each time, and a peer that stays ready.

Both are asked for seconds and answer with a dict that has "images_per_s" and "peak_bytes". NotMeasured says why a
figure cannot be had.
"""

import json
import os
import selectors
import signal
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from networks import cut

PEERS = Path(__file__).resolve().parent / "peers"
UNKNOWN_KEY, NO_DEVICE = 2, 5  # exit codes of the program
STARTS = 3


class NotMeasured(Exception):
    pass


def last_line(text):
    return (text.strip().splitlines() or ["it said nothing"])[-1]


def run_for_json(command):
    """The object in the last line of what a command prints; exit code and last line of its errors where it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        return None, done.returncode, last_line(done.stderr)
    return json.loads(last_line(done.stdout)), 0, ""


class Athanor:
    """Shards side by side of one thread each where the batch can be cut so, on all cores."""

    def __init__(self, program, network, cores, overrides=(), name="Athanor"):
        shards, threads = cut(network.batch, cores)
        self.name, self.network, self.program = name, network, program
        self.overrides = [f"train.shards={shards}", f"train.shard_threads={threads}",
                          f"train.precision={network.precision}", *overrides]

    def measure(self, seconds):
        return self.bench(seconds, "--steps-only")

    def bench(self, seconds, *options):
        """Without options with "ceiling_share" and "profile"."""
        command = [self.program, "bench", "step", str(self.network.recipe_path()), *self.overrides, *options,
                   "--seconds", str(seconds), "--json"] + ["--evaluation"] * self.network.evaluation
        answer, code, error = run_for_json(command)
        if answer is None:
            if code == UNKNOWN_KEY and "unknown key" in error:
                raise NotMeasured("not in this build")
            raise NotMeasured(f"not measured: {error}" if code == NO_DEVICE else f"exit code {code}: {error}")
        return {"images_per_s": answer["images_per_s"]["median"], "step_ms": answer["step_ms"]["median"],
                "peak_bytes": answer["peak_bytes"], "start_s": answer["start_ms"] / 1e3,
                "page_faults_per_step": answer["page_faults_per_step"], "ceiling_share": answer["ceiling_share"],
                "profile": answer["ops"]}

    def start_s(self):
        """The median of a few starts. The first of them may find neither program nor memory ready: a virtual machine
        that gave memory back to its host must ask for it again."""
        return statistics.median(self.one_start_s() for _ in range(STARTS))

    def one_start_s(self):
        """From the start of the program until step 0 begins, in a run as users start it, but for the classes."""
        with tempfile.TemporaryDirectory() as folder:
            classes = [] if self.network.trains else ["model.classes=10"]
            answer, code, error = run_for_json(
                [self.program, "train", str(self.network.recipe_path()), *self.overrides, *classes,
                 "train.max_steps=1", "--run", f"{folder}/run", "--json"])
        if answer is None:
            raise NotMeasured(f"exit code {code}: {error}")
        return answer["start_seconds"]

    def close(self):
        pass


def torch_environment(threads, cache):
    """What PyTorch compiles, and the files by which its processes meet, go where `cache` says."""
    return os.environ | {"OMP_NUM_THREADS": str(threads), "TORCHINDUCTOR_CACHE_DIR": f"{cache}/inductor",
                         "TMPDIR": str(cache)}


class Torch:
    """A peer process and those that it starts: a session of their own, which ends with this object."""

    def __init__(self, python, network, mode, cache, limit_s=900):
        self.name, self.mode, self.limit_s = mode.text(), mode, limit_s
        command = [python, str(PEERS / "torch_steps.py"), "--model", network.model, "--batch", str(network.batch),
                   "--processes", str(mode.processes), "--threads", str(mode.threads), "--layout", mode.layout,
                   "--style", mode.style, "--precision", network.precision, "--born", str(time.monotonic())]
        self.errors = tempfile.TemporaryFile("w+", errors="replace")
        self.child = subprocess.Popen(
            command + ["--evaluation"] * network.evaluation, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.errors, start_new_session=True,
            env=torch_environment(mode.threads, cache))
        self.answers = b""
        try:
            self.start = self.answer()
        except BaseException:
            self.close()
            raise

    def answer(self):
        """The next line as an object."""
        deadline = time.monotonic() + self.limit_s
        with selectors.DefaultSelector() as selector:
            selector.register(self.child.stdout, selectors.EVENT_READ)
            while b"\n" not in self.answers:
                if not selector.select(deadline - time.monotonic()):
                    raise NotMeasured(f"no answer within {self.limit_s} s")
                part = os.read(self.child.stdout.fileno(), 65536)
                if not part:
                    self.errors.seek(0)
                    raise NotMeasured(last_line(self.errors.read()))
                self.answers += part
        line, self.answers = self.answers.split(b"\n", 1)
        return json.loads(line)

    def measure(self, seconds):
        try:
            self.child.stdin.write(f"{seconds}\n".encode())
            self.child.stdin.flush()
        except BrokenPipeError:
            pass  # what it left in its errors says more
        return self.answer()

    def close(self):
        """At once: nothing of it is needed any more."""
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()
        for stream in (self.child.stdin, self.child.stdout, self.errors):
            try:
                stream.close()
            except BrokenPipeError:
                pass
