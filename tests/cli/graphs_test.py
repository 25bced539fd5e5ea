#!/usr/bin/env python3
"""What training asks of CUDA's graphs, on the emulated runtime: recordings never overlap, every graph
is launched as long as it lives and given back once, and few are made for many launches."""

import pathlib
import subprocess
import tempfile
import unittest

from program import BUILD, ROOT, environment

MOST_KEPT = 256  # of short graphs, by kernels/cuda/graphs.cpp
PLUGIN = BUILD / "libnnm_cuda_emulated.so"


def events(*words):
    """What a training of tiny.yaml did with graphs: (what, which graph, operations)."""
    with tempfile.TemporaryDirectory() as folder:
        log = pathlib.Path(folder) / "graphs"
        env = environment() | {"NNM_CUDA_PLUGIN": str(PLUGIN), "NNM_CUDA_GRAPHS": "1", "NNM_EMULATED_LOG": str(log)}
        done = subprocess.run([BUILD / "nnm", "train", ROOT / "tests/cli/tiny.yaml", "--device", "cuda", "--run",
                               f"{folder}/run", "-q", *words], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
        return [(what, graph, int(operations)) for what, graph, operations in lines]


class Graphs(unittest.TestCase):
    def follow(self, log):
        """Checks the order of the calls; how often each was made."""
        capturing, ended, alive, counts = None, set(), {}, {}
        for what, graph, operations in log:
            counts[what] = counts.get(what, 0) + 1
            if what == "begin":
                self.assertIsNone(capturing)
                capturing = graph
            elif what == "end":
                self.assertEqual(capturing, graph)
                self.assertGreater(operations, 0)
                capturing = None
                ended.add(graph)
            elif what == "drop":
                ended.remove(graph)
            elif what == "instantiate":
                self.assertNotIn(graph, alive)
                alive[graph] = operations
            elif what == "destroy":
                del alive[graph]
            else:
                self.assertIn(what, ("launch", "update", "refuse"))
                self.assertIsNone(capturing)
                self.assertIn(graph, alive)
                if what != "refuse":
                    self.assertEqual(alive[graph], operations)
        self.assertIsNone(capturing)
        self.assertEqual(ended, set())
        self.assertLessEqual(len(alive), MOST_KEPT)
        return counts

    def test_a_recorded_step(self):
        counts = self.follow(events("--max", "60 steps"))
        # Forward and backward once, what is eager before and between evaluations in some short ones.
        self.assertGreater(counts["launch"], 2 * 50)
        self.assertLess(counts["instantiate"], 30)
        self.assertGreaterEqual(counts["destroy"], 2)

    def test_steps_of_several_batches(self):
        counts = self.follow(events("--max", "30 steps", "--set", "train.accumulate=2"))
        # Three graphs a batch: forward, backward, and what becomes of the gradients.
        self.assertGreater(counts["launch"], 3 * 50)
        self.assertLess(counts["instantiate"], 30)
        self.assertGreaterEqual(counts["destroy"], 4)

    def test_steps_that_are_watched(self):
        counts = self.follow(events("--max", "40 steps", "--set", "hooks+={on: forward, at: fc1, output: output * 2}"))
        # Work in its order, in short graphs that take the place of earlier ones.
        self.assertGreater(counts["update"], counts["instantiate"])
        self.assertEqual(counts["launch"], counts["update"] + counts["instantiate"])

    def test_nothing_without_the_wish(self):
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder) / "graphs"
            env = environment() | {"NNM_CUDA_PLUGIN": str(PLUGIN), "NNM_EMULATED_LOG": str(log)}
            subprocess.run([BUILD / "nnm", "train", ROOT / "tests/cli/tiny.yaml", "--device", "cuda", "--run",
                            f"{folder}/run", "-q"], env=env, capture_output=True, check=True)
            self.assertFalse(log.exists() and log.read_text())


if __name__ == "__main__":
    unittest.main()
