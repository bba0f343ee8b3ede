"""What run says of counters that differ, and that the kept files are whole."""

import importlib.machinery
import importlib.util
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True

import counters  # noqa: E402

HERE = Path(__file__).resolve().parent
LOADER = importlib.machinery.SourceFileLoader("run", str(HERE / "run"))
SPEC = importlib.util.spec_from_loader("run", LOADER)
run = importlib.util.module_from_spec(SPEC)
LOADER.exec_module(run)


class Counters(unittest.TestCase):
    def test_survive_the_kept_file(self):
        now = {"bytes": 12345678, "run/conv2d/onednn:jit:avx2": 20, "step/page_faults": 0, "x" * 80: -1}
        self.assertEqual(counters.parse(counters.text_of(now, "oneDNN 1.2, avx2")), (now, "oneDNN 1.2, avx2"))

    def test_counted_twice_are_refused(self):
        self.assertRaises(ValueError, counters.parse, "bytes 1\nbytes 2\n")

    def test_that_are_equal_are_no_difference(self):
        self.assertEqual(counters.differences({"a": 1, "b": 2}, {"b": 2, "a": 1}), [])

    def test_fewer_are_better_and_still_a_difference(self):
        rows = counters.differences({"bytes": 1000, "steps/forward": 4}, {"bytes": 900, "steps/forward": 5})
        self.assertEqual(rows, [("bytes", "1,000", "900", "-100 (-10.00 %), better"),
                                ("steps/forward", "4", "5", "+1 (+25.00 %), worse")])

    def test_within_the_tolerance_are_no_difference(self):
        self.assertEqual(counters.differences({"a": 1000}, {"a": 1010}, 0.01), [])
        self.assertEqual(len(counters.differences({"a": 1000}, {"a": 989}, 0.01)), 1)
        self.assertEqual(len(counters.differences({"a": 1000}, {"b": 1000}, 0.01)), 2)

    def test_of_implementations_are_neither(self):
        rows = counters.differences({"run/conv2d/a": 4, "evaluation/run/conv2d/a": 1},
                                    {"run/conv2d/b": 4, "evaluation/run/conv2d/a": 2})
        self.assertEqual(rows, [("run/conv2d/b", "–", "4", "new"), ("evaluation/run/conv2d/a", "1", "2", "+1 (+100.00 %)"),
                                ("run/conv2d/a", "4", "–", "gone")])

    def test_that_were_none_have_no_percentage(self):
        self.assertEqual(counters.change_of("step/page_faults", 0, 3), "+3, worse")

    def test_stand_in_columns(self):
        self.assertEqual(counters.table([("bytes/all", "1,000", "900", "-100")]),
                         "counter     kept  now  change\nbytes/all  1,000  900  -100")


class Judgement(unittest.TestCase):
    def setUp(self):
        self.recipe = run.recipes()[0]
        text = run.kept_file("avx2", self.recipe).read_text(encoding="utf-8")
        self.kept, self.made_by = counters.parse(text)

    def test_of_what_is_kept_is_good(self):
        self.assertEqual(run.judge("avx2", self.recipe, self.kept, self.made_by, False)[0], 0)

    def test_of_one_byte_less_is_not(self):
        now = {**self.kept, "bytes": self.kept["bytes"] - 1}
        code, text = run.judge("avx2", self.recipe, now, self.made_by, False)
        self.assertEqual(code, 1)
        self.assertIn("better", text)

    def test_is_left_out_where_the_processor_or_the_library_is_another(self):
        for made_by in ("oneDNN 2.6.3, baseline", "oneDNN 9.9.9, avx2"):
            code, text = run.judge("avx2", self.recipe, self.kept, made_by, False)
            self.assertEqual(code, run.SKIP)
            self.assertTrue(text.startswith("skipped: "), text)


class KeptValues(unittest.TestCase):
    def test_are_there_for_every_recipe_and_no_other(self):
        want = {run.kept_file(part, recipe) for part in run.ENVIRONMENT for recipe in run.recipes(part)}
        self.assertEqual(set(run.KEPT.rglob("*.txt")), want)


if __name__ == "__main__":
    unittest.main()
