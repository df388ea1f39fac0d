#!/usr/bin/env python3
"""The program from outside, where the contract's black-box test does not look: kills, devices, splits that leak, damaged checkpoints.

    test_program.py PROGRAM
"""
import json, os, random, shutil, signal, struct, subprocess, sys, tempfile, time, zlib
from pathlib import Path

program = Path(sys.argv[1]).resolve()
work = Path(tempfile.mkdtemp(prefix="sonograd-app-"))
passed, failed = 0, 0


def check(ok, what, seen=""):
    global passed, failed
    passed, failed = passed + bool(ok), failed + (not ok)
    if not ok:
        print(f"FAILED  {what}\n        {str(seen).strip()[:600]}", flush=True)


def run(*arguments, **environment):
    return subprocess.run([str(program), *map(str, arguments)], capture_output=True, text=True, cwd=work, env={**os.environ, **environment}, timeout=900)


def refused(what, *arguments, words=(), left=None):
    r = run(*arguments)
    lines = [l for l in r.stderr.splitlines() if l.strip()]
    check(r.returncode == 2 and len(lines) == 1 and len(lines[0]) < 400, f"{what}: exit 2 and one line", f"{r.returncode}: {r.stderr}")
    for word in words:
        check(word in r.stderr, f"{what}: names {word}", r.stderr)
    if left is not None:
        check(not left.exists(), f"{what}: leaves nothing", left)


def weights(folder):
    return (work / folder / "model.safetensors").read_bytes()


small = ("--data", "sim:breast", "--set", "cases=24", "--set", "height=32", "--set", "width=32", "--set", "widths=4,8")


