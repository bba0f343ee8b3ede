"""How programs are compared on a machine that drifts: in turns, by the ratio within each round."""

import statistics
from dataclasses import dataclass

from contenders import NotMeasured

FINALISTS = 2


@dataclass(frozen=True)
class Ratio:
    median: float
    low: float
    high: float

    def text(self):
        return f"{self.median:.2f} ({self.low:.2f} – {self.high:.2f})"


def ratio_of(ours, theirs):
    """Of two lists, one value a round each."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))


def rates(answers):
    return [answer["images_per_s"] for answer in answers]


def median_of(answers, key):
    """None where an answer lacks it."""
    values = [answer.get(key) for answer in answers]
    return statistics.median(values) if None not in values else None


class Trial:
    """Each mode is started and measured once; the fastest stay ready, the others end."""

    def __init__(self, start, seconds, tell):
        self.start, self.seconds, self.tell = start, seconds, tell
        self.ready = []  # (images/s, contender), the fastest first
        self.seen = []  # of every mode: what it said, or why not

    def run(self, modes):
        for mode in modes:
            try:
                contender = self.start(mode)
            except NotMeasured as reason:
                self.note(mode, {"error": str(reason)})
                continue
            try:
                answer = contender.measure(self.seconds)
            except NotMeasured as reason:
                contender.close()
                self.note(mode, {"error": str(reason)})
                continue
            except BaseException:
                contender.close()
                raise
            self.note(mode, contender.start | answer)
            self.ready.append((answer["images_per_s"], contender))
            self.ready.sort(key=lambda pair: -pair[0])
            for _, slower in self.ready[FINALISTS:]:
                slower.close()
            del self.ready[FINALISTS:]

    def note(self, mode, answer):
        self.seen.append({"mode": mode.text()} | answer)
        self.tell(f"  {mode.text():<20} " + (f"{answer['images_per_s']:.1f} images/s" if "error" not in answer
                                             else answer["error"]))

    def finalists(self):
        return [contender for _, contender in self.ready]

    def close(self):
        for contender in self.finalists():
            contender.close()


def play(contenders, rounds, seconds):
    """All in turns, each round beginning with the next. Returns each one's answers, round by round."""
    answers = {contender.name: [] for contender in contenders}
    for number in range(rounds):
        first = number % len(contenders)
        for contender in contenders[first:] + contenders[:first]:
            answers[contender.name].append(contender.measure(seconds))
    return answers


def best_of(names, answers):
    """The name with the highest median."""
    return max(names, key=lambda name: statistics.median(rates(answers[name])))
