#!/usr/bin/env python3
"""The CUDA plug-in as nvcc built it: tests/cuda/plugin.py [BUILD]. What it is made of, what it depends
on and gives away, and what the program says with it: on a machine without a driver why there is no
GPU; with one, every kernel against the CPU's."""

import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
MOST_BYTES = 10 << 20
FATBIN_MAGIC = 0xBA55ED50
PTX = 1

passed = failed = 0


def check(good, what, said=""):
    global passed, failed
    passed += bool(good)
    failed += not good
    if not good:
        print(f"FAILED: {what}\n{said}".rstrip())


def images(data):
    """The code in the plug-in: "sm_80" for a processor's own, "compute_100" for PTX."""
    found, at = set(), -1
    while (at := data.find(struct.pack("<I", FATBIN_MAGIC), at + 1)) >= 0:
        _, header, size = struct.unpack_from("<HHQ", data, at + 4)
        entry = at + header
        while entry < at + header + size:
            kind, _, length, payload = struct.unpack_from("<HHIQ", data, entry)
            arch = struct.unpack_from("<I", data, entry + 28)[0]
            found.add(f"{'compute' if kind == PTX else 'sm'}_{arch}")
            entry += length + payload
    return found


def output(*words, **variables):
    done = subprocess.run([str(w) for w in words], env={**os.environ, "LC_ALL": "C", **variables}, text=True,
                          capture_output=True, check=False)
    return done.returncode, done.stdout + done.stderr


def libraries(file):
    """Names of the libraries that are loaded with a file."""
    return re.findall(r"^\s*(\S+)", output("ldd", file)[1], re.M)


def made_of(plugin, whole):
    data = plugin.read_bytes()
    print(f"{plugin.name}: {len(data) / (1 << 20):.1f} MiB, {' '.join(sorted(images(data)))}")
    check(len(data) <= MOST_BYTES, f"at most {MOST_BYTES} bytes", len(data))
    wanted = {"sm_75", "sm_80", "sm_90", "sm_100", "compute_100"} if whole else {"sm_90"}
    check(images(data) == wanted, f"code for {sorted(wanted)}", images(data))
    foreign = [name for name in libraries(plugin) if re.search("cuda|cublas|cudnn|nvidia|nccl", name)]
    check(foreign == [], "no library of CUDA is needed to load it", foreign)
    symbols = output("nm", "-DC", "--defined-only", plugin)[1].splitlines()
    given = [s for s in symbols if not re.search(r" nnm_cuda$| nnm::kernels::|nnm::Kernel<", s)]
    check(given == [], "it gives away its entry and slots alone", "\n".join(given))


def without_gpu(nnm, env, facts):
    check("no NVIDIA driver is installed" in facts["cuda"], "doctor says why there is no GPU", facts["cuda"])
    check(facts.get("cuda_driver") == "none", "doctor knows of no driver", facts)
    with tempfile.TemporaryDirectory() as folder:
        config = ROOT / "tests/cli/tiny.yaml"
        code, said = output(nnm, "train", config, "--run", f"{folder}/a", "--device", "cuda", **env)
        check(code == 6 and "no NVIDIA driver" in said, "--device cuda ends with 6 and the reason", said)
        code, said = output(nnm, "train", config, "--run", f"{folder}/b", "--device", "auto", "--max", "2 steps",
                            "--progress", "none", **env)
        check(code == 0 and said.count("computing on the CPU: no NVIDIA driver") == 1,
              "auto computes on the CPU and says so once", said)
    code, said = output(nnm, "selftest", "--device", "cuda", **env)
    check(code == 6 and "no NVIDIA driver" in said, "selftest ends with 6 and the reason", said)


def with_gpu(nnm, env):
    for graphs in "01":
        code, said = output(nnm, "selftest", "--device", "cuda", "--failures", **env, NNM_CUDA_GRAPHS=graphs)
        check(code == 0, f"all kernels agree with the CPU's (NNM_CUDA_GRAPHS={graphs})", said)


def main():
    build = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build").resolve()
    whole = not re.search("^NNM_CUDA:[A-Z]*=TEST$", (build / "CMakeCache.txt").read_text(), re.M)
    plugin = build / ("libnnm_cuda.so" if whole else "cuda-test/libnnm_cuda.so")
    made_of(plugin, whole)
    env = {"NNM_CUDA_PLUGIN": str(plugin)}
    facts = dict(re.findall(r"^(\S+) +(.*)", output(build / "nnm", "doctor", **env)[1], re.M))
    print("\n".join(f"{name}: {value}" for name, value in facts.items() if name.startswith("cu")))
    check(facts.get("cuda_plugin") == str(plugin), "doctor names the plug-in", facts)
    check(re.fullmatch(r"CUDA \d+\.\d+", facts.get("cuda_runtime", "")), "doctor names CUDA's version", facts)
    check(re.search(r"^\d+\.\d+\.\d+, /|was not found", facts.get("cublasLt", "")),
          "doctor names cuBLASLt, or where it was looked for", facts)
    check(re.search(r"^\d+\.\d+\.\d+, /|was not found|is for CUDA", facts.get("cudnn", "")),
          "doctor names cuDNN, or where it was looked for", facts)
    code, said = output(build / "nnm", "doctor", **env, NNM_CUDA_CUDNN="0")
    check("cudnn           not used: NNM_CUDA_CUDNN=0" in said, "doctor says that cuDNN is not wanted", said)
    if facts["cuda"].startswith("off"):
        without_gpu(build / "nnm", env, facts)
    else:
        with_gpu(build / "nnm", env)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
