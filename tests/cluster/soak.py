"""Rows: many faults, drawn from a seed, while one run goes on. ATHANOR_SOAK_FAULTS (24: about 5 minutes; 100: within an hour) and
ATHANOR_SOAK_SEED say how many and which."""

import os
import random
import signal
import time

from row import LaunchJob, row, wait_until

FAULTS = int(os.environ.get("ATHANOR_SOAK_FAULTS", "24"))
SEED = int(os.environ.get("ATHANOR_SOAK_SEED", "6"))
STEPS_BETWEEN = 15
EVERY_STEPS = 5


class Soak:
    """The faults; each returns once the job has begun to notice, or the fault is over."""

    def __init__(self, bench, job, draw):
        self.cluster = bench.cluster
        self.job = job
        self.draw = draw

    def victim(self):
        """A host with a rank, but not the first: the supervisor lives there."""
        return self.draw.choice(wait_until(lambda: [host for host in self.job.rank_hosts() if host != "node1"], "ranks", 60))

    def signal_rank(self, host, number):
        ranks = self.cluster.processes_named(host, "athanor", "train")
        if ranks:
            os.kill(ranks[0], number)

    def a_rank_is_killed(self):
        self.signal_rank(self.draw.choice(self.job.rank_hosts() or ["node1"]), signal.SIGKILL)

    def a_rank_is_paused_for_ever(self):
        self.signal_rank(self.victim(), signal.SIGSTOP)

    def a_rank_is_paused(self):
        host, until = self.victim(), time.monotonic() + self.draw.uniform(0.5, 5)
        self.signal_rank(host, signal.SIGSTOP)
        wait_until(lambda: time.monotonic() > until, "the end of a pause", 10)
        self.signal_rank(host, signal.SIGCONT)

    def mpirun_is_killed(self):
        os.kill(self.job.launcher_process()[1], signal.SIGKILL)

    def a_link_is_cut(self):
        host, until = self.victim(), time.monotonic() + self.draw.choice([1, 3, 20])
        self.cluster.cut(host)
        wait_until(lambda: time.monotonic() > until, "the end of a cut", 30)
        self.cluster.heal(host)

    def a_link_is_slow(self):
        host, until = self.victim(), time.monotonic() + 5
        self.cluster.rate(host, "2mbit")
        wait_until(lambda: time.monotonic() > until, "the end of a slow link", 10)
        self.cluster.rate(host, "none")

    def a_host_dies_and_returns(self):
        host, resumed = self.victim(), len(self.job.resumes())
        self.cluster.kill(host)
        wait_until(lambda: len(self.job.resumes()) > resumed or self.job.has_ended(), "going on without a host", 90)
        self.cluster.revive(host)


@row("mpirun.soak", deadline_s=int(120 + 60 * FAULTS), is_long=True)
def soak(bench):
    draw = random.Random(SEED)
    names = sorted(name for name in vars(Soak) if name.startswith(("a_", "mpirun_")))
    length = [f"train.max_steps={STEPS_BETWEEN * (FAULTS + 2)}", f"checkpoint.every_steps={EVERY_STEPS}"]
    job = bench.job(LaunchJob, overrides=length, options=["--max-restarts", "1000"])
    soaked = Soak(bench, job, draw)
    job.wait_for_step(STEPS_BETWEEN)
    for number in range(FAULTS):
        fault = draw.choice(names)
        step, began = job.step(), time.monotonic()
        print(f"{number + 1}. at step {step}: {fault}", flush=True)
        getattr(soaked, fault)()
        job.wait(lambda: job.has_ended() or step_made_since(job, step), "a step after the fault", 120)
        print(f"   a step after {time.monotonic() - began:.1f} s", flush=True)
        if job.has_ended():
            break
    bench.want_undisturbed_result(job, overrides=length, deadline_s=300)
    bench.want(number + 1 == FAULTS, f"the job was over after {number + 1} faults")


def step_made_since(job, step):
    """Whether the run has got a little further than it was when the fault came."""
    return job.step() >= step + 5
