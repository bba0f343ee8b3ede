"""Rows: the disk of rank 0 fills, fails and crawls; checkpoints are damaged."""

import os
import shutil
import signal
import time
from pathlib import Path

from row import BOTH, ROOT, Skipped, rows_under, wait_until

SHIM = Path(os.environ.get("ATHANOR_FAULT_SHIM", ROOT / "build/tests/athanor_fault_shim.so"))


def failed_saves(job):
    return job.log().count("training goes on, the earlier checkpoints stay")


@rows_under(BOTH, "the_disk_is_full", long_under=["slurm"])
def the_disk_is_full(bench, kind):
    # node1's own disk, which holds the run; seen from here through the host's first process.
    disk = bench.cluster.disk
    job = bench.job(kind, run_folder=disk / "run", seen_at=bench.cluster.seen_on("node1", disk / "run"))
    job.wait_for_step(45)
    before = job.checkpoints()
    bench.cluster.run("node1", "sh", "-c", f"cat /dev/zero >{disk}/filling", check=False)
    job.wait(lambda: failed_saves(job) >= 1, "a save that fails", 30)
    kept = job.checkpoints()
    bench.want(before[-1] in kept, f"checkpoints {before} became {kept}")
    bench.cluster.run("node1", "rm", disk / "filling")
    bench.want_undisturbed_result(job)
    bench.want(not job.resumes(), "it was started again")


@rows_under(BOTH, "the_disk_is_read_only", long_under=["slurm"])
def the_disk_is_read_only(bench, kind):
    job = bench.job(kind)
    job.wait_for_step(45)
    before = job.checkpoints()
    folder = job.run_folder / "checkpoints"
    bench.cluster.run("node1", "sh", "-c", f"mount --bind {folder} {folder} && mount -o remount,ro,bind {folder}")
    try:
        job.wait(lambda: failed_saves(job) >= 1, "a save that fails", 30)
        bench.want(before[-1] in job.checkpoints(), f"checkpoints {before} became {job.checkpoints()}")
    finally:
        bench.cluster.run("node1", "umount", folder)
    bench.want_undisturbed_result(job)
    bench.want(not job.resumes(), "it was started again")


@rows_under(BOTH, "the_disk_is_slow", long_under=["slurm"])
def the_disk_is_slow(bench, kind):
    if not SHIM.exists():
        raise Skipped(f"{SHIM} is not built")
    folder = bench.home / "run/checkpoints"
    job = bench.job(kind, environment={"LD_PRELOAD": str(SHIM), "ATHANOR_FAULT_FOLDER": str(folder), "ATHANOR_FAULT_AT": "1",
                                       "ATHANOR_FAULT_DO": "slow"})
    bench.want_undisturbed_result(job)
    slow = [line["write_ms"] for line in job.metrics("checkpoint")]
    bench.want(max(slow) > 1000, f"the disk was not slow: saves took {slow} ms")
    bench.want(not job.resumes(), "it was started again")


@rows_under(BOTH, "the_run_folder_vanishes", long_under=["slurm"], deadline_s=150)
def the_run_folder_vanishes(bench, kind):
    job = bench.job(kind)
    job.wait_for_step(45)
    shutil.rmtree(job.run_folder, ignore_errors=True)
    code = job.end(120)
    bench.want(code in (0, 4), f"exit code {code}, want 0 or 4")
    if code == 0:
        bench.want_undisturbed_result(job)
    else:
        bench.want(str(job.run_folder) in job.text(), "the message does not name the folder")
        bench.want_nothing_left()


@rows_under(BOTH, "the_newest_checkpoint_is_damaged", long_under=["slurm"])
def the_newest_checkpoint_is_damaged(bench, kind):
    job = bench.job(kind)
    job.wait_for_step(65)
    job.wait(lambda: len(job.checkpoints()) >= 2, "two checkpoints", 30)
    # All ranks stand still, and rank 0, which may be in the middle of writing a newer one, goes on no more.
    ranks = [job.rank_on(host) for host in job.rank_hosts()]
    for rank in ranks:
        os.kill(rank, signal.SIGSTOP)
    good, newest = job.checkpoints()[-2:]
    file = Path(job.run_folder) / f"checkpoints/step-{newest:09d}.h5"
    with file.open("r+b") as damaged:
        damaged.seek(file.stat().st_size // 2)
        damaged.write(b"damage" * 10)
    since = time.monotonic()
    for rank in ranks:
        os.kill(rank, signal.SIGKILL if rank == ranks[0] else signal.SIGCONT)
    resumed = wait_until(job.resumes, "going on", 60, about=job.text)[0]
    print(f"went on from {resumed}, {time.monotonic() - since:.1f} s after the fault")
    bench.want(resumed == good, f"went on from step {resumed}, want {good}: that of {newest} is damaged")
    bench.want(f"{file.name}.corrupt" in job.log(), "log.txt does not say what became of the damaged file")
    bench.want_undisturbed_result(job)
