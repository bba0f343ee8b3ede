"""Rows: single processes are killed or paused."""

import os
import signal
import time

from row import BOTH, rows_under

ONE_RANK = "rank 2 on node3"


@rows_under(BOTH, "a_rank_is_killed")
def a_rank_is_killed(bench, kind):
    job = bench.job(kind)
    job.wait_for_step(45)
    step, since = job.step(), time.monotonic()
    os.kill(job.rank_on("node3"), signal.SIGKILL)
    bench.want_named(job, ONE_RANK + r" \(process \d+\) is (lost|gone)", since)
    bench.want_restarted(job, since, step)
    bench.want_undisturbed_result(job)
    bench.want_nothing_left(but=())


@rows_under(BOTH, "the_launcher_is_killed")
def the_launcher_is_killed(bench, kind):
    job = bench.job(kind)
    job.wait_for_step(45)
    _, launcher = job.launcher_process()
    step, since = job.step(), time.monotonic()
    os.kill(launcher, signal.SIGKILL)
    bench.want_named(job, r"(mpirun|srun) (is gone|was killed)|exit code 137", since)
    bench.want_restarted(job, since, step)
    bench.want_undisturbed_result(job)


@rows_under(BOTH, "a_rank_is_paused_for_ever")
def a_rank_is_paused_for_ever(bench, kind):
    job = bench.job(kind)
    job.wait_for_step(45)
    step, since = job.step(), time.monotonic()
    os.kill(job.rank_on("node3"), signal.SIGSTOP)
    bench.want_named(job, rf"{ONE_RANK}[^\n]* is lost|no progress for [^\n]*{ONE_RANK}", since)
    bench.want_restarted(job, since, step)
    bench.want_undisturbed_result(job)


@rows_under(BOTH, "a_rank_is_paused_for_five_seconds", long_under=["slurm"])
def a_rank_is_paused_for_five_seconds(bench, kind):
    job = bench.job(kind)
    job.wait_for_step(45)
    rank, since = job.rank_on("node3"), time.monotonic()
    os.kill(rank, signal.SIGSTOP)
    try:
        bench.want_named(job, ONE_RANK + r".*?silent", since)
        # The fault itself lasts that long.
        job.wait(lambda: time.monotonic() - since >= 5, "5 s", 10)
    finally:
        os.kill(rank, signal.SIGCONT)
    bench.want_undisturbed_result(job)
    bench.want(not job.resumes(), "it was started again")
