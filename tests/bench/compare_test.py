#!/usr/bin/env python3
"""What `compare` makes of figures, and what it says where PyTorch is missing. No PyTorch, no measurement.

    compare_test.py PROGRAM
"""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import contenders
import environment
import fashion
import network_row
import networks
import profile_table
import rounds
import table

PROGRAM = "athanor"
COMPARE = Path(__file__).resolve().parent / "compare"
NETWORK = networks.NETWORKS[0]


class Fake:
    """Measures what it is told beforehand, and notes the order in which all are asked."""

    def __init__(self, name, rates, log=None, mode=None):
        self.name, self.rates, self.log, self.mode = name, list(rates), log if log is not None else [], mode
        self.start = {"first_step_begins_s": 1.0, "first_step_ends_s": 2.0}
        self.is_closed = False

    def measure(self, _):
        self.log.append(self.name)
        return {"images_per_s": self.rates.pop(0), "peak_bytes": 100_000_000}

    def close(self):
        self.is_closed = True


class Ratios(unittest.TestCase):
    def test_are_taken_within_a_round(self):
        # The machine was twice as fast in the second round: the ratio is none the wiser.
        ratio = rounds.ratio_of([30, 60, 33], [10, 20, 10])
        self.assertEqual((ratio.median, ratio.low, ratio.high), (3, 3, 3.3))
        self.assertEqual(ratio.text(), "3.00 (3.00 – 3.30)")

    def test_want_as_many_rounds_of_both(self):
        with self.assertRaises(ValueError):
            rounds.ratio_of([1, 2], [1])

    def test_a_figure_that_an_answer_lacks_has_no_median(self):
        self.assertIsNone(rounds.median_of([{"a": 1}, {}], "a"))
        self.assertIsNone(rounds.median_of([{"a": None}], "a"))
        self.assertEqual(rounds.median_of([{"a": 1}, {"a": 5}, {"a": 2}], "a"), 2)


class Rounds(unittest.TestCase):
    def test_programs_take_turns_and_the_first_one_changes(self):
        log = []
        answers = rounds.play([Fake("a", [1, 2], log), Fake("b", [3, 4], log)], 2, 1)
        self.assertEqual(log, ["a", "b", "b", "a"])
        self.assertEqual(rounds.rates(answers["a"]), [1, 2])
        self.assertEqual(rounds.rates(answers["b"]), [3, 4])

    def test_the_best_mode_has_the_highest_median(self):
        answers = {"steady": [{"images_per_s": rate} for rate in (5, 5, 5)],
                   "lucky": [{"images_per_s": rate} for rate in (9, 4, 4)]}
        self.assertEqual(rounds.best_of(["lucky", "steady"], answers), "steady")


class Trials(unittest.TestCase):
    def test_the_two_fastest_stay_ready_and_the_others_end(self):
        modes = [networks.Mode("eager", "nhwc", count, 1) for count in range(1, 5)]
        fakes = {mode: Fake(mode.text(), [rate], mode=mode) for mode, rate in zip(modes, (3, 9, 1, 5))}
        trial = rounds.Trial(fakes.get, 1, lambda _: None)
        trial.run(modes)
        self.assertEqual(trial.finalists(), [fakes[modes[1]], fakes[modes[3]]])
        self.assertEqual([fakes[mode].is_closed for mode in modes], [True, False, True, False])

    def test_a_mode_that_does_not_run_is_noted(self):
        def start(_):
            raise contenders.NotMeasured("no compiler")
        trial = rounds.Trial(start, 1, lambda _: None)
        trial.run([networks.Mode("compiled", "nhwc", 1, 2)])
        self.assertEqual(trial.finalists(), [])
        self.assertEqual(trial.seen, [{"mode": "compiled NHWC 1×2", "error": "no compiler"}])


class Modes(unittest.TestCase):
    def test_all_are_two_styles_in_two_layouts_in_two_splits(self):
        texts = [mode.text() for mode in networks.all_modes(NETWORK, 2)]
        self.assertEqual(len(set(texts)), 8)
        self.assertIn("compiled NHWC 2×1", texts)
        self.assertIn("eager NCHW 1×2", texts)

    def test_a_quick_search_compiles_in_the_best_layout(self):
        best = networks.Mode("eager", "nchw", 1, 2)
        self.assertEqual([mode.text() for mode in networks.next_modes(NETWORK, 2, best)],
                         ["compiled NCHW 1×2", "compiled NCHW 2×1"])

    def test_a_batch_is_cut_evenly(self):
        self.assertEqual(networks.cut(16, 2), (2, 1))
        self.assertEqual(networks.cut(16, 48), (16, 3))
        self.assertEqual(networks.splits(16, 1), [(1, 1)])
        self.assertEqual(networks.splits(128, 6), [(1, 6), (4, 1)])

    def test_an_unknown_network_is_refused(self):
        self.assertEqual([network.key for network in networks.chosen(["resnet20"])], ["resnet20"])
        with self.assertRaises(KeyError):
            networks.chosen(["resnet21"])


