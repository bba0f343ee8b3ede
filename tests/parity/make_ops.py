#!/usr/bin/env python3
"""Writes ops.bin and ops.json: what PyTorch says about every op, forward and gradient.

    python tests/parity/make_ops.py        (needs torch and numpy; the files are committed, so tests need neither)

Inputs are float32 numbers; PyTorch computes in float64 on the CPU and the results are stored as float32. ops.json lists the
cases; shapes and byte offsets point into ops.bin (little-endian float32 or int32). The gradient is that of
sum(output_gradient * outputs[0]).
"""
import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F

import keyed_random

FOLDER = pathlib.Path(__file__).parent
generator = torch.Generator().manual_seed(20)


def draw(*shape, low=-1.0, high=1.0):
    x = torch.rand(shape, generator=generator, dtype=torch.float32) * (high - low) + low
    return x.double()


def away_from_zero(*shape, size=4.0):
    x = draw(*shape, low=0.0125, high=1.0) * size
    return (x * torch.where(draw(*shape) < 0, -1.0, 1.0)).float().double()


def labels(count, classes):
    return torch.randint(classes, (count,), generator=generator)


class Fixture:
    def __init__(self):
        self.blob, self.cases = bytearray(), []

    def store(self, name, tensor):
        is_integer = not tensor.dtype.is_floating_point
        array = tensor.detach().numpy().astype("<i4" if is_integer else "<f4")
        entry = {"name": name, "shape": list(array.shape), "dtype": "int32" if is_integer else "float32",
                 "offset": len(self.blob)}
        self.blob += array.tobytes()
        return entry

    def add(self, label, op, attributes, inputs, compute):
        """inputs: {name: tensor}; compute(*tensors) -> {name: tensor}, the first one differentiable."""
        leaves = {name: x.clone().requires_grad_(x.dtype.is_floating_point) for name, x in inputs.items()}
        outputs = compute(*leaves.values())
        first = next(iter(outputs.values()))
        case = {"name": label, "op": op, "attributes": attributes,
                "inputs": [self.store(name, x) for name, x in inputs.items()],
                "outputs": [self.store(name, y) for name, y in outputs.items()]}
        if first.requires_grad:
            gradient = draw(*first.shape)
            first.backward(gradient)
            case["output_gradient"] = self.store("output_gradient", gradient)
            case["input_gradients"] = [self.store(name, x.grad) if x.grad is not None else None
                                       for name, x in leaves.items()]
        self.cases.append(case)

    def write(self):
        (FOLDER / "ops.bin").write_bytes(self.blob)
        lines = ",\n".join(json.dumps(case) for case in self.cases)
        (FOLDER / "ops.json").write_text(f'{{"torch": "{torch.__version__}", "cases": [\n{lines}\n]}}\n')
        print(f"{len(self.cases)} cases, {len(self.blob)} bytes")


