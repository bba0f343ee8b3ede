#!/usr/bin/env python3
"""Writes optim.json beside this file: what torch's optimizers and schedules compute, for tests/optim/parity_test.cpp.

Needs torch 2.x. Optimizers run in float64 from float32 inputs, so that the file holds the exact values but for
rounding far below what a float32 pass can reach. Case names and attributes are those of the recipe.
"""
import json
import pathlib

import torch
from torch.optim import lr_scheduler as schedulers

STEPS = 10
SIZES = {"conv.weight": 21, "conv.bias": 16}
DECAY = 0.05
LR = 0.01


def optimizer_cases():
    """(name, attributes, extras). Extras: `cycled` rate and momentum, `grad_scale`, decay of an `ema`."""
    decay = {"weight_decay": DECAY}
    cases = [
        ("sgd", {}, {}),
        ("sgd", decay, {}),
        ("sgd", {**decay, "decoupled": True}, {}),
        ("sgd", {**decay, "momentum": 0.9}, {}),
        ("sgd", {**decay, "momentum": 0.9, "nesterov": True}, {}),
        ("sgd", {**decay, "momentum": 0.9, "nesterov": True}, {"cycled": True}),
        ("sgd", {"momentum": 0.9, "dampening": 0.3}, {}),
        ("sgd", {"momentum": 0.9, "clip_value": 0.5}, {"grad_scale": 0.125}),
        ("sgd", {"momentum": 0.9, "clip_norm": 1.5}, {"grad_scale": 0.125}),
        ("sgd", {**decay, "momentum": 0.9}, {"ema": 0.8}),
        ("adagrad", {}, {}),
        ("adagrad", {**decay, "lr_decay": 0.1, "initial_accumulator": 0.2}, {}),
        ("adagrad", {**decay, "decoupled": True}, {}),
        ("rmsprop", {}, {}),
        ("rmsprop", {**decay, "alpha": 0.9, "eps": 1e-3}, {}),
        ("rmsprop", {**decay, "momentum": 0.9}, {}),
        ("rmsprop", {**decay, "centered": True}, {}),
        ("rmsprop", {**decay, "centered": True, "momentum": 0.8}, {}),
        ("rmsprop", {**decay, "decoupled": True, "momentum": 0.9}, {}),
        ("adam", {}, {}),
        ("adam", decay, {}),
        ("adam", {**decay, "betas": [0.8, 0.95], "eps": 1e-4}, {}),
        ("adam", {**decay, "amsgrad": True}, {}),
        ("adam", {**decay, "decoupled": True}, {"cycled": True}),
        ("adamw", {}, {}),
        ("adamw", {**decay, "amsgrad": True, "clip_value": 1.0}, {"ema": 0.99}),
    ]
    return cases


