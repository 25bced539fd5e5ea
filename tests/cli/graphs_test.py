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


MEMORY = ("malloc", "pin", "copy", "wait")

# What hooks of a config do that a GPU can do again without calling them.
HOOKS = """
hooks:
  - {name: halves, on: forward, at: fc1, output: output * 0.5}
  - {name: clipped, on: full_backward, at: fc2, grad_input: "clamp(grad_input, -0.01, 0.01)"}
  - {name: doubled, on: post_accumulate_grad, at: fc1.bias, grad: grad * 2, when: {every: 3 steps}}
  - {name: all, on: [forward, full_backward], at: "**", capture:
      {what: [output, grad_output, weight_grad], reduce: [mean, std, absmax, zero, histogram], tensor: none}}
  - {name: some, on: forward, at: fc2, capture: {reduce: [p50], tensor: none}, when: {every: 3 steps}}
  - {name: finite, on: [forward, full_backward], at: "**", rule: nonfinite, action: stop}
  - {name: large, on: forward, at: fc1, rule: exploding_tensor(0.9), action: note}
  - {name: ratio, rule: weight_update_ratio(large_threshold=0.05), action: note}
"""


class Training:
    """tiny.yaml on the emulated GPU: what it did with graphs and memory, what it launched and left."""

    def __init__(self, folder, *words, hooks="", graphs=None):
        folder = pathlib.Path(folder)
        config, log, launched = folder / "net.yaml", folder / "log", folder / "launched"
        config.write_text((ROOT / "tests/cli/tiny.yaml").read_text() + hooks)
        env = environment() | {"NNM_CUDA_PLUGIN": str(PLUGIN), "NNM_EMULATED_LOG": str(log),
                               "NNM_SIMT_LAUNCHED": str(launched)}
        if graphs is not None:
            env["NNM_CUDA_GRAPHS"] = graphs
        self.run = folder / "run"
        done = subprocess.run([BUILD / "nnm", "train", config, "--device", "cuda", "--run", self.run, "-v", "--progress",
                               "none", *words], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        self.said = done.stderr
        lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
        self.all = [(what, graph, int(operations)) for what, graph, operations in lines]
        self.graphs = [e for e in self.all if e[0] not in MEMORY]
        self.launched = {name: int(count) for count, name in
                         (line.split("\t", 1) for line in launched.read_text().splitlines())}

    def count(self, *what):
        return sum(e[0] in what for e in self.all)


def events(*words, graphs="1", hooks=""):
    with tempfile.TemporaryDirectory() as folder:
        return Training(folder, *words, graphs=graphs, hooks=hooks).graphs


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
        # A capture that keeps tensors needs its hooks called.
        hooks = "\nhooks:\n  - {on: forward, at: fc1, capture: {tensor: full}}\n"
        counts = self.follow(events("--max", "40 steps", hooks=hooks))
        # Work in its order, in short graphs that take the place of earlier ones.
        self.assertGreater(counts["update"], counts["instantiate"])
        self.assertEqual(counts["launch"], counts["update"] + counts["instantiate"])

    def test_nothing_where_it_is_not_wished(self):
        self.assertEqual(events(graphs="0"), [])

    def test_whole_steps_unless_it_is_not_wished(self):
        counts = self.follow(events("--max", "60 steps", graphs=None))
        # Two for each step but the first ones and the one that is recorded, and nothing else.
        self.assertEqual(counts["instantiate"], 2)
        self.assertEqual(counts["launch"], 2 * (60 - 3))
        self.assertNotIn("update", counts)

    def test_hooks_are_repeated(self):
        """The same run, bit for bit, with hooks called at every step and with hooks repeated."""
        with tempfile.TemporaryDirectory() as on, tempfile.TemporaryDirectory() as off:
            runs = [Training(on, "--max", "40 steps", hooks=HOOKS),
                    Training(off, "--max", "40 steps", hooks=HOOKS, graphs="0")]
            self.assertIn("are recorded", runs[0].said)
            same = subprocess.run(["cmp", *(r.run / "metrics.csv" for r in runs)], capture_output=True, check=False)
            self.assertEqual(same.returncode, 0, same.stdout)
            for file in ("", "traces/train.h5"):
                same = subprocess.run([BUILD / "nnm", "diff", *(r.run / file for r in runs)], capture_output=True,
                                      text=True, env=environment(), check=False)
                self.assertEqual(same.returncode, 0, same.stdout + same.stderr)
            notes = [[line for line in r.said.splitlines() if "hook `" in line] for r in runs]
            self.assertEqual(*notes)
            self.assertGreater(len(notes[0]), 1)
            # Two kinds of steps, two parts each.
            self.assertEqual(sum(e[0] == "instantiate" for e in runs[0].graphs), 4)
            # The first three of each kind are taken as usual.
            self.assertEqual(sum(e[0] == "launch" for e in runs[0].graphs), 2 * (40 - 6))

    def test_statistics_of_every_step(self):
        """How little they add to a step that is repeated, and that it allocates nothing."""
        hooks = ("\nhooks:\n  - {on: [forward, full_backward], at: '**', capture: "
                 "{what: [output, grad_output, weight_grad], tensor: none}}\n")
        # The end of an epoch evaluates, and saves a checkpoint.
        words = ("--set", "train.eval=none", "--set", "train.checkpoint=every 1000 steps", "--max")
        counts = []
        for steps in (20, 50):
            with tempfile.TemporaryDirectory() as with_hooks, tempfile.TemporaryDirectory() as without:
                t, plain = Training(with_hooks, *words, f"{steps} steps", hooks=hooks), Training(
                    without, *words, f"{steps} steps")
                # The loader pins batches as it runs ahead, however far it gets: they are smaller.
                allocated = sum(what in ("malloc", "pin") and size >= 4096 for what, _, size in t.all)
                counts.append([allocated, t.launched["sum_listed"], t.count("launch"),
                               t.count("copy") - plain.count("copy"), t.count("wait") - plain.count("wait")])
        more = [b - a for a, b in zip(*counts)]
        # Of forward, of backward, and of the gradients of weights; one copy; no wait.
        self.assertEqual(more, [0, 3 * 30, 2 * 30, 30, 0])


if __name__ == "__main__":
    unittest.main()