def add_convolutions(fixture):
    # label, x, output channels, kernel, stride, padding, dilation, groups, bias, activation
    table = [("3x3", (2, 3, 9, 7), 8, (3, 3), (1, 1), (1, 1), (1, 1), 1, True, "none"),
             ("3x3 blocked channels", (1, 16, 6, 6), 32, (3, 3), (1, 1), (1, 1), (1, 1), 1, False, "none"),
             ("strided, odd size", (2, 16, 7, 5), 16, (3, 3), (2, 2), (1, 1), (1, 1), 1, False, "none"),
             ("1x1 stride 2", (2, 17, 5, 5), 8, (1, 1), (2, 2), (0, 0), (1, 1), 1, True, "none"),
             ("stride above kernel", (1, 4, 8, 8), 5, (2, 1), (3, 4), (0, 0), (1, 1), 1, True, "none"),
             ("dilated", (2, 3, 9, 11), 4, (3, 2), (1, 2), (2, 1), (2, 3), 1, True, "none"),
             ("grouped", (2, 6, 5, 5), 9, (3, 3), (1, 1), (1, 1), (1, 1), 3, True, "none"),
             ("depthwise", (1, 16, 6, 6), 16, (3, 3), (1, 1), (1, 1), (1, 1), 16, False, "none"),
             ("relu", (2, 1, 8, 8), 16, (3, 3), (1, 1), (0, 0), (1, 1), 1, True, "relu"),
             ("7x7 stem", (1, 3, 17, 15), 8, (7, 7), (2, 2), (3, 3), (1, 1), 1, False, "none")]
    for label, shape, out, kernel, stride, padding, dilation, groups, has_bias, activation in table:
        inputs = {"x": draw(*shape), "weight": draw(out, shape[1] // groups, *kernel)}
        if has_bias:
            inputs["bias"] = draw(out)

        def compute(x, weight, bias=None):
            y = F.conv2d(x, weight, bias, stride, padding, dilation, groups)
            return {"y": F.relu(y) if activation == "relu" else y}

        fixture.add(f"conv2d {label}", "conv2d",
                    {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups,
                     "activation": activation}, inputs, compute)
    fixture.add("linear", "linear", {}, {"x": draw(3, 33), "weight": draw(10, 33), "bias": draw(10)},
                lambda x, w, b: {"y": F.linear(x, w, b)})
    fixture.add("linear without bias, relu", "linear", {"activation": "relu"},
                {"x": draw(1, 64), "weight": draw(16, 64)}, lambda x, w: {"y": F.relu(F.linear(x, w))})


def add_norms(fixture):
    def batch_norm(eps, activation):
        def compute(x, gamma, beta, residual=None):
            # momentum 1 leaves the statistics of this batch in the running ones: the mean and the unbiased variance
            mean, variance = torch.zeros_like(gamma), torch.zeros_like(gamma)
            y = F.batch_norm(x, mean, variance, gamma, beta, True, 1.0, eps)
            y = y if residual is None else y + residual
            inv_std = 1 / torch.sqrt(x.var((0, 2, 3), unbiased=False) + eps)
            return {"y": F.relu(y) if activation == "relu" else y, "mean": mean, "inv_std": inv_std,
                    "batch_mean": mean, "batch_var": variance}
        return compute

    for label, shape, eps, activation, has_residual in [
            ("plain", (3, 5, 4, 3), 1e-5, "none", False), ("relu, blocked", (2, 16, 5, 5), 1e-5, "relu", False),
            ("residual and relu", (2, 17, 3, 3), 1e-5, "relu", True), ("batch 1, large eps", (1, 8, 4, 4), 1e-2, "none", False),
            ("1x1 image", (6, 32, 1, 1), 1e-5, "none", False)]:
        inputs = {"x": draw(*shape, low=-1, high=2), "gamma": draw(shape[1], low=0.5, high=1.5), "beta": draw(shape[1])}
        if has_residual:
            inputs["residual"] = draw(*shape)
        fixture.add(f"batch_norm {label}", "batch_norm", {"eps": eps, "momentum": 0.1, "activation": activation}, inputs,
                    batch_norm(eps, activation))
    mean, variance = draw(7), draw(7, low=0.25, high=2)
    fixture.add("batch_norm_inference", "batch_norm_inference", {"eps": 1e-5},
                {"x": draw(2, 7, 4, 5), "gamma": draw(7), "beta": draw(7), "running_mean": mean, "running_var": variance},
                lambda x, g, b, m, v: {"y": F.batch_norm(x, m.detach(), v.detach(), g, b, False, 0.1, 1e-5)})

    def layer_norm(x, gamma, beta):
        y, mean, inv_std = torch.native_layer_norm(x, gamma.shape, gamma, beta, 1e-5)
        return {"y": y, "mean": mean.reshape(-1), "inv_std": inv_std.reshape(-1)}

    for label, shape in [("of features", (4, 33)), ("of images", (2, 3, 5, 4))]:
        fixture.add(f"layer_norm {label}", "layer_norm", {"eps": 1e-5},
                    {"x": draw(*shape, low=-1, high=2), "gamma": draw(*shape[1:]), "beta": draw(*shape[1:])}, layer_norm)
    for groups, shape in [(1, (2, 3, 4, 5)), (4, (2, 16, 3, 3)), (6, (1, 6, 4, 4))]:
        def group_norm(x, gamma, beta):
            n, c, h, w = x.shape
            y, mean, inv_std = torch.native_group_norm(x, gamma, beta, n, c, h * w, groups, 1e-5)
            return {"y": y, "mean": mean, "inv_std": inv_std}
        fixture.add(f"group_norm {groups} groups", "group_norm", {"groups": groups, "eps": 1e-5},
                    {"x": draw(*shape, low=-1, high=2), "gamma": draw(shape[1]), "beta": draw(shape[1])}, group_norm)


def add_activations(fixture):
    for op, attributes, function in [
            ("relu", {}, F.relu), ("leaky_relu", {"slope": 0.01}, lambda x: F.leaky_relu(x, 0.01)),
            ("leaky_relu", {"slope": 0.25}, lambda x: F.leaky_relu(x, 0.25)), ("sigmoid", {}, torch.sigmoid),
            ("tanh", {}, torch.tanh), ("gelu", {"approximate": "none"}, F.gelu),
            ("gelu", {"approximate": "tanh"}, lambda x: F.gelu(x, approximate="tanh")), ("silu", {}, F.silu)]:
        label = " ".join([op, *(f"{k} {v}" for k, v in attributes.items())])
        fixture.add(label, op, attributes, {"x": away_from_zero(2, 5, 3, 7)}, lambda x: {"y": function(x)})
    for label, size in [("relu at 0", 1.0), ("leaky_relu at 0", 1.0)]:
        x = torch.tensor([[0.0, -0.0, 1.0, -1.0]], dtype=torch.float64) * size
        op = label.split()[0]
        fixture.add(label, op, {"slope": 0.01} if op == "leaky_relu" else {}, {"x": x},
                    lambda x: {"y": F.relu(x) if op == "relu" else F.leaky_relu(x, 0.01)})


def add_pooling(fixture):
    ties = torch.randint(0, 3, (2, 3, 8, 7), generator=generator).double()
    for label, x, kernel, stride, padding in [
            ("2x2", draw(2, 16, 6, 6), (2, 2), (2, 2), (0, 0)), ("ties", ties, (3, 3), (2, 2), (1, 1)),
            ("overlapping, padded", draw(1, 5, 9, 7), (3, 3), (2, 2), (1, 1)), ("odd size", draw(2, 3, 7, 5), (2, 2), (2, 2), (0, 0)),
            ("stride above kernel", draw(1, 4, 9, 8), (2, 1), (3, 4), (0, 0)), ("all negative", draw(1, 2, 5, 5) - 2, (3, 3), (1, 1), (1, 1))]:
        def compute(x):
            y, indices = F.max_pool2d(x, kernel, stride, padding, return_indices=True)
            return {"y": y, "indices": indices}
        fixture.add(f"max_pool2d {label}", "max_pool2d", {"kernel": kernel, "stride": stride, "padding": padding},
                    {"x": x}, compute)
    for counts in (True, False):
        for label, shape, kernel, stride, padding in [("padded", (2, 5, 7, 6), (3, 3), (2, 2), (1, 1)),
                                                      ("2x2", (1, 16, 6, 6), (2, 2), (2, 2), (0, 0)),
                                                      ("wide window", (1, 3, 5, 8), (2, 5), (1, 3), (1, 2))]:
            fixture.add(f"avg_pool2d {label}, count_include_pad {counts}", "avg_pool2d",
                        {"kernel": kernel, "stride": stride, "padding": padding, "count_include_pad": counts},
                        {"x": draw(*shape)}, lambda x: {"y": F.avg_pool2d(x, kernel, stride, padding, False, counts)})
    fixture.add("global_avg_pool", "global_avg_pool", {}, {"x": draw(2, 17, 5, 3)}, lambda x: {"y": x.mean((2, 3))})


def add_shape_ops(fixture):
    fixture.add("add", "add", {}, {"a": draw(2, 5, 3, 4), "b": draw(2, 5, 3, 4)}, lambda a, b: {"y": a + b})
    fixture.add("scale", "scale", {}, {"x": draw(2, 16, 3, 4), "s": draw(2, 16, low=0)},
                lambda x, s: {"y": x * s[:, :, None, None]})
    fixture.add("concat", "concat", {}, {"x0": draw(2, 3, 4, 5), "x1": draw(2, 16, 4, 5), "x2": draw(2, 1, 4, 5)},
                lambda *x: {"y": torch.cat(x, 1)})
    fixture.add("flatten", "flatten", {}, {"x": draw(2, 3, 4, 5)}, lambda x: {"y": x.flatten(1)})
    fixture.add("pad", "pad", {"pads": [1, 2, 3, 0]}, {"x": draw(2, 3, 4, 5)}, lambda x: {"y": F.pad(x, (3, 0, 1, 2))})
    for stride, shape, channels in [(2, (2, 16, 7, 6), 32), (2, (1, 4, 5, 5), 7), (1, (1, 3, 4, 4), 6)]:
        before = (channels - shape[1]) // 2
        after = channels - shape[1] - before
        fixture.add(f"shortcut_a {shape[1]} to {channels}, stride {stride}", "shortcut_a",
                    {"stride": stride, "channels": channels}, {"x": draw(*shape)},
                    lambda x: {"y": F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, before, after))})
    fixture.add("softmax", "softmax", {}, {"x": draw(3, 10, low=-4, high=4)}, lambda x: {"y": F.softmax(x, 1)})