def make_optimizer(name, attributes, groups):
    a = dict(attributes)
    for own in ("clip_value", "clip_norm", "weight_decay"):
        a.pop(own, None)
    by_hand = a.pop("decoupled", False)
    if name == "adam" and by_hand:
        a["decoupled_weight_decay"] = True
        by_hand = False
    if "initial_accumulator" in a:
        a["initial_accumulator_value"] = a.pop("initial_accumulator")
    if by_hand:
        for group in groups:
            group["own_decay"] = group["weight_decay"]
            group["weight_decay"] = 0.0
    kinds = {"sgd": torch.optim.SGD, "adagrad": torch.optim.Adagrad, "rmsprop": torch.optim.RMSprop,
             "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    return kinds[name](groups, **a)


def numbers(tensor):
    return [float(f"{x:.10g}") for x in tensor.tolist()]


def run(name, attributes, extras, start, gradients):
    params = {key: torch.nn.Parameter(value.double()) for key, value in start.items()}
    decay = attributes.get("weight_decay", 0.01 if name == "adamw" else 0.0)
    # Biases decay less and move at half the rate.
    groups = [{"params": [params["conv.weight"]], "weight_decay": decay, "scale": 1.0},
              {"params": [params["conv.bias"]], "weight_decay": 0.02, "scale": 0.5}]
    for group in groups:
        group["lr"] = LR * group["scale"]
    optimizer = make_optimizer(name, attributes, groups)
    ema = {key: value.detach().clone() for key, value in params.items()}
    rates, momenta, weights = [], [], []
    for step in range(STEPS):
        rate = LR * (1 + 0.1 * step) if extras.get("cycled") else LR
        momentum = 0.95 - 0.01 * step
        rates.append(rate)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["scale"]
            if extras.get("cycled") and "betas" in group:
                group["betas"] = (momentum, group["betas"][1])
            elif extras.get("cycled"):
                group["momentum"] = momentum
        if extras.get("cycled"):
            momenta.append(momentum)
        for key, param in params.items():
            param.grad = gradients[step][key].double() * extras.get("grad_scale", 1.0)
        if "clip_norm" in attributes:
            torch.nn.utils.clip_grad_norm_(params.values(), attributes["clip_norm"])
        if "clip_value" in attributes:
            torch.nn.utils.clip_grad_value_(params.values(), attributes["clip_value"])
        for group in optimizer.param_groups:
            for param in group["params"]:
                param.data.mul_(1 - group["lr"] * group.get("own_decay", 0.0))
        optimizer.step()
        if "ema" in extras:
            for key, param in params.items():
                ema[key].mul_(extras["ema"]).add_(param.detach(), alpha=1 - extras["ema"])
        if step in (0, 1, STEPS - 1):
            weights.append(numbers(torch.cat([params[key].detach() for key in SIZES])))
    state = {}
    for slot, held in optimizer.state[params["conv.weight"]].items():
        if torch.is_tensor(held) and held.dim() > 0:
            state[slot] = numbers(torch.cat([optimizer.state[params[key]][slot] for key in SIZES]))
    case = {"name": name, "attributes": attributes, "lr": rates, "grad_scale": extras.get("grad_scale", 1.0),
            "weights": weights, "state": state}
    if momenta:
        case["momentum"] = momenta
    if "ema" in extras:
        case["ema_decay"] = extras["ema"]
        case["ema"] = numbers(torch.cat([ema[key] for key in SIZES]))
    return case


def dummy(momentum=0.9):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3, momentum=momentum)


def schedule_case(name, attributes, make, steps=100, spe=7, per_epoch=False, momentum=False):
    optimizer = dummy()
    scheduler = make(optimizer)
    rates, momenta = [], []
    for step in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        momenta.append(optimizer.param_groups[0]["momentum"])
        optimizer.step()
        if step + 1 < steps and (not per_epoch or (step + 1) % spe == 0):
            scheduler.step()
    case = {"name": name, "attributes": attributes, "steps_per_epoch": spe, "total_steps": steps, "lr": rates}
    if momentum:
        case["momentum"] = momenta
    return case


def warmed(main, steps, factor):
    def make(optimizer):
        first = schedulers.LinearLR(optimizer, start_factor=factor, total_iters=steps)
        return schedulers.SequentialLR(optimizer, [first, main(optimizer)], milestones=[steps])
    return make


def plateau_case(attributes, metrics, **given):
    optimizer = dummy()
    scheduler = schedulers.ReduceLROnPlateau(optimizer, **given)
    rates = []
    for metric in metrics:
        scheduler.step(metric)
        rates.append(optimizer.param_groups[0]["lr"])
    return {"attributes": attributes, "metrics": metrics, "lr": rates}


