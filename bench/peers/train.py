"""Whole trainings of Sonograd beside the same recipe in PyTorch (recipe.py): the same cases, network, epochs, batches and prediction.

    train.py PATH/sonograd SYSTEM DATA [--epochs 4] [--threads 2] [--mode MODE] [--as-installed]     seconds per epoch, in turns
    train.py PATH/sonograd SYSTEM DATA --scores OUT [--threads 2] [--mode MODE]                      both to their end, and their scores

In turns: each side is stopped (SIGSTOP) while the other runs, from one line of an epoch to the next, and the step of our training alone (`bench
train:SYSTEM`) has a turn too. The first epoch has the reading of the data and what is compiled in it; the whole training is then
first + (epochs - 1) x median + end, the end being the evaluation of the validation cases. What others took of the machine is said.
Scores: both sides' masks as pictures, scored by scores.py, with 95 % intervals from a bootstrap over patients. What OUT has already is not trained again.
"""
import argparse, json, os, signal, statistics, subprocess, sys, tempfile, time

import numpy as np

import scores

here = os.path.dirname(os.path.abspath(__file__))
p = argparse.ArgumentParser()
p.add_argument("program")
p.add_argument("system", choices=["unet", "unet-hc"])
p.add_argument("data")
p.add_argument("--epochs", type=int, default=4)
p.add_argument("--threads", type=int, default=2)
p.add_argument("--mode", help="of PyTorch; else the fastest of all is found first")
p.add_argument("--scores", metavar="OUT")
p.add_argument("--as-installed", action="store_true", help="PyTorch with the allocator as it comes, which gives memory back after each step")
p.add_argument("--json")
options = p.parse_args()
environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
kept_memory = {} if options.as_installed else {"MALLOC_TRIM_THRESHOLD_": str(2**32), "MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TOP_PAD_": str(2**26)}  # PyTorch is faster with it


def ours(out, *more):
    return [options.program, "train", options.system, "--data", os.path.abspath(options.data), "--out", out, "--threads", str(options.threads), *more]


def theirs(run, out, *more):
    mode = ["--mode", options.mode] if options.mode else []
    return [sys.executable, os.path.join(here, "recipe.py"), run, out, "--threads", str(options.threads), *mode, *more]


def config_of(run):
    with open(os.path.join(run, "config.json")) as f:
        return json.load(f)


def parameters_of(run):
    """Of model.safetensors, without running statistics."""
    with open(os.path.join(run, "model.safetensors"), "rb") as f:
        header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
    return sum(int(np.prod(t["shape"])) for name, t in header.items() if name != "__metadata__" and ".running_" not in name)


def epochs_of_recipe():
    """As the system's card says."""
    card = subprocess.run([options.program, "zoo", options.system], capture_output=True, text=True, check=True).stdout
    return next(int(line.split()[1]) for line in card.splitlines() if line.split()[:1] == ["epochs"])


# ---- times: in turns -------------------------------------------------------------------------------------------------------------------------------
def processor_seconds(group):
    """Of everybody on this machine, and of a group of processes."""
    tick = os.sysconf("SC_CLK_TCK")
    with open("/proc/stat") as f:
        ticks = [int(t) for t in f.readline().split()[1:9]]
    own = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as f:
                fields = f.read().rsplit(")", 1)[1].split()
            own += int(fields[11]) + int(fields[12]) if int(fields[2]) == group else 0
        except OSError:
            pass
    return (sum(ticks) - ticks[3] - ticks[4]) / tick, own / tick


class Side:
    def __init__(self, command, **more):
        self.command, self.environment, self.process, self.seconds, self.others = command, {**environment, **more}, None, [], []

    def turn(self):
        """Up to the next epoch's line, or to the end; stopped again."""
        began = time.perf_counter()
        if self.process is None:
            self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.environment, process_group=0)
        else:
            os.killpg(self.process.pid, signal.SIGCONT)
        all_before, own_before = processor_seconds(self.process.pid)
        said = []
        for line in self.process.stdout:
            said.append(line)
            if line.startswith("epoch "):
                break
        else:
            if self.process.wait():
                sys.exit("".join(said) + "a training failed")
        self.seconds.append(time.perf_counter() - began)
        if self.process.returncode is None:
            all_after, own_after = processor_seconds(self.process.pid)
            self.others.append(max(0, (all_after - all_before) - (own_after - own_before)) / self.seconds[-1])
            os.killpg(self.process.pid, signal.SIGSTOP)

    def kill(self):
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)


def step_alone():
    """Milliseconds of one."""
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "bench.json")
        subprocess.run([options.program, "bench", "train:" + options.system, "--seconds", "0.3", "--threads", str(options.threads), "--json", file], check=True, stdout=subprocess.DEVNULL)
        with open(file) as f:
            return next(r["median_ms"] for r in json.load(f)["results"] if r["name"] == "train:" + options.system)


def epoch_beside_steps(run, alone):
    """Our epochs from the second on, as the log has them, in units of their steps alone."""
    config = config_of(run)
    steps = len(config["split"]["train"]) / config["description"]["settings"]["batch"]  # the last batch may be a part of one
    with open(os.path.join(run, "metrics.jsonl")) as f:
        epochs = [json.loads(line) for line in f][1:]
    step = statistics.median(alone) / 1e3
    of = lambda value: statistics.median(value(e) for e in epochs)
    result = {"steps": steps, "step": step, "epoch": of(lambda e: e["seconds"]) / (steps * step), "training": of(lambda e: e["seconds"] - e["validation_seconds"]) / (steps * step),
              "wait": of(lambda e: e["wait_seconds"]), "validation": of(lambda e: e["validation_seconds"])}
    print(f"an epoch beside its {steps:.1f} steps alone ({step * 1e3:.1f} ms each): {result['training']:.2f}, with validation ({result['validation']:.2f} s) {result['epoch']:.2f}; waited for batches {result['wait']:.2f} s")
    return result


