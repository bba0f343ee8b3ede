#!/usr/bin/env python3
"""Writes training.json: 20 training steps of three networks in PyTorch, float64, on data and weights that C++ can draw too.

    python tests/parity/make_training.py        (needs torch and numpy)

Data (tests/support/parity_data.h is the same in C++). Step t = 1 ... 20 has a batch of its own. With
stream(name, a) = RandomStream(seed 1234, Purpose::test, a, key_of(name)):
- labels: stream("labels", t).below(10), one a sample;
- images: stream("images", t).below(156), one a pixel, samples in order, rows in order; plus 99 in the 7x7 block of the
  image whose number (4 blocks a row) is the label: uint8; the network sees (value / 255 - 0.5) / 0.25;
- weights and biases of convolutions and linears: stream(parameter name, 0).uniform(-b, b), b = float32(1 / sqrt(fan_in)),
  fan_in that of the layer, logical (OIHW) order; gamma = 1, beta = 0, running mean 0, running variance 1.

`losses[t - 1]` is the loss of batch t before update t. Checksums of every parameter and running statistic follow updates 1
and 20. Cross-entropy is the mean over the batch. The decay of SGD is PyTorch's (L2, on every parameter, norms too).

The residual networks are those of shared/peers/torch_train.py (CifarResNet) with three differences: one input channel;
width is a parameter (16); and the zero channels of the option-A shortcut stand half before and half after the input's
(He et al. 2015 do not say where; the peer puts all of them after). The blocks are the same: conv-bn-relu-conv-bn, add, relu.
SE blocks (Hu et al. 2018) scale the second batch norm's output, before the add, squeezing C to max(1, C / 16).
"""
import json
import pathlib

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

import keyed_random

SEED, STEPS, SIDE, CLASSES = 1234, 20, 28, 10
FOLDER = pathlib.Path(__file__).parent


def below(count, limit, step, name):
    bits = keyed_random.bits(count, SEED, step, keyed_random.key_of(name))
    return ((bits * np.uint64(limit)) >> np.uint64(32)).astype(np.int64)


def batch(step, size):
    """uint8 images [size, 1, 28, 28] and labels [size]."""
    target = below(size, CLASSES, step, "labels")
    images = below(size * SIDE * SIDE, 156, step, "images").reshape(size, 1, SIDE, SIDE)
    for image, label in zip(images, target):
        top, left = label // 4 * 7, label % 4 * 7
        image[0, top:top + 7, left:left + 7] += 99
    return images, target


class AlchemyNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.fc = nn.Conv2d(1, 32, 3), nn.Linear(32 * 13 * 13, CLASSES)

    def forward(self, x):
        return self.fc(F.max_pool2d(F.relu(self.conv1(x)), 2).flatten(1))


class SqueezeExcite(nn.Module):
    def __init__(self, channels):
        super().__init__()
        squeezed = max(1, channels // 16)
        self.fc1, self.fc2 = nn.Linear(channels, squeezed), nn.Linear(squeezed, channels)

    def forward(self, x):
        scale = torch.sigmoid(self.fc2(F.relu(self.fc1(x.mean((2, 3))))))
        return x * scale[:, :, None, None]


class Block(nn.Module):
    def __init__(self, cin, cout, stride, has_se):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False), nn.BatchNorm2d(cout)
        self.conv2, self.bn2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False), nn.BatchNorm2d(cout)
        if has_se:
            self.se = SqueezeExcite(cout)
        self.stride, self.extra, self.has_se = stride, cout - cin, has_se

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.has_se:
            y = self.se(y)
        if self.stride != 1 or self.extra:
            before = self.extra // 2
            x = F.pad(x[:, :, ::self.stride, ::self.stride], (0, 0, 0, 0, before, self.extra - before))
        return F.relu(x + y)


class CifarResNet(nn.Module):
    def __init__(self, depth, width, has_se):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        cin = width
        for stage, (cout, stride) in enumerate(((width, 1), (2 * width, 2), (4 * width, 2)), 1):
            blocks = nn.Module()
            for i in range(1, (depth - 2) // 6 + 1):
                blocks.add_module(f"block{i}", Block(cin, cout, stride if i == 1 else 1, has_se))
                cin = cout
            self.add_module(f"stage{stage}", blocks)
        self.fc = nn.Linear(cin, CLASSES)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        for stage in (self.stage1, self.stage2, self.stage3):
            for block in stage.children():
                x = block(x)
        return self.fc(x.mean((2, 3)))


def initialize(network):
    """Draws every weight and bias of convolutions and linears; nn.BatchNorm2d already starts at gamma 1, beta 0."""
    for layer_name, layer in network.named_modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            bound = np.float32(1 / np.sqrt(layer.weight[0].numel()))
            for name, parameter in layer.named_parameters(recurse=False):
                key = keyed_random.key_of(f"{layer_name}.{name}")
                values = keyed_random.uniform(parameter.numel(), -bound, bound, SEED, 0, key)
                with torch.no_grad():
                    parameter.copy_(torch.from_numpy(values).reshape(parameter.shape))


def checksums(network):
    """Sum and l2 norm of every parameter and running statistic, in byte order of their names."""
    state = {name: value.double() for name, value in network.state_dict().items() if "num_batches" not in name}
    return {name: {"sum": value.sum().item(), "l2": value.norm().item()} for name, value in sorted(state.items())}


def train(network, make_optimizer, size, dtype=torch.float64):
    initialize(network)
    network.to(dtype).train()
    optimizer = make_optimizer(network.parameters())
    result = {"batch": size, "parameters": sum(p.numel() for p in network.parameters()),
              "initial": checksums(network), "losses": []}
    for step in range(1, STEPS + 1):
        images, target = batch(step, size)
        x = ((torch.from_numpy(images).double() / 255 - 0.5) / 0.25).to(dtype)
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x), torch.from_numpy(target))
        loss.backward()
        optimizer.step()
        result["losses"].append(loss.item())
        if step in (1, STEPS):
            result[f"after_step_{step}"] = checksums(network)
    return result


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)


RUNS = {
    "alchemy_net": (AlchemyNet, lambda p: torch.optim.Adam(p, lr=1e-3), 32,
                    {"name": "adam", "lr": 1e-3}),
    "resnet20": (lambda: CifarResNet(20, 16, False), sgd, 32,
                 {"name": "sgd", "lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}),
    "se_resnet20": (lambda: CifarResNet(20, 16, True), sgd, 16,
                    {"name": "sgd", "lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}),
}


def main():
    torch.set_num_threads(1)
    images, target = batch(1, 32)
    output = {"torch": torch.__version__, "seed": SEED, "steps": STEPS,
              "first_batch": {"labels": target.tolist(), "pixel_sum": int(images.sum()),
                              "first_pixels": images.reshape(-1)[:8].tolist()}}
    for name, (make_network, make_optimizer, size, optimizer) in RUNS.items():
        output[name] = {"optimizer": optimizer, **train(make_network(), make_optimizer, size)}
        losses = output[name]["losses"]
        rounded = train(make_network(), make_optimizer, size, torch.float32)["losses"]
        drift = [abs(a - b) / b for a, b in zip(rounded, losses)]
        output[name]["float32_drift"] = [float(f"{d:.1e}") for d in drift]
        print(name, output[name]["parameters"], " ".join(f"{loss:.4f}" for loss in losses), f"drift {max(drift):.1e}")
    text = json.dumps(output, indent=1)
    (FOLDER / "training.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