def schedule_cases():
    s = schedulers
    step, epoch = {"per": "step"}, {"per": "epoch"}
    one = lambda **more: lambda o: s.OneCycleLR(o, 0.3, total_steps=100, **more)
    restarts = lambda t_0, t_mult, low: lambda o: s.CosineAnnealingWarmRestarts(o, t_0, t_mult, low)
    return [
        schedule_case("constant", {}, lambda o: s.LambdaLR(o, lambda k: 1.0)),
        schedule_case("constant", {"warmup_steps": 20, "warmup_factor": 0.1},
                      lambda o: s.LinearLR(o, start_factor=0.1, total_iters=20)),
        schedule_case("constant", {"warmup_epochs": 3.0}, lambda o: s.LinearLR(o, total_iters=21)),
        schedule_case("step", {"step_size": 3, **epoch}, lambda o: s.StepLR(o, 3), per_epoch=True),
        schedule_case("step", {"step_size": 12, "gamma": 0.5, **step}, lambda o: s.StepLR(o, 12, 0.5)),
        schedule_case("multi_step", {"milestones": [10, 2, 5], **epoch}, lambda o: s.MultiStepLR(o, [2, 5, 10]),
                      per_epoch=True),
        schedule_case("multi_step", {"milestones": [30, 60, 90], "gamma": 0.2, "warmup_steps": 5, **step},
                      warmed(lambda o: s.MultiStepLR(o, [30, 60, 90], 0.2), 5, 1 / 3)),
        schedule_case("exponential", {"gamma": 0.9, **epoch}, lambda o: s.ExponentialLR(o, 0.9), per_epoch=True),
        schedule_case("exponential", {"gamma": 0.97, **step}, lambda o: s.ExponentialLR(o, 0.97)),
        schedule_case("cosine", {"eta_min": 0.01, **epoch}, lambda o: s.CosineAnnealingLR(o, 15, 0.01), per_epoch=True),
        schedule_case("cosine", step, lambda o: s.CosineAnnealingLR(o, 100)),
        schedule_case("cosine", {"t_max": 30, "eta_min": 0.001, **step}, lambda o: s.CosineAnnealingLR(o, 30, 0.001)),
        schedule_case("cosine", {"warmup_steps": 10, "warmup_factor": 0.05, **step},
                      warmed(lambda o: s.CosineAnnealingLR(o, 90), 10, 0.05)),
        schedule_case("cosine", {"t_0": 13, "eta_min": 0.002, **step}, restarts(13, 1, 0.002)),
        schedule_case("cosine", {"t_0": 9, "t_mult": 2, **step}, restarts(9, 2, 0.0)),
        schedule_case("cosine", {"t_0": 2, "t_mult": 3, **epoch}, restarts(2, 3, 0.0), per_epoch=True),
        schedule_case("polynomial", {}, lambda o: s.PolynomialLR(o, 100, 1.0)),
        schedule_case("polynomial", {"total_iters": 60, "power": 2.5}, lambda o: s.PolynomialLR(o, 60, 2.5)),
        schedule_case("polynomial", {"warmup_steps": 12, "power": 0.9}, warmed(lambda o: s.PolynomialLR(o, 88, 0.9), 12,
                                                                                 1 / 3)),
        schedule_case("one_cycle", {}, one(), momentum=True),
        schedule_case("one_cycle", {"warmup": 0.25, "base_momentum": 0.8, "max_momentum": 0.9, "div_factor": 10.0,
                                    "final_div_factor": 100.0},
                      one(pct_start=0.25, base_momentum=0.8, max_momentum=0.9, div_factor=10, final_div_factor=100),
                      momentum=True),
        schedule_case("one_cycle", {"anneal": "linear", "three_phase": True, "warmup": 0.35},
                      one(anneal_strategy="linear", three_phase=True, pct_start=0.35), momentum=True),
        schedule_case("one_cycle", {"three_phase": True}, one(three_phase=True), momentum=True),
    ]


def plateau_cases(random):
    noise = torch.rand(100, generator=random, dtype=torch.float64)
    falling = [float(2.0 * 0.95 ** i + 0.05 * x) for i, x in enumerate(noise)]
    rising = [1.0 - x / 3 for x in falling]
    return [
        plateau_case({}, falling),
        plateau_case({"patience": 2, "factor": 0.5, "cooldown": 3, "min_lr": 0.02}, falling, patience=2, factor=0.5,
                     cooldown=3, min_lr=0.02),
        plateau_case({"metric": "accuracy", "patience": 1, "factor": 0.3, "threshold": 0.01}, rising, mode="max",
                     patience=1, factor=0.3, threshold=0.01),
        plateau_case({"patience": 0, "threshold_mode": "abs", "threshold": 0.02, "eps": 1e-4}, falling, patience=0,
                     threshold_mode="abs", threshold=0.02, eps=1e-4),
        plateau_case({"metric": "accuracy", "patience": 3, "threshold_mode": "abs", "threshold": 0.005}, rising,
                     mode="max", patience=3, threshold_mode="abs", threshold=0.005),
    ]


def main():
    random = torch.Generator().manual_seed(1)
    draw = lambda: {key: torch.randn(size, generator=random) for key, size in SIZES.items()}
    start = draw()
    gradients = [draw() for _ in range(STEPS)]
    flat = lambda values: [float(f"{x:.9g}") for key in SIZES for x in values[key].tolist()]
    result = {"torch": torch.__version__, "weights": flat(start), "gradients": [flat(g) for g in gradients],
              "optimizers": [run(*case, start, gradients) for case in optimizer_cases()],
              "schedules": schedule_cases(), "plateaus": plateau_cases(random)}
    path = pathlib.Path(__file__).with_name("optim.json")
    path.write_text(json.dumps(result, separators=(",", ":")) + "\n")
    print(path.name, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
