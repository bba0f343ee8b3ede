"""Where our steps go: the share of each kind of op, for every row that was measured."""

from table import number, percent

KINDS = {
    "convolutions, matrix products": ("conv2d", "linear"),
    "… their gradients of data": ("conv2d_backward_data", "linear_backward_data"),
    "… of weights": ("conv2d_backward_weights", "linear_backward_weights"),
    "batch norm": ("batch_norm",),
    "pools": ("max_pool2d", "avg_pool2d", "global_avg_pool"),
    "layouts, input": ("reorder", "cast", "prepare_input"),
    "update, sums, waiting": ("other",),
}
REST = "other ops"
HEAD = ["network", "step ms", *KINDS, REST]


def kind_of(op):
    """The kind whose prefix fits the name best."""
    fitting = [(len(prefix), kind) for kind, prefixes in KINDS.items() for prefix in prefixes if op.startswith(prefix)]
    return max(fitting)[1] if fitting else REST


def shares(profile):
    """Of each kind; they add up to 1 as those of the ops do."""
    sums = dict.fromkeys([*KINDS, REST], 0.0)
    for op in profile:
        sums[kind_of(op["op"])] += op["share"]
    return sums


def rows_of(result):
    """Lists of text that belong under HEAD."""
    names = {"Athanor": result["title"], "recompute": "… recompute"}
    return [[names[name], number(bench["step_ms"], 1), *map(percent, shares(bench["profile"]).values())]
            for name, bench in result["ceilings"].items()]
