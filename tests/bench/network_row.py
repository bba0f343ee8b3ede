"""One network, both programs: what is measured of it, and its rows of the table."""

from contenders import Athanor, NotMeasured, Torch
from networks import all_modes, first_modes, next_modes
from rounds import Trial, best_of, median_of, play, rates, ratio_of
from table import megabytes, number, percent, rate

PROBE_S = 1
TRIAL_S = 3
CEILING_ROUNDS = 2  # as long as so many rounds of one program: its ceiling and its profile
RECOMPUTE = "recompute"

HEAD = ["network", "Athanor images/s", "PyTorch images/s", "its best mode", "ratio (spread)", "of the ceiling",
        "peak MB", "PyTorch's MB", "MB ratio", "s until step 0", "PyTorch's s", "its step 0 done"]


def peers(network, settings, tell):
    """A trial of PyTorch's modes, over; its two fastest are ready."""
    trial = Trial(lambda mode: Torch(settings.python, network, mode, settings.cache), TRIAL_S, tell)
    try:
        if settings.modes == "all":
            trial.run(all_modes(network, settings.cores))
        else:
            trial.run(first_modes(network, settings.cores))
            if trial.ready:
                trial.run(next_modes(network, settings.cores, trial.finalists()[0].mode))
    except BaseException:
        trial.close()
        raise
    if not trial.ready:
        raise NotMeasured(f"PyTorch: {trial.seen[-1]['error']}")
    return trial


def with_recompute(network, settings):
    """Our contender that saves memory, or why there is none."""
    contender = Athanor(settings.program, network, settings.cores, ["train.recompute=true"], RECOMPUTE)
    try:
        contender.measure(PROBE_S)
    except NotMeasured as reason:
        return None, str(reason)
    return contender, ""


def measure(network, settings, tell):
    """Everything about one network, ready for JSON. Raises NotMeasured."""
    ours = Athanor(settings.program, network, settings.cores)
    probe = ours.measure(PROBE_S)  # choices that are kept are made here, and what cannot run is found before PyTorch runs
    saver, no_saver = (None, "") if network.evaluation else with_recompute(network, settings)
    start_s = probe["start_s"] if network.evaluation else ours.start_s()
    trial = peers(network, settings, tell)
    try:
        contenders = [ours] + [saver] * (saver is not None) + trial.finalists()
        answers = play(contenders, settings.rounds, settings.seconds)
        ceilings = {contender.name: contender.bench(CEILING_ROUNDS * settings.seconds)
                    for contender in contenders if isinstance(contender, Athanor)}
    finally:
        trial.close()
    best = best_of([contender.name for contender in trial.finalists()], answers)
    tell(f"  rounds: {settings.rounds}, of {settings.seconds:g} s each: " + ", ".join(
        f"{name} {median_of(list_, 'images_per_s'):.1f}" for name, list_ in answers.items()))
    return {"network": network.key, "title": network.title, "start_s": start_s, "best": best, "no_recompute": no_saver,
            "trial": trial.seen, "answers": answers, "ceilings": ceilings}


def torch_peak(result):
    """The smallest that any mode got by with, of all its processes together."""
    peaks = {seen["mode"]: seen["peak_bytes"] for seen in result["trial"] if "error" not in seen}
    peaks |= {name: max(answer["peak_bytes"] for answer in answers) for name, answers in result["answers"].items()
              if name in peaks}
    return min(peaks.values())


def rows_of(result):
    """Lists of text that belong under HEAD."""
    answers = result["answers"]
    theirs, theirs_peak = answers[result["best"]], torch_peak(result)
    start = next(seen for seen in result["trial"] if seen["mode"] == result["best"])

    def row(title, name, times):
        ours, ceiling = answers[name], result["ceilings"][name]["ceiling_share"]
        peak = max(answer["peak_bytes"] for answer in ours)
        return [title, rate(median_of(ours, "images_per_s")), rate(median_of(theirs, "images_per_s")),
                result["best"], ratio_of(rates(ours), rates(theirs)).text(), percent(ceiling),
                megabytes(peak), megabytes(theirs_peak), number(peak / theirs_peak, 2), *times]

    rows = [row(result["title"], "Athanor", [number(result["start_s"], 2), number(start["first_step_begins_s"], 1),
                                        number(start["first_step_ends_s"], 1)])]
    if RECOMPUTE in answers:
        cost = ratio_of(rates(answers["Athanor"]), rates(answers[RECOMPUTE]))
        rows.append(row(f"… recompute: step × {cost.median:.2f}", RECOMPUTE, ["–"] * 3))
    elif result["no_recompute"]:
        rows.append(lacking("… recompute", result["no_recompute"]))
    return rows


def lacking(title, reason):
    return [title, reason] + ["–"] * (len(HEAD) - 2)