def times():
    with tempfile.TemporaryDirectory() as folder:
        run, out = os.path.join(folder, "sonograd"), os.path.join(folder, "pytorch")
        sides = {"sonograd": Side(ours(run, "--epochs", str(options.epochs)))}
        try:
            sides["sonograd"].turn()  # and there is a split
            if not options.mode:
                choice = subprocess.run(theirs(run, out, "--choose"), capture_output=True, text=True, check=True, env={**environment, **kept_memory}).stdout
                print(choice, end="")
                options.mode = choice.splitlines()[-1]
            sides["pytorch"] = Side(theirs(run, out, "--epochs", str(options.epochs)), **kept_memory)
            sides["pytorch"].turn()
            alone = []
            for _ in range(options.epochs):  # the last turn is the end
                for side in sides.values():
                    side.turn()
                alone.append(step_alone())
            with open(os.path.join(out, "report.json")) as f:
                parameters = json.load(f)["parameters"]
            if parameters != parameters_of(run):
                sys.exit(f"not the same network: {parameters_of(run)} parameters here, {parameters} in PyTorch")
            steps = epoch_beside_steps(run, alone)
        finally:
            for side in sides.values():
                side.kill()
    whole = epochs_of_recipe()
    result = {"system": options.system, "threads": options.threads, "mode": options.mode, "epochs": whole, "beside steps": steps}
    for name, side in sides.items():
        first, *middle, end = side.seconds
        epoch = statistics.median(middle)
        result[name] = {"first": first, "epoch": epoch, "all": middle, "end": end, "whole": first + (whole - 1) * epoch + end, "others": side.others}
        print(f"{name:9} first epoch {first:.1f} s, then {epoch:.2f} s [{min(middle):.2f}, {max(middle):.2f}] each, end {end:.1f} s: {result[name]['whole'] / 60:.1f} min for {whole} epochs; others had {statistics.median(side.others):.1f} cores, {max(side.others):.1f} at most")
    for what in ("epoch", "whole"):
        result["ratio " + what] = result["sonograd"][what] / result["pytorch"][what]
    print(f"{options.system}, {options.threads} threads, PyTorch {options.mode}: ratio {result['ratio epoch']:.2f} per epoch, {result['ratio whole']:.2f} of the whole training")
    return result


# ---- scores: both to their end ---------------------------------------------------------------------------------------------------------------------
def complete(command, finished):
    if os.path.exists(finished):
        return
    began = time.perf_counter()
    subprocess.run(command, check=True, env={**environment, **kept_memory} if command[0] == sys.executable else environment)
    print(f"{time.perf_counter() - began:.0f} s", flush=True)


def scored():
    run, masks, out = (os.path.join(options.scores, part) for part in ("sonograd", "sonograd-masks", "pytorch"))
    complete(ours(run), os.path.join(run, "report.html"))
    complete(theirs(run, out), os.path.join(out, "report.json"))
    config = config_of(run)
    cases, ids = scores.cases_of(options.system, options.data), config["split"]["validation"]
    subprocess.run([options.program, "predict", run, *(cases.files(id)[0] for id in ids), "--out", masks], check=True, stdout=subprocess.DEVNULL)
    with open(os.path.join(masks, "predictions.json")) as f:
        predictions = {p["name"]: p for p in json.load(f)["predictions"]}
    found = {"sonograd": [], "pytorch": []}
    for id in ids:
        ellipse = predictions[id].get("ellipse")
        found["sonograd"].append((scores.read_mask(os.path.join(masks, id + "_mask.png")), ellipse and tuple(ellipse[k] for k in ("cx", "cy", "a", "b", "angle"))))
        mask, ellipse = scores.read_mask(os.path.join(out, id + "_mask.png")), None
        if cases.measures and (ellipse := scores.head_of(mask)):
            mask = scores.ellipse_mask(ellipse, mask.shape)
        found["pytorch"].append((mask, ellipse))
    each = {name: scores.scores(cases, ids, of_side) for name, of_side in found.items()}
    check(run, ids, each["sonograd"])
    patients, result = [cases.patient(id) for id in ids], {"system": options.system, "cases": len(ids)}
    for metric in each["sonograd"]:
        a, b = (np.array(each[name][metric]) for name in ("sonograd", "pytorch"))
        result[metric] = {"sonograd": scores.interval(a, patients), "pytorch": scores.interval(b, patients), "difference": scores.interval(a - b, patients)}
        unit = " mm" if metric == "hc" else ""
        print(f"{options.system} {metric}{unit}, {len(ids)} cases: " + "; ".join(f"{name} {m:.4f} [{lo:.4f}, {hi:.4f}]" for name, (m, lo, hi) in result[metric].items()))
    return result


def check(run, ids, each):
    """scores.py says of our masks what the program says."""
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "scores.json")
        subprocess.run([options.program, "evaluate", run, "--json", file], check=True, stdout=subprocess.DEVNULL)
        with open(file) as f:
            rows = {row["id"]: row for row in json.load(f)["per_case"]}
    for metric, name in (("dice", "dice"), ("hc", "hc_mae_mm")):
        for id, value in zip(ids, each.get(metric, [])):
            said = np.nan if rows[id][name] is None else rows[id][name]
            if not np.isclose(said, value, rtol=0, atol=1e-6, equal_nan=True):
                sys.exit(f"{id}: {name} is {said} by the program, {value} by scores.py")


signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))  # no side is left stopped
result = scored() if options.scores else times()
if options.json:
    with open(options.json, "w") as f:
        json.dump(result, f, indent=1)
