#!/usr/bin/env python3
"""What `cmake --install` gives is complete and can be moved: a project outside of the tree is built against
it through find_package and through pkg-config, and run."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from program import BUILD, ROOT, TIMEOUT

# A product that is large enough for oneDNN.
# oneDNN has such deep products on every processor, others where it is ahead of the own kernel.
WIDE = """
nnm: 1
model: Sequential(Linear(4096, 256))
data:
  train: {random: {x: "f32[512, 4096]", y: "f32[512, 256]"}, seed: 0}
  batch: 512
train: {max: 1 step, loss: "mse_loss(out, y)", optimizer: SGD(lr=0.1)}
"""
OUTSIDE = ROOT / "tests/examples/outside"
PEDANTIC = """Pairs(
  (conv): Conv1d(1, 2, kernel_size=(3,), stride=(1,), padding=(1,))
  (fc): Linear(in_features=8, out_features=2, bias=False)
)
11 tensor(0) torch.Size([3, 2]) <All keys matched successfully>
tensor([5.00e-01, 2.50e-01]) torch.bfloat16
TypeError: Pairs.forward() missing 1 required positional argument: 'b'
"""


def cached(name):
    """A value of the build's CMake cache, "" where there is none."""
    found = re.search(rf"^{name}:\w+=(.*)$", (BUILD / "CMakeCache.txt").read_text(), re.M)
    return found[1] if found else ""