def add_random_ops(fixture):
    """PyTorch's scaling under Athanor's own keyed masks, drawn here by the numpy twin of the generator."""
    seed, key, epoch, samples, rate = 7, 123456789, 3, [5, 59999, 0], 0.25
    for op, purpose in [("dropout", 6), ("stochastic_depth", 7)]:
        x = draw(3, 4, 3, 3)
        bits = np.stack([keyed_random.bits(36, seed ^ key, epoch, sample, purpose) for sample in samples])
        units = (bits >> np.uint64(8)).astype(np.float32) * np.float32(2.0**-24)
        kept = torch.from_numpy((units >= np.float32(rate)).astype(np.float64)).reshape(x.shape)
        mask = kept if op == "dropout" else kept[:, :1, :1, :1]
        fixture.add(op, op, {"rate": rate, "key": key, "seed": seed},
                    {"x": x, "sample_indices": torch.tensor(samples), "epoch": torch.tensor([epoch])},
                    lambda x, *_: {"y": x * mask / (1 - rate)})


def add_losses(fixture):
    for label, masked, weighted, smoothing in [
            ("plain", False, False, 0.0), ("smoothed", False, False, 0.1), ("weighted", False, True, 0.0),
            ("weighted and smoothed", False, True, 0.2), ("masked", True, False, 0.0),
            ("masked, weighted and smoothed", True, True, 0.1)]:
        target = labels(6, 10)
        if masked:
            target[2] = target[5] = -1
        inputs = {"logits": draw(6, 10, low=-4, high=4), "labels": target}
        if weighted:
            inputs["class_weights"] = draw(10, low=0.25, high=2)

        def compute(logits, target, weights=None):
            options = {"weight": None if weights is None else weights.detach(), "ignore_index": -1,
                       "label_smoothing": smoothing}
            return {"loss": F.cross_entropy(logits, target, **options).reshape(1),
                    "per_sample": F.cross_entropy(logits, target, reduction="none", **options)}

        fixture.add(f"cross_entropy {label}", "cross_entropy", {"label_smoothing": smoothing}, inputs, compute)
    fixture.add("one_hot", "one_hot", {"classes": 7}, {"labels": labels(5, 7)}, lambda t: {"t": F.one_hot(t, 7).double()})
    fixture.add("mse_loss", "mse_loss", {}, {"x": draw(3, 10), "t": draw(3, 10, low=0)},
                lambda x, t: {"loss": F.mse_loss(x, t).reshape(1)})
    fixture.add("bce_with_logits", "bce_with_logits", {}, {"x": draw(3, 10, low=-9, high=9), "t": draw(3, 10, low=0)},
                lambda x, t: {"loss": F.binary_cross_entropy_with_logits(x, t).reshape(1)})


def main():
    fixture = Fixture()
    for add in (add_convolutions, add_norms, add_activations, add_pooling, add_shape_ops, add_random_ops, add_losses):
        add(fixture)
    fixture.write()


if __name__ == "__main__":
    main()