def kill_and_resume():
    """Killed with -9 at any moment and resumed, with 1 or 2 threads: the same weights, bit for bit."""
    train = ("train", "unet", *small, "--epochs", "6", "--seed", "4")
    start = time.time()
    r = run(*train, "--out", "straight", "--threads", "1")
    check(r.returncode == 0, "a straight run", r.stderr)
    seconds, dice = time.time() - start, random.Random(7)
    for round_ in range(4):
        out, kills = f"killed{round_}", 0
        while True:
            resume = ("--resume",) if (work / out / "config.json").exists() else ()
            p = subprocess.Popen([str(program), *train, "--out", out, "--threads", str(1 + round_ % 2), *resume], cwd=work, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            try:
                _, errors = p.communicate(timeout=None if kills >= 4 else dice.uniform(0.02, 1.1) * seconds)
                check(p.returncode == 0, "a resumed run ends", errors)
                break
            except subprocess.TimeoutExpired:
                p.send_signal(signal.SIGKILL)
                p.wait()
                kills += 1
        check(weights(out) == weights("straight"), f"killed {kills} times, {1 + round_ % 2} threads: the same weights")
        lines = [json.loads(l)["epoch"] for l in (work / out / "metrics.jsonl").read_text().splitlines()]
        check(lines == list(range(1, 7)), "metrics.jsonl has each epoch once", lines)


def precision():
    """Products rounded to bf16: recorded, other weights than f32's; refused where it is unknown, or another than before --resume."""
    train = ("train", "unet", *small, "--seed", "4", "--set", "batch=8")
    for name in ("f32", "bf16"):
        r = run(*train, "--epochs", "2", "--precision", name, "--out", name)
        check(r.returncode == 0, f"--precision {name}", r.stderr)
        check(json.loads((work / name / "config.json").read_text())["precision"] == name, f"config.json records {name}")
    check(weights("f32") != weights("bf16"), "bf16 gives other weights")
    r = run(*train, "--epochs", "2", "--out", "environment", SONO_PRECISION="bf16")
    check(r.returncode == 0 and weights("environment") == weights("bf16"), "SONO_PRECISION=bf16 gives the weights of --precision bf16", r.stderr)
    refused("an unknown precision", *train, "--precision", "half", "--out", "half", words=("half", "f32 and bf16"), left=work / "half")
    refused("another precision", *train, "--resume", "--precision", "f32", "--out", "bf16", words=("bf16",))
    refused("bf16 on a GPU", *train, "--precision", "bf16", "--device", "cuda", "--out", "gpu", words=("--precision",), left=work / "gpu")


def emulated_device():
    """A few steps of LeNet on the emulated CUDA device follow the CPU's losses within 1e-4."""
    for device in ("cpu", "cuda"):
        r = run("train", "lenet", "--data", "sim:breast", "--set", "cases=12", "--set", "height=20", "--set", "width=20", "--set", "batch=4", "--epochs", "3", "--seed", "2", "--device", device, "--out", device)
        check(r.returncode == 0, f"lenet on {device}", r.stderr)
    losses = [[json.loads(l)["train_loss"] for l in (work / d / "metrics.jsonl").read_text().splitlines()] for d in ("cpu", "cuda")]
    check(len(losses[0]) == 3 and all(abs(a - b) <= 1e-4 * max(1, abs(a)) for a, b in zip(*losses)), "the losses agree within 1e-4", losses)


def leaking_split():
    """A random split of images of the same patients is refused, and the grouped one offered."""
    refused("random split", "train", "unet", *small, "--set", "split=random", "--epochs", "1", "--out", "leak", words=("patient", "grouped"), left=work / "leak")


def damaged_checkpoints():
    shutil.copytree(work / "straight", work / "hurt")
    path = work / "hurt/last.safetensors"
    sound = path.read_bytes()
    path.write_bytes(sound[: len(sound) // 2])
    refused("a cut checkpoint", "train", "unet", *small, "--resume", "--out", "hurt", words=("last.safetensors",))
    flipped = bytearray(sound)
    flipped[-100] ^= 1
    path.write_bytes(bytes(flipped))
    refused("a checkpoint with a flipped bit", "train", "unet", *small, "--resume", "--out", "hurt", words=("last.safetensors",))
    n = struct.unpack("<Q", sound[:8])[0]
    header = json.loads(sound[8 : 8 + n])
    key = next(k for k in header["__metadata__"] if "version" in k)
    header["__metadata__"][key] = "999"
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + sound[8 + n :])
    refused("a checkpoint of another version", "train", "unet", *small, "--resume", "--out", "hurt", words=("999",))
    refused("another seed's data", "train", "resnet-small", "--resume", "--out", "straight", words=("unet",))
    refused("a run in the way", "train", "unet", *small, "--out", "straight", words=("--resume",))


def bench():
    """Results and drawing are written; an unknown pattern names near ones, and nothing is measured where the results could not be written."""
    r = run("bench", "matmul/*/32x32x32", "--threads", "1", "--seconds", "0.002", "--json", "bench.json", "--plot", "roof.svg")
    check(r.returncode == 0 and "matmul" in r.stdout, "bench", r.stderr)
    result = json.loads((work / "bench.json").read_text())
    check(sum(e["chosen"] for e in result["results"]) == 1, "one entry is chosen", result["results"])
    check((work / "roof.svg").read_text().startswith("<svg"), "bench draws the roofline")
    refused("bench of nothing", "bench", "conv2b", words=("conv2b", "conv2d"))
    refused("bench of an unknown network", "bench", "step:unett", words=("step:unet",))
    refused("bench into no folder", "bench", "matmul", "--json", "nowhere/bench.json", words=("nowhere",), left=work / "nowhere")


def full_disk():
    """No space: one line, exit 2, nothing left. /dev/full stands in for the disk."""
    if not Path("/dev/full").exists():
        return
    refused("scores to a full disk", "evaluate", "straight", "--cases", "2", "--json", "/dev/full", words=("/dev/full",))


def nan_in_npy():
    def npy(values):
        header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (16, 16), }".ljust(117) + b"\n"
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + struct.pack("<256f", *values)

    (work / "bad.npy").write_bytes(npy([0.5] * 100 + [float("nan")] + [0.5] * 155))
    refused("NaN in npy", "predict", "straight", "bad.npy", "--out", "nothing", words=("bad.npy", "NaN"), left=work / "nothing")
    (work / "good.npy").write_bytes(npy([i / 256 for i in range(256)]))
    r = run("predict", "straight", "good.npy", "--out", "masks")
    check(r.returncode == 0 and (work / "masks/good_mask.png").exists(), "predict reads npy", r.stderr)


try:
    for test in (kill_and_resume, precision, emulated_device, leaking_split, damaged_checkpoints, bench, full_disk, nan_in_npy):
        test()
finally:
    shutil.rmtree(work, ignore_errors=True)
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
