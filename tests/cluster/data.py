"""Rows: data change under a run; a clock jumps."""

import os
import time
from pathlib import Path

from row import BOTH, Skipped, rows_under

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


def spoil(bench, kind, how, word):
    data = bench.own_data()
    copy = bench.home / "copy"
    bench.cluster.run("node3", "cp", "-r", data, copy)
    bench.cluster.run("node3", "mount", "--bind", copy, data)
    file = next(file for file in sorted(copy.iterdir()) if "train-images" in file.name)
    # Longer than it takes to notice: files are looked at once a second, and one that is gone is looked for twice.
    job = bench.job(kind, overrides=["train.max_steps=100000"])
    try:
        job.wait_for_step(45)
        since = time.monotonic()
        how(file)
        bench.want_named(job, rf"rank 2 on node3[^\n]*{file.name}[^\n]*{word}", since)
        code = job.end(30)
    finally:
        bench.cluster.run("node3", "umount", "-l", data)
    bench.want(code == 3, f"exit code {code}, want 3")
    bench.want(not job.resumes(), "it was started again")
    bench.want_nothing_left()


@rows_under(BOTH, "a_data_file_is_truncated", long_under=["slurm"])
def a_data_file_is_truncated(bench, kind):
    spoil(bench, kind, lambda file: os.truncate(file, 1000), "truncated")


@rows_under(BOTH, "a_data_file_is_removed", long_under=["slurm"])
def a_data_file_is_removed(bench, kind):
    spoil(bench, kind, os.remove, "")


@rows_under(BOTH, "a_clock_jumps_by_an_hour", long_under=["slurm"])
def a_clock_jumps_by_an_hour(bench, kind):
    if not FAKETIME.exists():
        raise Skipped("no faketime; tools/setup --cluster installs it")
    for host in bench.cluster.names:
        bench.cluster.run(host, "sh", "-c", "echo +0 >/tmp/clock")
    fake = {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": "/tmp/clock", "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
    job = bench.job(kind, environment=fake, everywhere=True)
    job.wait_for_step(45)
    bench.cluster.run("node3", "sh", "-c", "echo +3600 >/tmp/clock")
    words = [f"{key}={value}" for key, value in fake.items()]
    ahead_s = int(bench.cluster.run("node3", "env", *words, "date", "+%s")) - time.time()
    bench.want(3500 < ahead_s < 3700, f"the clock of node3 is {ahead_s:.0f} s ahead")
    maps = Path(f"/proc/{job.rank_on('node3')}/maps").read_text()
    bench.want("libfaketime" in maps, "the rank on node3 does not see that clock")
    bench.want_undisturbed_result(job)
    bench.want(not job.resumes(), "it was started again")
    bench.want(not [line for line in job.log().splitlines() if " warning " in line and "node3" in line], "there were warnings")
