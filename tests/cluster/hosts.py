"""The cluster that the script `hosts` has started, seen from outside: what runs where, and what breaks it."""

import os
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ENTER = HERE / "enter"


class Cluster:
    def __init__(self):
        self.folder = Path(os.environ.get("ATHANOR_CLUSTER_DIR", "/run/athanor-cluster"))
        self.program = Path(os.environ.get("ATHANOR_PROGRAM", ROOT / "build/athanor"))

    @property
    def size(self):
        """Hosts; 0 where there is no cluster."""
        try:
            return int((self.folder / "size").read_text())
        except (OSError, ValueError):
            return 0

    @property
    def names(self):
        return [f"node{number}" for number in range(1, self.size + 1)]

    @property
    def disk(self):
        """A host's own small disk; the same path everywhere."""
        return self.folder / "disk"

    def script(self, *words, check=True, timeout=60):
        """`hosts WORDS`; returns what it printed."""
        done = subprocess.run([HERE / "hosts", *map(str, words)], capture_output=True, text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL)
        if check and done.returncode != 0:
            raise RuntimeError(f"hosts {' '.join(map(str, words))}: exit code {done.returncode}: {done.stderr}{done.stdout}")
        return done.stdout

    def inside(self, host, words):
        """The words that run a command on a host, without a shell in between."""
        anchor = (self.folder / f"{host}.pid").read_text().strip()
        return ["nsenter", "-t", anchor, "-n", "-u", "-i", "-m", f"--wd={os.getcwd()}", "--", *map(str, words)]

    def run(self, host, *words, check=True, timeout=30, cwd=None):
        """Runs a command on a host (node1 …, or ctl) to its end; returns what it printed."""
        environment = {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}
        command = self.inside(host, words)
        if cwd is not None:
            command = [word if not word.startswith("--wd=") else f"--wd={cwd}" for word in command]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment,
                              stdin=subprocess.DEVNULL)
        if check and done.returncode != 0:
            raise RuntimeError(f"on {host}: {' '.join(map(str, words))}: exit code {done.returncode}: {done.stderr}{done.stdout}")
        return done.stdout

    def seen_on(self, host, path):
        """Where a path of a host, its own disk say, is found from here."""
        anchor = (self.folder / f"{host}.pid").read_text().strip()
        return Path(f"/proc/{anchor}/root{path}")

    def set_environment(self, environment):
        """What commands that come from another host find in their environment (see `enter`)."""
        for host in self.names:
            lines = "".join(f"{key}={value}\n" for key, value in environment.items())
            (self.folder / f"environment-{host}").write_text(lines)

    def is_up(self, host):
        return (self.folder / f"{host}.pid").exists()

    def cut(self, host):
        self.script("cut", host.removeprefix("node"))

    def heal(self, host):
        self.script("heal", host.removeprefix("node"))

    def rate(self, host, rate):
        self.script("rate", host.removeprefix("node"), rate)

    def kill(self, host):
        self.script("kill", host.removeprefix("node"))

    def revive(self, host):
        self.script("revive", host.removeprefix("node"))

    def processes(self, host):
        """{process number: command line} of all that runs on a host, but for what makes the host."""
        try:
            anchor = (self.folder / f"{host}.pid").read_text().strip()
            space = os.readlink(f"/proc/{anchor}/ns/net")
        except OSError:
            return {}
        found = {}
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or entry == anchor:
                continue
            try:
                if os.readlink(f"/proc/{entry}/ns/net") == space:
                    words = Path(f"/proc/{entry}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
                    if words[0] and Path(words[0]).name not in ("slurmd", "slurmctld", "slurmscriptd") and \
                            not words[0].startswith(("slurmd:", "slurmctld:")):
                        found[int(entry)] = words
            except OSError:
                continue
        return found

    def processes_named(self, host, name, *first_arguments):
        """Process numbers of those that run a program of this name with these first arguments."""
        return sorted(pid for pid, words in self.processes(host).items()
                      if Path(words[0]).name == name and words[1:1 + len(first_arguments)] == list(first_arguments))

    def restore(self):
        """Makes the cluster whole: no jobs, all hosts alive, all links up, nothing left of earlier tests."""
        self.run("ctl", "sh", "-c", "squeue -h -o %i | xargs -r scancel", check=False)
        self.set_environment({})
        for host in self.names:
            for pid in self.processes(host):
                if Path(f"/proc/{pid}").exists() and "slurmstepd" not in " ".join(self.processes(host).get(pid, [])):
                    try:
                        os.kill(pid, 9)
                    except ProcessLookupError:
                        pass
            try:
                self.heal(host)
            except RuntimeError:
                self.kill(host)
            if not self.is_up(host):
                self.revive(host)
            self.rate(host, "none")
            self.run(host, "sh", "-c", f"rm -rf {self.disk}/* /tmp/clock", check=False)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            states = dict(line.split() for line in
                          self.run("ctl", "sinfo", "-h", "-p", "test", "-N", "-o", "%N %T").splitlines())
            if all(state == "idle" for state in states.values()):
                return
            for host, state in states.items():
                if state.startswith(("down", "drain")):
                    self.run("ctl", "scontrol", "update", f"NodeName={host}", "State=RESUME", check=False)
            time.sleep(0.2)
        raise RuntimeError(f"hosts do not become idle: {states}")
