#!/usr/bin/env python3
"""PyTorch's training step, or its evaluation, on the CPU: a peer that stays ready and measures when it is asked.

    torch_steps.py --model resnet50 --batch 16 --threads 2 --layout nhwc --style compiled

Batches are random and stay the same. A step of training is a full one: gradients to zero, forward, cross-entropy,
backward, SGD with momentum and weight decay. With --processes P the batch is cut into P parts, one a process, and
DistributedDataParallel sums the gradients over gloo.

Standard input has one number a line: seconds to measure for. Each is answered by a JSON line: images/s of all
processes from the median step, and the most memory that they ever took. The line before the first says how long it
took from the start of the process (--born, of the monotonic clock) until the first step began and ended. At the end
of the input all processes leave.
"""

import argparse
import contextlib
import datetime
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import torch
import torch.nn.functional as F

from networks import build

WARM_UP_STEPS = 2
FEWEST_STEPS = 2


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resnet50", help="alchemynet, cifar110, a name of torchvision, timm:NAME")
    parser.add_argument("--batch", type=int, default=16, help="images of a step, of all processes together")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--layout", choices=["nchw", "nhwc"], default="nhwc")
    parser.add_argument("--style", choices=["eager", "compiled", "frozen"], default="eager",
                        help="frozen: compiled with the weights as constants, for evaluation")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--evaluation", action="store_true")
    parser.add_argument("--born", type=float, default=time.monotonic())
    parser.add_argument("--rank", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--meeting", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


class Ranks:
    """The processes of this measurement: rank 0 starts the others, and what it says holds for all."""

    def __init__(self, args):
        self.rank, self.size = args.rank, args.processes
        if self.size == 1:
            return
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        meeting = args.meeting or os.path.join(tempfile.mkdtemp(), "ranks")
        if self.rank == 0:
            for rank in range(1, self.size):
                subprocess.Popen([sys.executable, *sys.argv, "--rank", str(rank), "--meeting", meeting],
                                 stdin=subprocess.DEVNULL)
        # Ranks wait for rank 0's next word for as long as other programs are measured.
        torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=self.rank,
                                             world_size=self.size, timeout=datetime.timedelta(days=1))

    def first(self, value):
        """Rank 0's value."""
        if self.size == 1:
            return value
        word = torch.tensor([value], dtype=torch.float64)
        torch.distributed.broadcast(word, 0)
        return word.item()

    def total(self, value):
        if self.size == 1:
            return value
        word = torch.tensor([value], dtype=torch.float64)
        torch.distributed.all_reduce(word)
        return word.item()


class Step:
    """One step, ready to be called."""

    def __init__(self, args):
        torch.manual_seed(args.rank)
        layout = torch.channels_last if args.layout == "nhwc" else torch.contiguous_format
        model, shape, classes = build(args.model)
        model = model.to(memory_format=layout).train(not args.evaluation)
        rows = args.batch // args.processes
        self.images = torch.randn(rows, *shape).to(memory_format=layout)
        self.labels = torch.randint(classes, (rows,))
        self.dtype = torch.bfloat16 if args.precision == "bf16" else None
        self.optimizer = None
        if not args.evaluation:
            self.optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, weight_decay=1e-4, fused=True)
            if args.processes > 1:
                model = torch.nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True)
        if args.style == "frozen":
            from torch._inductor import config
            config.freezing = True
        self.model = model if args.style == "eager" else torch.compile(model)

    def precision(self):
        if self.dtype is None:
            return contextlib.nullcontext()
        return torch.autocast("cpu", dtype=self.dtype)

    def __call__(self):
        if self.optimizer is None:
            with torch.no_grad(), self.precision():
                self.model(self.images)
            return
        self.optimizer.zero_grad(set_to_none=True)
        with self.precision():
            loss = F.cross_entropy(self.model(self.images), self.labels)
        loss.backward()
        self.optimizer.step()


def timed(step):
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def measure(step, ranks, seconds, usual_s):
    """Every rank runs as many steps as rank 0 thinks will fill the time."""
    count = int(ranks.first(max(FEWEST_STEPS, round(seconds / usual_s))))
    times = [timed(step) for _ in range(count)]
    peak = ranks.total(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    return times, int(peak)


def say(ranks, **figures):
    if ranks.rank == 0:
        print(json.dumps(figures), flush=True)


def main():
    args = parse()
    torch.set_num_threads(args.threads)
    ranks = Ranks(args)
    step = Step(args)
    begins_s = time.monotonic() - args.born
    step()
    ends_s = time.monotonic() - args.born
    for _ in range(WARM_UP_STEPS - 1):
        step()
    usual_s = timed(step)
    say(ranks, first_step_begins_s=round(begins_s, 3), first_step_ends_s=round(ends_s, 3), torch=torch.__version__)
    while True:
        line = sys.stdin.readline() if ranks.rank == 0 else ""
        seconds = ranks.first(float(line or 0))
        if seconds <= 0:
            break
        times, peak = measure(step, ranks, seconds, usual_s)
        usual_s = statistics.median(times)
        say(ranks, images_per_s=args.batch / usual_s, step_ms=1e3 * usual_s, steps=len(times), peak_bytes=peak)
    if ranks.size > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
