"""The networks of the shipped recipes in PyTorch, layer for layer: ResNet-50 v1.5 and the CIFAR ResNets with option A."""

import torch.nn as nn
import torch.nn.functional as F


def norm_conv(inside, outside, kernel, stride=1):
    """A convolution without bias that keeps the side (but for its stride), and its batch norm."""
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outside))


class Bottleneck(nn.Module):
    """1x1, 3x3 with the stride, 1x1 to four times the width; He et al. 2015, figure 5, in the form known as v1.5."""

    def __init__(self, inside, width, stride):
        super().__init__()
        self.first = norm_conv(inside, width, 1)
        self.second = norm_conv(width, width, 3, stride)
        self.third = norm_conv(width, 4 * width, 1)
        changes = stride != 1 or inside != 4 * width
        self.shortcut = norm_conv(inside, 4 * width, 1, stride) if changes else nn.Identity()

    def forward(self, x):
        y = F.relu(self.first(x), inplace=True)
        y = F.relu(self.second(y), inplace=True)
        return F.relu(self.third(y) + self.shortcut(x), inplace=True)


class ResNet50(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.stem = norm_conv(3, 64, 7, 2)
        blocks, inside = [], 64
        for width, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
            for i in range(count):
                blocks.append(Bottleneck(inside, width, stride if i == 0 else 1))
                inside = 4 * width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inside, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.stem(x), inplace=True), 3, 2, 1)
        return self.head(self.blocks(x).mean((2, 3)))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions; where the shape changes, the shortcut takes every other pixel and pads channels with 0."""

    def __init__(self, inside, outside, stride):
        super().__init__()
        self.first = norm_conv(inside, outside, 3, stride)
        self.second = norm_conv(outside, outside, 3)
        self.stride, self.more = stride, outside - inside

    def forward(self, x):
        y = self.second(F.relu(self.first(x), inplace=True))
        if self.stride != 1 or self.more:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))
        return F.relu(y + x, inplace=True)


class CifarResNet(nn.Module):
    """Depth 6n + 2."""

    def __init__(self, depth, classes):
        super().__init__()
        self.stem = norm_conv(3, 16, 3)
        blocks, inside = [], 16
        for outside, stride in ((16, 1), (32, 2), (64, 2)):
            for i in range((depth - 2) // 6):
                blocks.append(BasicBlock(inside, outside, stride if i == 0 else 1))
                inside = outside
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inside, classes)

    def forward(self, x):
        return self.head(self.blocks(F.relu(self.stem(x), inplace=True)).mean((2, 3)))


def build(name, classes):
    """The model and the side of its images."""
    if name == "resnet50":
        return ResNet50(classes), 224
    if name.startswith("resnet"):
        return CifarResNet(int(name.removeprefix("resnet")), classes), 32
    raise SystemExit(f"no model {name}: resnet50, resnet20, resnet56, …")
