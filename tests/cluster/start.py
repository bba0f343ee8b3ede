"""Rows: one host is not like the others when the ranks start. All must end soon, with one message."""

import gzip
import re
import shutil
import subprocess
import time

from hosts import ENTER
from row import BOTH, SlurmJob, rows_under

WITHIN_S = 10


def want_one_message(bench, job, code, *parts):
    """The job must say once what is wrong, and all its ranks must have ended with `code` within 10 s of that.

    A rank that sees another's end before it hears why leaves with 6, which train.sbatch takes for a lost peer: it queues
    the job again, and the next start says it again."""
    def said():
        return [line for line in job.text().splitlines() if line.startswith("athanor: ") and all(part in line for part in parts)]
    job.wait(said, f"a message with {parts}", 60)
    since = time.monotonic()
    found = job.end(60)
    took_s = time.monotonic() - since
    print(f"ended {took_s:.1f} s after the message")
    bench.want(found == code, f"exit code {found}, want {code}")
    starts = 1 + job.text().count("exit code 6: queued again")
    bench.want(starts <= 2, f"it was started {starts} times")
    bench.want(took_s <= starts * WITHIN_S, f"it took {took_s:.1f} s for {starts} starts, want {WITHIN_S} s each")
    bench.want(len(said()) == starts, f"want one message with {parts} a start: {said()}")
    bench.want_nothing_left()


def with_another(bench, kind, path, other, code, *parts):
    """Starts a job whose rank on node3 finds `other` where the others find `path`."""
    bench.cluster.run("node3", "mount", "--bind", other, path)
    try:
        job = bench.job(kind)
        want_one_message(bench, job, code, *parts)
    finally:
        bench.cluster.run("node3", "umount", "-l", path)


@rows_under(BOTH, "a_rank_has_another_recipe")
def a_rank_has_another_recipe(bench, kind):
    other = bench.home / "other.yaml"
    other.write_text(bench.recipe.read_text().replace("lr: 0.05", "lr: 0.06"))
    with_another(bench, kind, bench.recipe, other, 2, "rank 2 on node3", "optimizer.lr")


@rows_under(BOTH, "a_rank_has_another_program")
def a_rank_has_another_program(bench, kind):
    library = bench.cluster.program.parent / "libathanor.so"
    if not library.exists():
        library = bench.cluster.program
    other = bench.home / "other"
    shutil.copy2(library.resolve(), other)
    notes = subprocess.run(["readelf", "-n", library], capture_output=True, text=True, check=True).stdout
    own_id = bytes.fromhex(re.search(r"Build ID: ([0-9a-f]+)", notes).group(1))
    content = other.read_bytes()
    bench.want(content.count(own_id) == 1, f"{library} does not hold its build ID once")
    other.write_bytes(content.replace(own_id, own_id[::-1]))
    with_another(bench, kind, library.resolve(), other, 2, "rank 2 on node3", "another program")


@rows_under(BOTH, "a_rank_has_other_data")
def a_rank_has_other_data(bench, kind):
    data = bench.own_data()
    other = bench.home / "other"
    shutil.copytree(data, other)
    labels = other / "train-labels-idx1-ubyte.gz"
    content = bytearray(gzip.decompress(labels.read_bytes()))
    content[-1] = (content[-1] + 1) % 10
    labels.write_bytes(gzip.compress(bytes(content)))
    with_another(bench, kind, data, other, 3, "rank 2 on node3", "other data")


@rows_under(BOTH, "a_rank_has_too_little_memory")
def a_rank_has_too_little_memory(bench, kind):
    few = bench.home / "few"
    if kind is SlurmJob:
        few.write_text(f'#!/bin/sh\n[ "$(hostname)" = node3 ] && ulimit -v 450000\nexec {bench.cluster.program} "$@"\n')
    else:
        few.write_text(f'#!/bin/sh\n[ "$1" = node3 ] && ulimit -v 450000\nexec {ENTER} "$@"\n')
    few.chmod(0o755)
    job = bench.job(kind, **({"program": few} if kind is SlurmJob else {"rsh": few}))
    want_one_message(bench, job, 5, "rank 2 on node3", "memory")
