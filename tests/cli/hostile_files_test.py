#!/usr/bin/env python3
"""Files from somebody else before every verb that reads them: an answer within 5 s of processor time
and 4 GiB, no word of another file, no byte that a terminal obeys, and no file touched."""

import gzip
import json
import os
import pathlib
import resource
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zipfile
import zlib

import program

program.need_h5py()
import h5py  # noqa: E402
import numpy as np  # noqa: E402

SECRET = "do not read this 0123456789abcdef"
ESCAPES = "a\x1b[31mb\u009b\u202e\r\n"
# A sanitizer reserves terabytes of addresses, and everything takes longer.
LIMITS = {resource.RLIMIT_CPU: program.CPU_SECONDS}
if not program.SANITIZED:
    LIMITS[resource.RLIMIT_AS] = 4 << 30
VERBS = {"inspect": ["inspect", "FILE"], "verify": ["verify", "FILE"],
         "diff": ["diff", "FILE", "FILE"], "weights": ["eval", "run", "--weights", "FILE"],
         "partial": ["eval", "run", "--weights", "FILE", "--partial"],
         "input": ["predict", "run", "--input", "FILE", "-o", "out.h5"],
         "trace": ["trace", "run", "--input", "FILE", "--hook", "forward", "-o", "out.h5"],
         "data": ["train", "tiny.yaml", "--dry-run", "--set", "data.train=FILE"],
         "resume": ["train", "tiny.yaml", "--resume=FILE", "--run", "absent"],
         "config": ["check", "FILE"]}

