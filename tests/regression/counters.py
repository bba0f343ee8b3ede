"""Counters by name: read, written for people, compared. Nothing here runs or measures anything."""

NAME_COLUMNS = 72
COUNT_COLUMNS = 16
# What of the name stands before the first slash: fewer of these is neither better nor worse.
NEUTRAL = {"run", "buckets"}


def parse(text):
    """The counters of a file or of the counting program, and the words of its first line behind "#"."""
    made_by, counters = "", {}
    for line in text.splitlines():
        if line.startswith("#"):
            made_by = made_by or line[1:].strip()
        elif line.strip():
            name, count = line.rsplit(maxsplit=1)
            if name in counters:
                raise ValueError(f"{name} is counted twice")
            counters[name] = int(count.replace(",", ""))
    return counters, made_by


def text_of(counters, made_by):
    lines = [f"# {made_by}"]
    lines += [f"{name:<{NAME_COLUMNS}}{count:>{COUNT_COLUMNS},}" for name, count in counters.items()]
    return "\n".join(lines) + "\n"


def change_of(name, kept, now):
    """One cell: by how much, and whether that is what one wants."""
    if kept is None:
        return "new"
    if now is None:
        return "gone"
    by = f"{now - kept:+,}"
    if kept:
        by += f" ({100 * (now - kept) / kept:+.2f} %)"
    neutral = name.removeprefix("evaluation/").split("/")[0] in NEUTRAL
    return by if neutral else by + (", better" if now < kept else ", worse")


def differ(kept, now, tolerance):
    """`tolerance`: the part of what is kept by which a counter may move."""
    if kept is None or now is None:
        return True
    return abs(now - kept) > tolerance * abs(kept)


def differences(kept, now, tolerance=0):
    """Rows of (counter, kept, now, change) of those that differ, in the order of `now`; then what is gone."""
    names = list(now) + [name for name in kept if name not in now]
    shown = [f"{counters[name]:,}" if name in counters else "–" for name in names for counters in (kept, now)]
    rows = zip(names, shown[::2], shown[1::2])
    return [row + (change_of(row[0], kept.get(row[0]), now.get(row[0])),) for row in rows
            if differ(kept.get(row[0]), now.get(row[0]), tolerance)]


def table(rows):
    rows = [("counter", "kept", "now", "change")] + rows
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(f"{name:<{widths[0]}}  {kept:>{widths[1]}}  {now:>{widths[2]}}  {change}"
                     for name, kept, now, change in rows)
