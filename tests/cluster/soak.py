"""Rows: many faults, drawn from a seed, while one run goes on. ATHANOR_SOAK_FAULTS (24: about 5 minutes; 100: within an hour) and
ATHANOR_SOAK_SEED say how many and which."""

import os
import random
import signal
import time

from row import LaunchJob, row, wait_until

FAULTS = int(os.environ.get("ATHANOR_SOAK_FAULTS", "24"))
SEED = int(os.environ.get("ATHANOR_SOAK_SEED", "6"))
STEPS_AFTER = 5
STEPS_BETWEEN = 40  # a fault that is sat out lasts some
EVERY_STEPS = 5


class Soak:
    """The faults; each returns when it is over, or the run has gone on in spite of it."""

    def __init__(self, bench, job, draw):
        self.cluster = bench.cluster
        self.job = job
        self.draw = draw

    def victim(self):
        """A host with a rank, but not the first: the supervisor lives there."""
        return self.draw.choice(wait_until(lambda: [host for host in self.job.rank_hosts() if host != "node1"], "ranks", 60))

    def signal_rank(self, host, number):
        os.kill(self.job.rank_on(host), number)

    # Faults that end an attempt: they return when the run has gone on.

    def want_resumed(self, resumed):
        wait_until(lambda: len(self.job.resumes()) > resumed or self.job.has_ended(), "going on", 120, about=self.job.text)

    def a_rank_is_killed(self):
        host, resumed = self.draw.choice(self.cluster.names), len(self.job.resumes())
        self.signal_rank(host if host in self.job.rank_hosts() else self.victim(), signal.SIGKILL)
        self.want_resumed(resumed)

    def a_rank_is_paused_for_ever(self):
        resumed = len(self.job.resumes())
        self.signal_rank(self.victim(), signal.SIGSTOP)
        self.want_resumed(resumed)

    def mpirun_is_killed(self):
        resumed = len(self.job.resumes())
        os.kill(self.job.launcher_process()[1], signal.SIGKILL)
        self.want_resumed(resumed)

    def a_host_dies_and_returns(self):
        host, resumed = self.victim(), len(self.job.resumes())
        self.cluster.kill(host)
        self.want_resumed(resumed)
        self.cluster.revive(host)

    def a_link_is_cut(self):
        host, resumed = self.victim(), len(self.job.resumes())
        self.cluster.cut(host)
        self.want_resumed(resumed)
        self.cluster.heal(host)

    # Faults that it sits out: they return when they are over.

    def for_a_while(self, seconds):
        until = time.monotonic() + seconds
        wait_until(lambda: time.monotonic() > until, "the end of the fault", 30)

    def a_rank_is_paused(self):
        host = self.victim()
        self.signal_rank(host, signal.SIGSTOP)
        self.for_a_while(self.draw.uniform(0.5, 5))
        self.signal_rank(host, signal.SIGCONT)

    def a_link_is_cut_for_a_while(self):
        host = self.victim()
        self.cluster.cut(host)
        self.for_a_while(self.draw.choice([1, 3]))
        self.cluster.heal(host)

    def a_link_is_slow(self):
        host = self.victim()
        self.cluster.rate(host, "2mbit")
        self.for_a_while(5)
        self.cluster.rate(host, "none")


@row("mpirun.soak", deadline_s=int(120 + 60 * FAULTS), is_long=True)
def soak(bench):
    draw = random.Random(SEED)
    names = sorted(name for name in vars(Soak) if name.startswith(("a_", "mpirun_")))
    length = [f"train.max_steps={STEPS_BETWEEN * (FAULTS + 2)}", f"checkpoint.every_steps={EVERY_STEPS}"]
    job = bench.job(LaunchJob, overrides=length, options=["--max-restarts", "1000"])
    soaked = Soak(bench, job, draw)
    job.wait_for_step(STEPS_BETWEEN)
    for number in range(1, FAULTS + 1):
        fault = draw.choice(names)
        began = time.monotonic()
        print(f"{number}. at step {job.step()}: {fault}", flush=True)
        getattr(soaked, fault)()
        bench.want(not job.has_ended(), f"the job was over after {number} faults")
        step = job.step()
        job.wait(lambda: job.has_ended() or job.step() >= step + STEPS_AFTER, "steps after the fault", 120)
        print(f"   {STEPS_AFTER} steps after {time.monotonic() - began:.1f} s", flush=True)
    bench.want_undisturbed_result(job, overrides=length, deadline_s=300)
    bench.want_nothing_left(but=())
