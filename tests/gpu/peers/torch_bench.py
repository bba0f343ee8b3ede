#!/usr/bin/env python3
"""PyTorch's training speed on synthetic images that already lie on the device: the peer to measure against.

    torch_bench.py --model resnet50 --batch 256 400 --precision bf16 fp16 --mode eager compile reduce-overhead max-autotune

A step is a full one: gradients to zero, forward and cross-entropy under autocast, backward, SGD with momentum and weight
decay; channels-last; fp16 with a gradient scaler; images in the type that convolutions want. Each combination runs in a
process of its own, with a time limit that includes compilation. Prints one JSON line for each, as it ends:
images/s from the median of device-timed steps, and the memory that tensors took at most.
"""

import argparse
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import time

MODES = ("eager", "compile", "reduce-overhead", "max-autotune")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--batch", type=int, nargs="+", default=[256])
    parser.add_argument("--precision", nargs="+", default=["bf16"], choices=["fp32", "tf32", "bf16", "fp16"])
    parser.add_argument("--mode", nargs="+", default=list(MODES), choices=MODES)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--side", type=int, default=0, help="of the images; 0: the model's own")
    parser.add_argument("--steps", type=int, default=30, help="that are timed")
    parser.add_argument("--warmup", type=int, default=12)
    parser.add_argument("--limit", type=float, default=180, help="seconds for one combination")
    parser.add_argument("--total", type=float, default=0, help="seconds for all; what does not fit is left out")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


class Timer:
    """Marks the ends of steps: on the device where there is one, so that the host may run ahead."""

    def __init__(self, torch, cuda):
        self.torch, self.cuda, self.marks = torch, cuda, []

    def mark(self):
        if self.cuda:
            event = self.torch.cuda.Event(enable_timing=True)
            event.record()
            self.marks.append(event)
        else:
            self.marks.append(time.perf_counter())

    def seconds(self):
        if self.cuda:
            self.torch.cuda.synchronize()
            return [a.elapsed_time(b) / 1000 for a, b in zip(self.marks, self.marks[1:])]
        return [b - a for a, b in zip(self.marks, self.marks[1:])]


def measure(args, precision, mode, batch):
    import torch
    import torch.nn.functional as F
    from models import build

    born = time.perf_counter()
    cuda = args.device == "cuda"
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision != "fp32"
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)
    mixed = dtype != torch.float32

    model, side = build(args.model, args.classes)
    side = args.side or side
    model = model.to(args.device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4, fused=cuda)
    scaler = torch.amp.GradScaler(args.device, enabled=precision == "fp16" and cuda)
    images = torch.randn(batch, 3, side, side, device=args.device).to(dtype, memory_format=torch.channels_last)
    labels = torch.randint(args.classes, (batch,), device=args.device)

    def loss_of(images, labels):
        with torch.autocast(args.device, dtype=dtype, enabled=mixed):
            return F.cross_entropy(model(images), labels)

    if mode != "eager":
        loss_of = torch.compile(loss_of, mode=None if mode == "compile" else mode)

    def step():
        if mode in ("reduce-overhead", "max-autotune"):
            torch.compiler.cudagraph_mark_step_begin()
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(images, labels)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss

    step()
    if cuda:
        torch.cuda.synchronize()
    first_step_s = time.perf_counter() - born
    for _ in range(args.warmup):
        step()
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    timer = Timer(torch, cuda)
    timer.mark()
    for _ in range(args.steps):
        loss = step()
        timer.mark()
    seconds = sorted(timer.seconds())
    median = statistics.median(seconds)
    return {
        "images_per_s": round(batch / median, 1),
        "step_ms": round(median * 1000, 4),
        "step_ms_p10": round(seconds[len(seconds) // 10] * 1000, 4),
        "step_ms_p90": round(seconds[len(seconds) * 9 // 10] * 1000, 4),
        "peak_bytes": torch.cuda.max_memory_allocated() if cuda else 0,
        "reserved_bytes": torch.cuda.max_memory_reserved() if cuda else 0,
        "first_step_s": round(first_step_s, 2),
        "loss": loss.item(),
        "torch": torch.__version__,
        "cudnn": torch.backends.cudnn.version() if cuda else None,
        "gpu": torch.cuda.get_device_name() if cuda else None,
    }


def run_child(args, precision, mode, batch, limit):
    """What the process printed last, as an object; an "error" where there is none."""
    command = [sys.executable, os.path.abspath(__file__), "--child", "--model", args.model, "--batch", str(batch),
               "--precision", precision, "--mode", mode, "--classes", str(args.classes), "--side", str(args.side),
               "--steps", str(args.steps), "--warmup", str(args.warmup), "--device", args.device]
    # A session of its own: compilers that it started end with it.
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        output, errors = child.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        return {"error": f"not done within {limit:.0f} s"}
    lines = output.strip().splitlines()
    if child.returncode == 0 and lines:
        return json.loads(lines[-1])
    return {"error": (errors.strip().splitlines() or [f"exit code {child.returncode}"])[-1][:400]}


def main():
    args = parse()
    if args.child:
        print(json.dumps(measure(args, args.precision[0], args.mode[0], args.batch[0])), flush=True)
        return
    start = time.monotonic()
    for batch, precision, mode in itertools.product(args.batch, args.precision, args.mode):
        line = {"peer": "torch", "model": args.model, "batch": batch, "precision": precision, "mode": mode}
        left = args.total - (time.monotonic() - start) if args.total else args.limit
        began = time.monotonic()
        if left < 10:
            line["error"] = "not run: no time left"
        else:
            line |= run_child(args, precision, mode, batch, min(args.limit, left))
        line["wall_s"] = round(time.monotonic() - began, 1)
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
