"""Rows: hosts die and come back, links break, heal and crawl."""

import os
import signal
import time

from row import BOTH, LaunchJob, SlurmJob, row, rows_under, wait_until

LOST = r"rank 3 on node4[^\n]* is (lost|gone)|no progress for [^\n]*rank 3 on node4|left out: node4"


@row("mpirun.a_host_dies_and_returns", deadline_s=150)
def a_host_dies_and_returns(bench):
    job = bench.job(LaunchJob, overrides=["train.max_steps=240"])
    job.wait_for_step(45)
    step, since = job.step(), time.monotonic()
    bench.cluster.kill("node4")
    bench.want_named(job, LOST, since)
    bench.want_restarted(job, since, step)
    bench.want(job.rank_hosts() == ["node1", "node2", "node3"], f"ranks run on {job.rank_hosts()}")
    bench.cluster.revive("node4")
    reached = job.step()
    job.wait_for_step(reached + 15)
    step, since = job.step(), time.monotonic()
    os.kill(job.rank_on("node2"), signal.SIGKILL)
    bench.want_restarted(job, since, step, times=2)
    bench.want(len(job.rank_hosts()) == 4, f"ranks run on {job.rank_hosts()}, node4 should be back")
    bench.want_undisturbed_result(job, overrides=["train.max_steps=240"])


@row("mpirun.the_host_of_rank_0_dies", deadline_s=150)
def the_host_of_rank_0_dies(bench):
    # The supervisor is on node1, which has no ranks.
    job = bench.job(LaunchJob, hosts=["node2", "node3", "node4"])
    job.wait_for_step(45)
    job.wait_for_text(r"node2: rank 0 on", 10)
    step, since = job.step(), time.monotonic()
    bench.cluster.kill("node2")
    bench.want_named(job, r"rank 0 on node2[^\n]* is (lost|gone)|no progress for [^\n]*rank 0 on node2|left out: node2", since)
    bench.want_restarted(job, since, step, deadline_s=90)
    bench.want(job.rank_hosts() == ["node3", "node4"], f"ranks run on {job.rank_hosts()}")
    bench.want_undisturbed_result(job)


@row("slurm.a_host_dies_and_returns", deadline_s=150)
def a_host_dies_under_slurm(bench):
    job = bench.job(SlurmJob)
    job.wait_for_step(45)
    step, since = job.step(), time.monotonic()
    bench.cluster.kill("node4")
    wait_until(lambda: job.state() in ("PENDING", "REQUEUED"), "the job being queued again", 30, about=job.text)
    print(f"queued again after {time.monotonic() - since:.1f} s")
    bench.cluster.revive("node4")
    bench.want_restarted(job, since, step, deadline_s=90)
    bench.want_undisturbed_result(job)


@row("slurm.launch_goes_on_without_a_dead_host", deadline_s=150)
def launch_goes_on_without_a_dead_host(bench):
    job = bench.job(SlurmJob, words=["launch"], options=["--no-kill"])
    job.wait_for_step(45)
    step, since = job.step(), time.monotonic()
    bench.cluster.kill("node4")
    bench.want_named(job, LOST, since)
    bench.want_restarted(job, since, step, deadline_s=90)
    bench.want(job.restarts() == 0, "Slurm queued it again")
    bench.want_undisturbed_result(job)


@rows_under(BOTH, "a_link_is_cut", deadline_s=150)
def a_link_is_cut(bench, kind):
    job = bench.job(kind)
    job.wait_for_step(45)
    step, since = job.step(), time.monotonic()
    bench.cluster.cut("node4")
    bench.want_named(job, LOST, since)
    # Ranks beyond the cut end by themselves: after the recipe's 8 s, or, cut off before they heard of these, the usual 30 s.
    wait_until(lambda: not bench.cluster.processes_named("node4", "athanor", "train"), "the end of the rank on node4", 45)
    if kind is SlurmJob:
        # Its four hosts are what the job asks for.
        bench.cluster.heal("node4")
    bench.want_restarted(job, since, step, deadline_s=90)
    bench.cluster.heal("node4")
    bench.want_undisturbed_result(job)


@rows_under(BOTH, "a_link_is_cut_for_three_seconds", long_under=["slurm"])
def a_link_is_cut_for_three_seconds(bench, kind):
    job = bench.job(kind)
    job.wait_for_step(45)
    since = time.monotonic()
    bench.cluster.cut("node4")
    # The fault itself lasts that long; no step ends meanwhile.
    job.wait(lambda: time.monotonic() - since >= 1.5, "1.5 s", 10)
    held = job.step()
    job.wait(lambda: time.monotonic() - since >= 3, "3 s", 10)
    bench.want(job.step() == held, f"steps went on from {held} to {job.step()} although the link was cut")
    bench.cluster.heal("node4")
    bench.want_undisturbed_result(job)
    bench.want(not job.resumes(), "it was started again")


@row("mpirun.a_link_is_slow", deadline_s=180)
def a_link_is_slow(bench):
    small = ["model.width=4", "train.batch=32"]
    job = bench.job(LaunchJob, overrides=small)
    job.wait_for_step(5)
    bench.cluster.rate("node4", "1mbit")
    job.wait_for_text(r"network of rank 3 on node4 [^\n]*is slow", 120)
    bench.cluster.rate("node4", "none")
    bench.want_undisturbed_result(job, overrides=small)
    bench.want(not job.resumes(), "it was started again")
