"""The networks that are compared, in PyTorch: those that a user would take from torchvision and timm, and the small ones."""

import sys
from pathlib import Path

import torch.nn as nn

sys.path.append(str(Path(__file__).resolve().parents[2] / "gpu" / "peers"))
from models import CifarResNet, norm_conv  # noqa: E402


def alchemynet():
    """A convolution to 32 channels and a linear layer on what a 2x2 pool leaves of 28x28 pixels."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 13 * 13, 10))


def cifar_resnet(depth, channels=3):
    network = CifarResNet(depth, 10)
    network.stem = norm_conv(channels, 16, 3)
    return network


def build(name):
    """The model, the shape of its images and the number of its classes."""
    if name == "alchemynet":
        return alchemynet(), (1, 28, 28), 10
    if name.startswith("cifar"):
        return cifar_resnet(int(name.removeprefix("cifar"))), (3, 32, 32), 10
    if name.startswith("timm:"):
        import timm
        return timm.create_model(name.removeprefix("timm:")), (3, 224, 224), 1000
    import torchvision
    return torchvision.models.get_model(name), (3, 224, 224), 1000
