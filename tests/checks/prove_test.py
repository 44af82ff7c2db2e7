"""The proofs' judgement can fail, and what `prove broken` breaks is there to be broken."""

import contextlib
import importlib
import io
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "prove"))
import accuracy
import broken
import proof

ROOT = Path(__file__).resolve().parents[2]


class Proofs(unittest.TestCase):
    def fails(self, judge, *figures) -> bool:
        verdict = proof.Verdict()
        said = io.StringIO()
        with contextlib.redirect_stdout(said), self.assertRaises(SystemExit) as ended:
            judge(*figures, verdict)
            verdict.finish()
        failed = ended.exception.code != 0
        self.assertEqual(failed, said.getvalue().endswith("verdict: FAIL\n"))
        return failed

    def test_a_bound_is_met_or_missed(self):
        for value, failed in ((0.97, False), (0.9699, True), (float("nan"), True)):
            self.assertEqual(self.fails(lambda v, verdict: verdict.at_least("rate", v, 0.97), value), failed)
        for value, failed in ((0.2, False), (0.2001, True), (float("nan"), True)):
            self.assertEqual(self.fails(lambda v, verdict: verdict.at_most("share", v, 0.2), value), failed)

    def test_one_line_that_fails_is_enough(self):
        def judge(verdict):
            verdict.at_least("good", 2, 1)
            verdict.at_least("bad", 1, 2)
            verdict.at_least("good again", 2, 1)

        self.assertTrue(self.fails(judge))

    def test_accuracy_more_than_a_point_and_a_half_below_python_fails(self):
        good, bad = [0.850, 0.840, 0.845], [0.843, 0.836, 0.836]
        self.assertFalse(self.fails(accuracy.judge_resnet9, {1: good, 2: good}))
        self.assertTrue(self.fails(accuracy.judge_resnet9, {1: good, 2: bad}))
        self.assertTrue(self.fails(accuracy.judge_resnet9, {1: bad, 2: good}))
        self.assertTrue(self.fails(accuracy.judge_resnet9, {1: good}), "a side is missing")
        self.assertTrue(self.fails(accuracy.judge_resnet9, {1: good, 2: good[:2]}), "a seed is missing")

    def test_ranks_that_differ_beyond_their_spread_fail(self):
        one = [0.500, 0.510, 0.505]
        self.assertFalse(self.fails(accuracy.judge_resnet50, {1: one, 2: [0.520, 0.490, 0.500]}))
        self.assertTrue(self.fails(accuracy.judge_resnet50, {1: one, 2: [0.470, 0.465, 0.475]}))
        self.assertFalse(self.fails(accuracy.judge_resnet50, {1: [0.3, 0.5, 0.7], 2: [0.4, 0.2, 0.6]}))

    def test_averages_below_serials_mean_less_its_spread_fail(self):
        averaging = importlib.import_module("weight-averaging")
        serial = [70.0, 71.0, 72.0]  # mean 71, standard deviation 1
        good = {(1, 64): serial, (2, 64): [70.0, 70.0, 70.1], (4, 64): serial}
        self.assertFalse(self.fails(averaging.judge_accuracy, good, 3))
        self.assertTrue(self.fails(averaging.judge_accuracy, good | {(4, 64): [70.0, 70.0, 69.9]}, 3))
        self.assertTrue(self.fails(averaging.judge_accuracy, good | {(2, 64): [72.0, 72.0]}, 3), "a seed")

    def test_averages_that_send_too_much_or_another_count_fail(self):
        averaging = importlib.import_module("weight-averaging")
        row = {"steps": 128, "one": 100, "sent": 1600, "expected": 1600}
        good = {(2, 64): [row], (4, 64): [row]}
        self.assertFalse(self.fails(averaging.judge_bytes, good, 0, 1))
        self.assertTrue(self.fails(averaging.judge_bytes, good | {(2, 64): [row | {"sent": 12800}]}, 0, 1))
        self.assertTrue(self.fails(averaging.judge_bytes, good | {(4, 64): [row | {"expected": 1596}]}, 0, 1))

    def test_what_is_to_be_broken_is_there_once(self):
        for b in broken.BREAKS:
            with self.subTest(b.name):
                self.assertEqual((ROOT / b.file).read_text().count(b.old), 1)
                self.assertNotEqual(b.old, b.new)

    def test_a_proofs_lines_are_understood(self):
        judged = broken.judged
        self.assertEqual(judged("kills", "trials", "holds  trials: 20 (asked: >= 20)"), "holds")
        self.assertEqual(judged("kills", "trials", "FAILS  trials: 3 (asked: >= 20)"), "FAILS")
        self.assertEqual(judged("errors", "unknown key", "PASS  wrong type\nFAIL  unknown key\n"), "FAILS")
        self.assertEqual(judged("gradients", "A.B/ring", "[  FAILED  ] A.B/ring, where"), "FAILS")
        self.assertEqual(
            judged("gradients", "A.B/ring", "mpirun is not there\nverdict: FAIL"), "says nothing"
        )


if __name__ == "__main__":
    unittest.main()
