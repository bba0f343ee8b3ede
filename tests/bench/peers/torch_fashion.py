#!/usr/bin/env python3
"""PyTorch on Fashion-MNIST, as configs/fashion-mnist/resnet20.yaml says: ResNet-20, batch 128, SGD and one cycle.

    torch_fashion.py FOLDER --epochs 10 --seed 0 --threads 2 --style compiled

A sample is cropped at random after two black pixels were added on each side, and flipped, as in ours; all images lie in
memory, and a batch is made by one indexing. Whole batches alone are trained on. Prints a JSON line: seconds of the
steps, compilation included and evaluations left out, and the accuracy at the end, each epoch's beside it.
"""

import argparse
import gzip
import json
import time
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F

from networks import cifar_resnet

SIDE, PADDING = 28, 2
MEAN, DEVIATION = 0.2860, 0.3530
EVALUATION_BATCH = 500


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--layout", choices=["nchw", "nhwc"], default="nhwc")
    parser.add_argument("--style", choices=["eager", "compiled"], default="eager")
    return parser.parse_args()


def read_idx(path, header_bytes):
    with gzip.open(path) as file:
        return torch.from_numpy(numpy.frombuffer(file.read(), numpy.uint8, offset=header_bytes).copy())


class Split:
    """Images [N, 28, 28] and labels [N] in memory."""

    def __init__(self, folder, name):
        self.images = read_idx(folder / f"{name}-images-idx3-ubyte.gz", 16).view(-1, SIDE, SIDE)
        self.labels = read_idx(folder / f"{name}-labels-idx1-ubyte.gz", 8).long()
        side = SIDE + 2 * PADDING
        self.padded = F.pad(self.images, [PADDING] * 4).view(-1, side * side)

    def augmented(self, samples):
        """[n, 1, 28, 28] in float32: each sample's own crop, flipped or not."""
        count, places = len(samples), 2 * PADDING + 1
        across = torch.arange(SIDE).repeat(count, 1)
        across = torch.where(torch.rand(count, 1) < 0.5, SIDE - 1 - across, across) + torch.randint(places, (count, 1))
        down = torch.arange(SIDE) + torch.randint(places, (count, 1))
        pixels = (down[:, :, None] * (SIDE + 2 * PADDING) + across[:, None, :]).view(count, -1)
        return normalized(self.padded[samples].gather(1, pixels).view(count, 1, SIDE, SIDE))


def normalized(pixels):
    return (pixels.float() - 255 * MEAN) / (255 * DEVIATION)


def accuracy(model, split, layout):
    correct = 0
    with torch.no_grad():
        for images, labels in zip(split.images.split(EVALUATION_BATCH), split.labels.split(EVALUATION_BATCH)):
            logits = model(normalized(images[:, None]).contiguous(memory_format=layout))
            correct += (logits.argmax(1) == labels).sum().item()
    return correct / len(split.labels)


def main():
    args = parse()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    layout = torch.channels_last if args.layout == "nhwc" else torch.contiguous_format
    train, test = Split(args.folder, "train"), Split(args.folder, "t10k")
    network = cifar_resnet(20, channels=1).to(memory_format=layout)
    model = torch.compile(network) if args.style == "compiled" else network
    steps = len(train.labels) // args.batch
    optimizer = torch.optim.SGD(network.parameters(), lr=0.2, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.2, total_steps=steps * args.epochs, pct_start=0.25)
    seconds, accuracies = 0.0, []
    for _ in range(args.epochs):
        network.train()
        start = time.perf_counter()
        for samples in torch.randperm(len(train.labels))[:steps * args.batch].split(args.batch):
            optimizer.zero_grad(set_to_none=True)
            logits = model(train.augmented(samples).contiguous(memory_format=layout))
            F.cross_entropy(logits, train.labels[samples]).backward()
            optimizer.step()
            schedule.step()
        seconds += time.perf_counter() - start
        network.eval()
        accuracies.append(accuracy(model, test, layout))
    print(json.dumps({"seconds": round(seconds, 2), "accuracy": accuracies[-1], "accuracies": accuracies}))


if __name__ == "__main__":
    main()