class Rows(unittest.TestCase):
    def result(self, **more):
        ours = {"images_per_s": 30.0, "peak_bytes": 80_000_000}
        theirs = {"images_per_s": 10.0, "peak_bytes": 120_000_000}
        return {"title": "a network", "start_s": 0.5, "best": "fast", "no_recompute": "not in this build",
                "trial": [{"mode": "fast", "peak_bytes": 110_000_000, "first_step_begins_s": 3, "first_step_ends_s": 9},
                          {"mode": "small", "peak_bytes": 100_000_000}, {"mode": "broken", "error": "why"}],
                "answers": {"Athanor": [ours] * 3, "fast": [theirs] * 3} | more,
                "ceilings": {"Athanor": {"ceiling_share": 0.75}, "recompute": {"ceiling_share": 0.6}}}

    def test_memory_is_compared_with_the_smallest_of_all_modes(self):
        row = dict(zip(network_row.HEAD, network_row.rows_of(self.result())[0]))
        self.assertEqual(row["peak MB"], "80")
        self.assertEqual(row["PyTorch's MB"], "100")
        self.assertEqual(row["MB ratio"], "0.80")
        self.assertEqual(row["PyTorch's s"], "3.0")
        self.assertEqual(row["ratio (spread)"], "3.00 (3.00 – 3.00)")
        self.assertEqual(row["of the ceiling"], "75 %")

    def test_recompute_says_what_it_costs_or_why_it_is_not_there(self):
        self.assertEqual(network_row.rows_of(self.result())[1][:2], ["… recompute", "not in this build"])
        slower = {"images_per_s": 24.0, "peak_bytes": 40_000_000}
        row = network_row.rows_of(self.result(recompute=[slower] * 3))[1]
        self.assertEqual(row[0], "… recompute: step × 1.25")
        self.assertIn("0.40", row)

    def test_every_row_has_a_cell_for_each_column(self):
        rows = network_row.rows_of(self.result()) + [network_row.lacking("a network", "not measured")]
        self.assertEqual({len(row) for row in rows}, {len(network_row.HEAD)})
        lines = table.table_text(network_row.HEAD, rows).splitlines()
        self.assertEqual(len({len(line) for line in lines}), 1)

    def test_a_profile_has_every_op_in_one_kind(self):
        ops = {"conv2d": 0.3, "conv2d_backward_data": 0.2, "conv2d_backward_weights": 0.1, "batch_norm_backward": 0.1,
               "max_pool2d_backward": 0.1, "global_avg_pool": 0.05, "add": 0.05, "other": 0.1}
        shares = profile_table.shares([{"op": op, "share": share} for op, share in ops.items()])
        self.assertAlmostEqual(sum(shares.values()), 1)
        self.assertEqual(shares["convolutions, matrix products"], 0.3)
        self.assertEqual(shares["… their gradients of data"], 0.2)
        self.assertEqual(shares["other ops"], 0.05)
        self.assertAlmostEqual(shares["pools"], 0.15)
        self.assertEqual(len(profile_table.HEAD), len(shares) + 2)

    def test_fashion_compares_medians_of_the_seeds(self):
        runs = {"Athanor": [{"seconds": s, "accuracy": 0.93} for s in (10, 30, 20)],
                "PyTorch eager": [{"seconds": 40, "accuracy": 0.92}] * 3}
        rows = fashion.rows_of(runs)
        self.assertEqual(rows[1][:4], ["PyTorch eager", "40.0", "0.50", "92.00 %"])


class Programs(unittest.TestCase):
    def test_what_a_build_does_not_know_is_not_measured(self):
        ours = contenders.Athanor(PROGRAM, NETWORK, 1, ["train.no_such_key=true"])
        with self.assertRaisesRegex(contenders.NotMeasured, "^not in this build$"):
            ours.measure(0.1)

    def test_our_answer_has_what_the_table_wants(self):
        ours = contenders.Athanor(PROGRAM, NETWORK, 1)
        answer = ours.measure(0.1)
        for key in ("images_per_s", "peak_bytes", "start_s"):
            self.assertGreater(answer[key], 0, key)
        self.assertGreater(ours.bench(0.1)["ceiling_share"], 0)

    def test_every_recipe_can_be_planned(self):
        for network in networks.NETWORKS:
            self.assertTrue(network.recipe_path().exists(), network.key)

    def test_a_peer_that_cannot_start_says_why(self):
        mode = networks.Mode("eager", "nhwc", 1, 1)
        with tempfile.TemporaryDirectory() as folder:
            python = Path(folder) / "python"
            python.write_text("#!/bin/sh\necho 'it broke' >&2\nexit 1\n")
            python.chmod(0o755)
            with self.assertRaisesRegex(contenders.NotMeasured, "it broke"):
                contenders.Torch(str(python), NETWORK, mode, folder, limit_s=30)


class MissingTorch(unittest.TestCase):
    def test_it_says_what_to_type_and_exits_with_2(self):
        if environment.find_python("/nonexistent") is not None:
            self.skipTest("this interpreter has PyTorch")
        done = subprocess.run([sys.executable, str(COMPARE), "--program", PROGRAM, "--venv", "/nonexistent/peers"],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("tests/bench/compare --setup --venv /nonexistent/peers", done.stderr)

    def test_unknown_networks_are_a_usage_error(self):
        done = subprocess.run([sys.executable, str(COMPARE), "--networks", "resnet21"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("resnet110", done.stderr)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main(argv=sys.argv)