def run(*words, cwd=None, code=0, **variables):
    env = {**os.environ, "LC_ALL": "C.UTF-8", **variables}
    done = subprocess.run([*map(str, words)], cwd=cwd, env=env, text=True, capture_output=True,
                          timeout=TIMEOUT, check=False)
    if done.returncode != code:
        raise AssertionError(f"{words}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # Installed under one prefix, below DESTDIR, and then moved: nothing may remember either.
        run("cmake", "--install", BUILD, "--prefix", "/opt/nnm", DESTDIR=str(WHERE / "stage"))
        cls.prefix = WHERE / "moved here"
        shutil.move(WHERE / "stage/opt/nnm", cls.prefix)
        cls.lib = cls.prefix / cached("CMAKE_INSTALL_LIBDIR")

    def test_what_is_there(self):
        for file in ("libnnm.so", "libnnm.so.0", "libnnm_cli.a", "cmake/nnm/nnmConfig.cmake",
                     "cmake/nnm/nnmConfigVersion.cmake", "cmake/nnm/nnmTargets.cmake", "pkgconfig/nnm.pc"):
            self.assertTrue((self.lib / file).exists(), file)
        self.assertEqual([p.name for p in (self.prefix / "include").iterdir()], ["nnm"])
        self.assertEqual(sorted(p.name for p in (self.prefix / "bin").iterdir()), ["nnm"])
        # Headers that no public one includes stay at home.
        headers = {str(p.relative_to(self.prefix / "include")) for p in self.prefix.glob("include/**/*.*")}
        self.assertIn("nnm/nn/module.h", headers)
        self.assertIn("nnm/kernels/view.h", headers)
        for private in ("nnm/nn/hooks_detail.h", "nnm/lang/parser.h", "nnm/run/session.h", "nnm/kernels/gemm.h"):
            self.assertNotIn(private, headers)

    def test_nothing_knows_the_tree(self):
        for file in self.lib.glob("**/*.*"):
            if file.suffix in (".cmake", ".pc"):
                text = file.read_text()
                for place in (str(ROOT), str(BUILD), "/opt/nnm"):
                    self.assertNotIn(place, text, file)
        for file in (self.lib / "libnnm.so", self.prefix / "bin/nnm"):
            self.assertNotIn(str(BUILD), run("readelf", "-d", file), file)

    def test_the_program_runs(self):
        nnm = self.prefix / "bin/nnm"
        self.assertRegex(run(nnm, "version"), r"0\.\d+\.\d+")
        facts = [[line for line in run(program, "doctor").splitlines() if "/" not in line]
                 for program in (nnm, BUILD / "nnm")]  # but for where libraries lie
        self.assertEqual(*facts)
        self.assertGreaterEqual(len(facts[0]), 4)

    def test_the_manual_and_completions(self):
        share = self.prefix / "share"
        self.assertIn(".TH NNM 1", (share / "man/man1/nnm.1").read_text())
        for file, word in (("bash-completion/completions/nnm", "complete -F _nnm nnm"),
                           ("zsh/site-functions/_nnm", "#compdef nnm"),
                           ("fish/vendor_completions.d/nnm.fish", "complete -c nnm")):
            self.assertIn(word, (share / file).read_text())

    def test_the_plug_in_is_found(self):
        nnm = self.prefix / "bin/nnm"
        if not (BUILD / "libnnm_onednn.so").exists() or "baseline" in run(nnm, "doctor"):
            self.skipTest("needs oneDNN and AVX2")
        (WHERE / "wide.yaml").write_text(WIDE)
        done = subprocess.run([nnm, "train", "wide.yaml", "--run", "wide", "--progress", "none"], cwd=WHERE,
                              env={**os.environ, "LD_DEBUG": "files"}, text=True, capture_output=True,
                              timeout=TIMEOUT, check=True)
        self.assertIn(f"{self.lib}/libnnm_onednn.so", done.stderr.replace("/bin/../lib", "/lib"))

    def test_find_package(self):
        build = WHERE / "outside"
        run("cmake", "-S", OUTSIDE, "-B", build, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={self.prefix}",
            "-DCMAKE_BUILD_TYPE=Debug", f"-DCMAKE_CXX_COMPILER={cached('CMAKE_CXX_COMPILER')}")
        run("ninja", "-C", build)
        out = run(build / "xor", cwd=WHERE)
        self.assertEqual(out, """Net(
  (hidden): Linear(in_features=2, out_features=8, bias=True)
  (out): Linear(in_features=8, out_features=1, bias=True)
)
learnt: True
tensor([[False],
        [ True],
        [ True],
        [False]])
<All keys matched successfully>
True
""")
        self.assertEqual(run(build / "pedantic"), PEDANTIC)
        self.with_one_more_layer(build / "mynnm")

    def with_one_more_layer(self, mynnm):
        config = OUTSIDE / "swish.yaml"
        self.assertIn("ok (Net, 68 parameters)", run(mynnm, "check", config))
        self.assertIn("(act): Swish(beta=1.5)", run(mynnm, "summary", config))
        self.assertIn("Swish(beta=1.0)", run(mynnm, "list", "modules"))
        run(mynnm, "train", config, "--run", "run", "--progress", "none", cwd=WHERE)
        self.assertIn("act.beta", run(mynnm, "inspect", "run/checkpoints/last.h5", cwd=WHERE))
        # The nnm without it says so.
        run(self.prefix / "bin/nnm", "check", config, code=2)

    def test_the_readme_with_pkg_config(self):
        if not shutil.which("pkg-config"):
            self.skipTest("needs pkg-config")
        flags = run("pkg-config", "--cflags", "--libs", "nnm", PKG_CONFIG_PATH=str(self.lib / "pkgconfig"))
        readme = (ROOT / "README.md").read_text()
        blocks = re.findall(r"^```(\w*)\n(.*?)^```$", readme, re.M | re.S)
        # What it shows first of a config is the config, but for comments.
        config = (ROOT / "configs/digits.yaml").read_text()
        shown = next(text for language, text in blocks if language == "yaml")
        self.assertIn(re.sub(" +#.*", "", shown), re.sub(" +#.*", "", config))
        programs = [text for language, text in blocks if language == "cpp"]
        self.assertGreaterEqual(len(programs), 2)
        for i, text in enumerate(programs):
            (WHERE / f"readme{i}.cpp").write_text(text)
            # In a shell, since pkg-config quotes for one.
            verbs = "-lnnm_cli" if "nnm/cli.h" in text else ""
            run("bash", "-c", f"'{cached('CMAKE_CXX_COMPILER')}' -std=c++20 -Wall -Werror readme{i}.cpp "
                f"-o readme{i} {verbs and '-L' + repr(str(self.lib)) + ' ' + verbs} {flags.strip()}", cwd=WHERE)
        out = run(WHERE / "readme0", cwd=WHERE, LD_LIBRARY_PATH=str(self.lib))
        self.assertEqual(out, blocks[blocks.index(("cpp", programs[0])) + 1][1])
        modules = run(WHERE / "readme1", "list", "modules", LD_LIBRARY_PATH=str(self.lib))
        self.assertIn("Halve(times=1)", modules)

    def test_what_clang_makes_of_the_headers(self):
        clang = shutil.which("clang++-14") or shutil.which("clang++")
        if not clang:
            self.skipTest("needs clang++")
        sources = [*sorted((ROOT / "tests/examples").glob("*.cpp")), OUTSIDE / "pedantic.cpp"]
        for source in sources:
            run(clang, "-std=c++20", "-fsyntax-only", f"-I{self.prefix / 'include'}", source)


def main():
    global WHERE
    if not (BUILD / "CMakeCache.txt").exists() or cached("NNM_SANITIZE"):
        print("install_test: skipped: needs a build without sanitizers")
        return 0
    with tempfile.TemporaryDirectory(prefix="nnm-install-") as folder:
        WHERE = pathlib.Path(folder)
        return 0 if unittest.main(exit=False, verbosity=0, argv=["install_test"]).result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