COUNT_OPENS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>
typedef long hid_t;
hid_t H5Oopen(hid_t at, const char* name, hid_t how) {
  hid_t (*real)(hid_t, const char*, hid_t) = (hid_t (*)(hid_t, const char*, hid_t))dlsym(RTLD_NEXT, "H5Oopen");
  int count = open("opens", O_WRONLY | O_APPEND);
  if (write(count, ".", 1) != 1) _exit(99);
  close(count);
  return real(at, name, how);
}
"""


def limited():
    for what, most in LIMITS.items():
        resource.setrlimit(what, (most, most))


def npy(shape, dtype="<f4"):
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(118) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


def png(width, height, rows):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def safetensors(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def npz(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("x.npy", npy("(1 << 40,)".replace("1 << 40", str(1 << 40))) + bytes(1 << 20))
        z.writestr("../../y.npy", npy("(1,)") + bytes(4))


def make_bytes(where):
    files = {
        "long.npy": npy("(1099511627776,)"), "negative.npy": npy("(-4, 4)"), "objects.npy": npy("(2,)", "|O"),
        "nested.npy": npy("(" * 60 + ")" * 60), "long.idx": b"\0\0\x08\x03" + b"\x7f\xff\xff\xff" * 3 + bytes(9),
        "ranks.idx": b"\0\0\x08\xff" + bytes(1100), "bomb.idx.gz": gzip.compress(
            b"\0\0\x08\x03" + struct.pack(">III", 1 << 20, 1 << 10, 1 << 10) + bytes(64 << 20), 1),
        "wide.png": png(60000, 60000, bytes(1000)), "wider.png": png(0x7fffffff, 0x7fffffff, b""),
        "columns.csv": b",".join([b"a"] * 300_000) + b"\n" + b",".join([b"1"] * 300_000) + b"\n",
        "quote.csv": b'"' + b"a" * 5_000_000, "names.csv": f"\"{ESCAPES}\",b\n1,x\n".encode(),
        "length.safetensors": safetensors({}, length=1 << 60), "deep.safetensors": safetensors(b"[" * 100_000),
        "far.safetensors": safetensors({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}),
        "negative.safetensors": safetensors({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, -4]}}),
        "names.safetensors": safetensors(
            {ESCAPES: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, bytes(4)),
        "head.h5": b"\x89HDF\r\n\x1a\n" + bytes(1000), "fff.h5": b"\x89HDF\r\n\x1a\n" + b"\xff" * 4000,
        "empty": b"", "zeros": bytes(5000), "letters.yaml": b"\xff\xfe" + b"a\0" * 100}
    for name, data in files.items():
        (where / name).write_bytes(data)
    npz(where / "bomb.npz")
    return [*files, "bomb.npz"]


def make_hdf5(where):
    other = where / "other.h5"
    with h5py.File(other, "w") as f:
        f["x"] = np.frombuffer(SECRET.encode()[:32], "<f4")
    (where / "secret.txt").write_text(SECRET)
    made = []

    def file(name):
        made.append(name)
        return h5py.File(where / name, "w")

    with file("external-link.h5") as f:
        f["x"] = h5py.ExternalLink(str(other), "/x")
    with file("soft-link.h5") as f:
        f["y"] = np.ones((2, 4), "<f4")
        f["x"] = h5py.SoftLink("/y")
    with file("external-storage.h5") as f:
        f.create_dataset("x", (2, 4), "<f4", external=[(str(where / "secret.txt"), 0, 32)])
    with file("virtual.h5") as f:
        layout = h5py.VirtualLayout((8,), "<f4")
        layout[:] = h5py.VirtualSource(other, "x", (8,))
        f.create_virtual_dataset("x", layout)
    with file("variable.h5") as f:
        f["x"] = np.array(["a", "b"], dtype=object)
        f.attrs["format"] = "nnm-checkpoint"
    with file("reference.h5") as f:
        f["y"] = np.ones(2)
        f.create_dataset("x", (1,), h5py.ref_dtype)[0] = f["y"].ref
    with file("lazy.h5") as f:
        f.create_dataset("x", (1 << 40, 4), "<f4", chunks=(1024, 4), compression=9)
    with file("names.h5") as f:
        f[ESCAPES] = np.ones((2, 4), "<f4")
        f.attrs[ESCAPES] = ESCAPES
    with file("claims.h5") as f:
        for name, value in (("format", "nnm-checkpoint"), ("format_version", 1), ("complete", 1)):
            f.attrs[name] = np.bytes_(value) if isinstance(value, str) else value
        f["config"] = np.bytes_(f"nnm: 1\n\"{ESCAPES!r}\": 1\n")
        f["state_dict/fc1.weight"] = np.ones((1 << 10, 4), "<f4")
    return made


def forged(source, to):
    """A copy with all checksums, but for the seal of what is between the datasets."""
    copy = h5py.File(WHERE / to, "w", libver=("v110", "v110"), track_order=True)
    with h5py.File(WHERE / source) as f:
        copy.attrs.update(f.attrs)
        for name in f:
            f.copy(name, copy)
    return copy


class HostileFiles(unittest.TestCase):
    def nnm(self, words, **variables):
        env = {**program.environment(), **variables}
        done = subprocess.run(["nnm", *words], cwd=WHERE, env=env, capture_output=True, timeout=60,
                              stdin=subprocess.DEVNULL, preexec_fn=limited)
        return done.returncode, (done.stdout + done.stderr).decode(errors="replace")

    def test_every_verb_answers(self):
        files = make_bytes(WHERE) + make_hdf5(WHERE)
        before = {p: p.stat().st_mtime_ns for p in WHERE.rglob("*") if p.is_file()}
        for file in files:
            for verb, words in VERBS.items():
                with self.subTest(file=file, verb=verb):
                    code, said = self.nnm([w.replace("FILE", file) for w in words])
                    self.assertIn(code, (0, 1, 2, 3), said[-1000:])
                    self.assertFalse(set("\x1b\u009b\u202e") & set(said), repr(said[-1000:]))
                    self.assertNotIn(SECRET[:16], said)
                    self.assertTrue(code == 0 or "error" in said or verb in ("verify", "diff"), said)
                    if verb in ("input", "trace") and code == 0:
                        self.assertNotIn(SECRET.encode()[:16], (WHERE / "out.h5").read_bytes())
                    (WHERE / "out.h5").unlink(missing_ok=True)
        after = {p: p.stat().st_mtime_ns for p in WHERE.rglob("*") if p.is_file()}
        self.assertEqual(before, after)

    def test_a_run_goes_on_from_where_one_can_have_been(self):
        for group, key, value in (("data", "batch", 1 << 62), ("data", "batch", -1), ("data", "batch", 6),
                                  ("data", "epoch", -1), ("data", "epoch", 1 << 62),
                                  ("data", "batches_per_epoch", 0), ("data", "loss_count", -1),
                                  ("data", "seconds", float("nan")), ("data", "ending_rows", [9]),
                                  ("metrics/best", "wait_batch", 1 << 62), ("/", "global_step", -1),
                                  ("/", "global_step", (1 << 63) - 1), ("provenance", "config_path", 3),
                                  ("provenance", "overrides", [1, 2])):
            with self.subTest(key=key, value=value):
                with forged("run/checkpoints/last.h5", "place.h5") as f:
                    f[group].attrs[key] = value
                code, said = self.nnm(["train", "tiny.yaml", "--resume=place.h5", "--run", "gone-on", "-q"])
                self.assertEqual(code, 3, said)
                self.assertTrue(said.startswith("error: place.h5: "), said)

    def test_verify_reads_what_the_verbs_do(self):
        for source, change, what in (("run/checkpoints/last.h5", lambda f: f.attrs.pop("epoch"), "no number epoch"),
                                     ("trace.h5", lambda f: f["calls"].pop("hook"), "calls/hook")):
            with forged(source, "forged.h5") as f:
                change(f)
            code, said = self.nnm(["verify", "forged.h5"])
            self.assertEqual(code, 1, said)
            self.assertIn(what, said)

    def test_no_file_leads_to_another(self):
        for file, what in (("external-link.h5", "an external link"), ("soft-link.h5", "a soft link"),
                           ("external-storage.h5", "external storage"), ("virtual.h5", "a virtual dataset")):
            for verb in ("inspect", "verify", "weights", "input", "data"):
                code, said = self.nnm([w.replace("FILE", file) for w in VERBS[verb]])
                self.assertIn(code, (1, 3) if verb == "verify" else (3,), f"{verb} {file}: {said}")
                self.assertIn(what, said)

    @unittest.skipIf(program.SANITIZED, "the sanitizer must be loaded first")
    def test_objects_are_opened_twice(self):
        # To look whether libhdf5 survives them, and to read them: 100,000 must not take for ever.
        for name in ("many-a.h5", "many-b.h5"):
            with h5py.File(WHERE / name, "w") as f:
                for i in range(200):
                    f.create_group(f"empty{i}")
                    f[f"group{i}/x"] = np.full(3, i, "<f4")
                    f[f"group{i}/x"].attrs.update(a=1, b="two")
        (WHERE / "count.c").write_text(COUNT_OPENS)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", "count.so", "count.c"], cwd=WHERE, check=True)
        time.sleep(3)  # a file that was changed just now is looked at anew every time
        for files, words in ((1, ["inspect", "many-a.h5"]), (1, ["inspect", "many-a.h5", "--format", "json"]),
                             (2, ["diff", "many-a.h5", "many-b.h5"])):
            (WHERE / "opens").write_bytes(b"")
            code, said = self.nnm(words, LD_PRELOAD=str(WHERE / "count.so"))
            self.assertEqual(code, 0, said)
            opens = (WHERE / "opens").stat().st_size
            self.assertGreater(opens, 600 * files)
            self.assertLess(opens, 2 * 600 * files + 50, words)

    def test_the_environment_loads_no_code(self):
        (WHERE / "plugin").mkdir()
        (WHERE / "plugin.c").write_text("#include <fcntl.h>\n__attribute__((constructor)) static void f(void)"
                                        ' { creat("loaded", 0666); }\n')
        subprocess.run(["cc", "-shared", "-fPIC", "-o", "plugin/libplugin.so", "plugin.c"], cwd=WHERE, check=True)
        for variables in ({"HDF5_VOL_CONNECTOR": "touch under_vol=0;under_info={}"}, {"HDF5_DRIVER": "touch"},
                          {"HDF5_PLUGIN_PRELOAD": "::"}):
            code, said = self.nnm(["verify", "run"], HDF5_PLUGIN_PATH=str(WHERE / "plugin"), **variables)
            self.assertEqual(code, 0, said)
        self.assertFalse((WHERE / "loaded").exists())


def main():
    global WHERE
    with tempfile.TemporaryDirectory(prefix="nnm-hostile-") as folder:
        WHERE = pathlib.Path(folder)
        (WHERE / "tiny.yaml").write_text((program.ROOT / "tests/cli/tiny.yaml").read_text())
        done = program.nnm("train", "tiny.yaml", "--run", "run", "-q", cwd=WHERE)
        if not done.returncode:
            done = program.nnm("trace", "run", "--hook", "forward", "-o", "trace.h5", "-q", cwd=WHERE)
        if done.returncode:
            sys.exit(done.stderr)
        result = unittest.main(exit=False, verbosity=0, argv=["hostile_files_test"]).result
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
