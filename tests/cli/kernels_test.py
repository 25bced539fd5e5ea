#!/usr/bin/env python3
"""Which kernels of the GPU the emulation runs: all of them, with a test of each slot."""

import pathlib
import re
import subprocess
import tempfile
import unittest

from program import BUILD, ROOT, environment

# Their slots belong to the CPU alone: convolutions and linear layers of a GPU do not go by them.
CPU_ONLY = {"winograd", "winograd_weights", "winograd_backward_input", "winograd_backward_weight",
            "linear", "linear_weights", "narrow", "narrow_gradients", "narrow_backward_weight"}


def sources(pattern):
    return "\n".join(p.read_text() for p in sorted((ROOT / "kernels").glob(pattern)))


class Kernels(unittest.TestCase):
    def test_every_slot_is_filled(self):
        slots = set(re.findall(r'\b(\w+)\s*\{\s*"\1"\}', sources("*.h")))
        filled = re.findall(r"NNM_CUDA_KERNEL\((\w+),", sources("cuda/*.c*"))
        self.assertGreater(len(slots), 50)
        self.assertEqual(slots - set(filled), CPU_ONLY)
        self.assertEqual(len(filled), len(set(filled)))

    def test_every_kernel_is_emulated(self):
        own = set(re.findall(r"__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\(",
                             sources("cuda/*.cu") + sources("cuda/*.h")))
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder) / "launched"
            env = environment() | {"NNM_CUDA_PLUGIN": str(BUILD / "libnnm_cuda_emulated.so"),
                                   "NNM_SIMT_LAUNCHED": str(log), "NNM_SIMT_ORDER": "reverse"}
            run = subprocess.run([BUILD / "nnm", "selftest", "--device", "cuda", "--failures"],
                                 env=env, capture_output=True, text=True)
            self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
            launched = {re.match(r"\d+\t\(?(?:\w+::)*(\w+)", line)[1]
                        for line in log.read_text().splitlines()}
        print(f"own kernels: {len(own & launched)} of {len(own)} emulated")
        self.assertEqual(own - launched, set())


if __name__ == "__main__":
    unittest.main()
