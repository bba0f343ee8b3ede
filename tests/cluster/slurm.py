"""Rows: what Slurm does to a job, and cluster/slurm's scripts as they are."""

import os
import signal
import time

from row import ROOT, SlurmJob, row, wait_until

ROOT_MAY = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


@row("slurm.train_sbatch_unchanged")
def train_sbatch_unchanged(bench):
    job = bench.job(SlurmJob, options=None)
    bench.want_undisturbed_result(job)


@row("slurm.stop_signal")
def stop_signal(bench):
    job = bench.job(SlurmJob)
    job.wait_for_step(45)
    job.control("scancel", "--signal=USR2", str(job.id))
    bench.want_nothing_lost(job)
    bench.want_undisturbed_result(job)


@row("slurm.preempted")
def preempted(bench):
    job = bench.job(SlurmJob)
    job.wait_for_step(45)
    other = bench.cluster.run("ctl", "sbatch", "--parsable", "--partition=urgent", "-N4", "--exclusive", "--output=/dev/null",
                              "--wrap=srun true").strip()
    wait_until(lambda: "JobState=COMPLETED" in bench.cluster.run("ctl", "scontrol", "show", "job", other), "the urgent job", 60)
    bench.want_nothing_lost(job)
    bench.want_undisturbed_result(job)


@row("slurm.time_limit", deadline_s=180)
def time_limit(bench):
    # Slurm looks at limits every half minute: steps are slowed down so that there are some left by then.
    bench.cluster.rate("node4", "4mbit")
    job = bench.job(SlurmJob, options=["--time=1", "--signal=USR2@50"])
    job.wait(job.stops, "a stop before the time limit", 60)
    bench.cluster.rate("node4", "none")
    bench.want_nothing_lost(job)
    bench.want_undisturbed_result(job)


@row("slurm.queued_again_by_an_administrator")
def queued_again_by_an_administrator(bench):
    job = bench.job(SlurmJob)
    job.wait_for_step(45)
    step, since = job.step(), time.monotonic()
    job.control("scontrol", "requeue", str(job.id))
    bench.want_restarted(job, since, step)
    bench.want_undisturbed_result(job)


@row("slurm.a_host_is_drained")
def a_host_is_drained(bench):
    job = bench.job(SlurmJob)
    job.wait_for_step(45)
    job.control("scontrol", "update", "NodeName=node3", "State=DRAIN", "Reason=test")
    job.control("scancel", "--signal=USR2", str(job.id))
    job.wait(lambda: job.state() in ("PENDING", "REQUEUED"), "the job waiting for the host", 30)
    job.control("scontrol", "update", "NodeName=node3", "State=RESUME")
    bench.want_nothing_lost(job)
    bench.want_undisturbed_result(job)


@row("slurm.cancelled_is_not_queued_again")
def cancelled_is_not_queued_again(bench):
    job = bench.job(SlurmJob)
    job.wait_for_step(5)
    job.control("scancel", str(job.id))
    job.end(30)
    bench.want_nothing_left()
    bench.want(job.state() == "CANCELLED", f"state {job.state()}, want CANCELLED")


@row("slurm.queued_again_only_so_often")
def queued_again_only_so_often(bench):
    job = bench.job(SlurmJob, environment={"ATHANOR_MAX_REQUEUES": "0"})
    job.wait_for_step(5)
    job.control("scancel", "--signal=USR2", str(job.id))
    code = job.end(30)
    bench.want(code == 75, f"exit code {code}, want 75")
    bench.want("ATHANOR_MAX_REQUEUES=0" in job.text(), "the script does not say why it is not queued again")


@row("slurm.a_launch_that_fails_with_0_is_no_success")
def a_launch_that_fails_with_0(bench):
    pretender = bench.home / "pretender"
    pretender.write_text("#!/bin/sh\nexit 0\n")
    pretender.chmod(0o755)
    job = bench.job(SlurmJob, program=pretender, environment={"ATHANOR_MAX_REQUEUES": "0"})
    code = job.end(30)
    bench.want(code == 1 and "did not end well" in job.text(), f"exit code {code}, want 1 and a message")


@row("slurm.three_starts_that_save_nothing_are_enough")
def three_starts_that_save_nothing(bench):
    loser = bench.home / "loser"
    loser.write_text("#!/bin/sh\nexit 6\n")
    loser.chmod(0o755)
    job = bench.job(SlurmJob, program=loser)
    code = job.end(90)
    bench.want(code == 6 and job.restarts() == 2, f"exit code {code} after {job.restarts()} restarts, want 6 after 2")
    bench.want(not list(bench.home.glob(".athanor-*")), "it leaves files behind")


@row("slurm.mpirun_in_the_batch")
def mpirun_in_the_batch(bench):
    environment = {"ATHANOR_LAUNCHER": "mpirun", "ATHANOR_MPIRUN": "--bind-to none", **ROOT_MAY}
    job = bench.job(SlurmJob, environment=environment)
    job.wait_for_step(45)
    job.control("scancel", "--signal=USR2", str(job.id))
    bench.want_nothing_lost(job)
    bench.want_undisturbed_result(job)


@row("slurm.launch_in_the_batch")
def launch_in_the_batch(bench):
    job = bench.job(SlurmJob, words=["launch"])
    job.wait_for_step(45)
    step, since = job.step(), time.monotonic()
    os.kill(job.rank_on("node3"), signal.SIGKILL)
    bench.want_restarted(job, since, step)
    job.control("scancel", "--signal=USR2", str(job.id))
    bench.want_nothing_lost(job, times=2)
    bench.want_undisturbed_result(job)


@row("slurm.train_gpu_sbatch_unchanged")
def train_gpu_sbatch_unchanged(bench):
    job = bench.job(SlurmJob, overrides=["device=cpu"], options=None, script=ROOT / "cluster/slurm/train-gpu.sbatch")
    bench.want_undisturbed_result(job)


@row("slurm.sweep_sbatch")
def sweep(bench):
    variants = bench.home / "variants.txt"
    variants.write_text("optimizer.lr=0.1\noptimizer.lr=0.05\n")
    job = bench.job(SlurmJob, options=["--array=1-2"], script=ROOT / "cluster/slurm/sweep.sbatch", arguments=[variants])
    runs = [bench.home / f"run/{number}" for number in (1, 2)]
    wait_until(lambda: all((run / "summary.json").exists() for run in runs), "both runs", 60, about=job.text)
    found = [job.summary(run)["weights_sha256"] for run in runs]
    want = bench.undisturbed()["weights_sha256"]
    bench.want(found[1] == want and found[0] != want, f"weights {found}, the second must be {want}")
    wait_until(lambda: not bench.cluster.run("ctl", "squeue", "-h"), "an empty queue", 30)
