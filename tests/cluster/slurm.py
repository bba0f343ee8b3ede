"""Rows: what Slurm does to a job."""

import time

from row import SlurmJob, row, wait_until


@row("slurm.stop_signal")
def stop_signal(bench):
    job = bench.job(SlurmJob)
    job.wait_for_step(50)
    job.control("scancel", "--signal=USR2", str(job.id))
    bench.want_nothing_lost(job)
    bench.want_undisturbed_result(job)


@row("slurm.preempted")
def preempted(bench):
    job = bench.job(SlurmJob)
    job.wait_for_step(50)
    other = bench.cluster.run("ctl", "sbatch", "--parsable", "--partition=urgent", "-N4", "--exclusive", "--output=/dev/null",
                              "--wrap=srun true").strip()
    wait_until(lambda: "JobState=COMPLETED" in bench.cluster.run("ctl", "scontrol", "show", "job", other), "the urgent job", 60)
    bench.want_nothing_lost(job)
    bench.want_undisturbed_result(job)


@row("slurm.cancelled_is_not_queued_again")
def cancelled_is_not_queued_again(bench):
    job = bench.job(SlurmJob)
    job.wait_for_step(50)
    job.control("scancel", str(job.id))
    job.end(30)
    bench.want_nothing_left()
    bench.want(job.state() == "CANCELLED", f"state {job.state()}, want CANCELLED")
