"""What is compared: a recipe of ours and the same network of PyTorch, row by row."""

from dataclasses import dataclass
from pathlib import Path

RECIPES = Path(__file__).resolve().parent / "recipes"


@dataclass(frozen=True)
class Network:
    key: str  # as --networks says it
    title: str
    recipe: str
    model: str  # as peers/networks.py says it
    batch: int
    precision: str = "fp32"
    evaluation: bool = False
    styles: tuple = ("eager", "compiled")
    by_default: bool = True
    trains: bool = True  # as the recipe stands: drawn images have 10 classes

    def recipe_path(self):
        return RECIPES / f"{self.recipe}.yaml"


NETWORKS = [
    Network("alchemynet", "AlchemyNet, 28², batch 128", "alchemynet", "alchemynet", 128),
    Network("resnet20", "ResNet-20, 32², batch 128", "resnet20", "cifar20", 128),
    Network("resnet110", "ResNet-110, 32², batch 128", "resnet110", "cifar110", 128),
    Network("resnet18", "ResNet-18, 224², batch 32", "resnet18", "resnet18", 32, trains=False),
    Network("resnet50", "ResNet-50, 224², batch 16", "resnet50", "resnet50", 16, trains=False),
    Network("seresnet50", "SE-ResNet-50, 224², batch 16", "seresnet50", "timm:seresnet50", 16, trains=False),
    Network("resnet50-bf16", "ResNet-50, bf16, batch 16", "resnet50", "resnet50", 16, precision="bf16", trains=False),
    Network("resnet50-eval", "ResNet-50, evaluation, batch 16", "resnet50", "resnet50", 16, evaluation=True),
    Network("resnet50-frozen", "… PyTorch's weights frozen", "resnet50", "resnet50", 16, evaluation=True,
            styles=("frozen",), by_default=False),
]


def chosen(keys):
    """The networks of these keys, in the order of the list; where there are none the usual ones. Raises KeyError."""
    known = {network.key for network in NETWORKS}
    for key in keys:
        if key not in known:
            raise KeyError(key)
    return [network for network in NETWORKS if (network.key in keys if keys else network.by_default)]


@dataclass(frozen=True)
class Mode:
    """A way of running PyTorch."""

    style: str
    layout: str
    processes: int
    threads: int

    def text(self):
        return f"{self.style} {self.layout.upper()} {self.processes}×{self.threads}"


def cut(batch, cores):
    """Processes of one or more threads each that share a batch evenly and leave as few cores idle as they can."""
    processes = max(count for count in range(1, cores + 1) if batch % count == 0)
    return processes, cores // processes


def splits(batch, cores):
    """(processes, threads): one process with all cores, and as many processes as the batch allows."""
    return list(dict.fromkeys([(1, cores), cut(batch, cores)]))


def all_modes(network, cores):
    return [Mode(style, layout, *split) for style in network.styles for layout in ("nhwc", "nchw")
            for split in splits(network.batch, cores)]


def first_modes(network, cores):
    """Of a quick search: NHWC and, where nothing is compiled, NCHW with one process."""
    style = network.styles[0]
    pairs = splits(network.batch, cores)
    return [Mode(style, "nhwc", *pair) for pair in pairs] + [Mode(style, "nchw", *pairs[0])] * (style == "eager")


def next_modes(network, cores, best):
    """Of a quick search: the other styles in the layout that was best, since compiling takes a minute."""
    return [Mode(style, best.layout, *split) for style in network.styles[1:]
            for split in splits(network.batch, cores)]
