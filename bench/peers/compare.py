"""Sonograd beside PyTorch, ONNX Runtime, OpenVINO and scikit-learn (its RBM): the same networks, shapes and work, in turns, in one run.

    compare.py PATH/bench_steps [--threads 1 2] [--rounds 11] [--only 'step:*'] [--busy] [--no-compile] [--no-memory] [--json FILE]

Prints a row per work and number of threads: medians in ms, and the ratio to the best mode of any rival; then geometric means, the most memory
that a training step takes, and README's table. Ratios are what counts: machines differ. A row during which other processes had more than a tenth of a core
is repeated, twice at most, and the quietest try counts. --busy measures everything with and without one busy process beside it, in turns.
"""
import argparse, fnmatch, json, math, os, platform, signal, statistics, subprocess, sys, tempfile, time

from networks import works

p = argparse.ArgumentParser()
p.add_argument("program")
p.add_argument("--threads", type=int, nargs="+", default=[1, 2])
p.add_argument("--rounds", type=int, default=11)
p.add_argument("--only", default="*", help="names of works, a glob")
p.add_argument("--busy", action="store_true")
p.add_argument("--no-compile", action="store_true")
p.add_argument("--no-memory", action="store_true")
p.add_argument("--json")
p.add_argument("--worker", type=int, help=argparse.SUPPRESS)  # this process measures with so many threads
p.add_argument("--memory-of", help=argparse.SUPPRESS)         # … or says what PyTorch's step of this work takes
options = p.parse_args()
if options.rounds < 7:
    p.error("a median wants 7 rounds or more")


# ---- one process per number of threads: compiled code and thread pools keep theirs -------------------------------------------------------------
class Ours:
    def __init__(self):
        self.process = subprocess.Popen([options.program, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def time(self, name, threads):
        self.process.stdin.write(f"{name} {threads}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def milliseconds(f):
    start = time.perf_counter()
    f()
    return (time.perf_counter() - start) * 1e3


def turn(once):
    """A rival's threads may still spin: a pause; the first call finds the caches as the other left them and does not count."""
    time.sleep(0.01)
    once()
    times, end = [once()], time.perf_counter() + 0.03
    while time.perf_counter() < end and len(times) < 20:
        times.append(once())
    return statistics.median(times)


def processor_seconds():
    """Of everybody on this machine, and of this process and its children."""
    with open("/proc/stat") as f:
        ticks = [int(t) for t in f.readline().split()[1:9]]
    everybody = (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
    mine = 0
    for pid in (os.getpid(), ours.process.pid):
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        mine += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return everybody, mine


def rounds(runs, count):
    for once in runs.values():
        for _ in range(3):
            once()
    times = {mode: [] for mode in runs}
    (all_before, mine_before), start = processor_seconds(), time.perf_counter()
    for _ in range(count):
        for mode, once in runs.items():
            times[mode].append(turn(once))
    (all_after, mine_after), seconds = processor_seconds(), time.perf_counter() - start
    return {mode: statistics.median(t) for mode, t in times.items()}, max(0, (all_after - all_before) - (mine_after - mine_before)) / seconds


def quiet_rounds(runs):
    tries = [rounds(runs, options.rounds)]
    while tries[-1][1] > 0.1 and len(tries) < 3:
        tries.append(rounds(runs, options.rounds))
    return min(tries, key=lambda t: t[1])


def busy_rounds(runs):
    """{mode: (idle, busy)}: the neighbour is stopped and goes on in turns."""
    neighbour = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        both = {False: {m: [] for m in runs}, True: {m: [] for m in runs}}
        for _ in range(options.rounds):
            for busy in (False, True):
                neighbour.send_signal(signal.SIGCONT if busy else signal.SIGSTOP)
                for mode, once in runs.items():
                    both[busy][mode].append(turn(once))
        return {m: tuple(statistics.median(both[b][m]) for b in (False, True)) for m in runs}
    finally:
        neighbour.kill()
        neighbour.wait()


def worker(threads):
    global ours
    import rivals
    ours = Ours()
    for name in names:
        runs = {mode: (lambda f=f: milliseconds(f)) for mode, f in rivals.modes(name, threads, not options.no_compile).items()}
        runs["sonograd"] = lambda: ours.time(name, threads)
        row = {"name": name, "threads": threads}
        if options.busy:
            row["busy"] = busy_rounds(runs)
        else:
            row["ms"], row["others"] = quiet_rounds(runs)
            row["ratio"] = row["ms"]["sonograd"] / min(v for k, v in row["ms"].items() if k != "sonograd")
        row["load"] = os.getloadavg()[0]
        print(json.dumps(row), flush=True)
    ours.process.stdin.close()


# ---- the whole comparison -------------------------------------------------------------------------------------------------------------------------
def lines_of(*arguments, **environment):
    process = subprocess.Popen([sys.executable, __file__, options.program, *arguments], stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})
    for line in process.stdout:
        yield json.loads(line)
    if process.wait():
        sys.exit(f"a measuring process failed ({process.returncode})")


def same_work():
    """Both sides have the same parameters and do the same number of FLOPs."""
    import rivals
    for name in names:
        parameters, flops = subprocess.run([options.program, "facts", name], capture_output=True, text=True, check=True).stdout.split()
        theirs = rivals.facts(name)
        if theirs[0] != int(parameters) or (theirs[1] and abs(theirs[1] - float(flops)) > 1e-6 * theirs[1]):
            sys.exit(f"{name}: not the same work: {parameters} parameters and {flops} FLOPs here, {theirs[0]} and {theirs[1]} in PyTorch")


def high_water():
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM"))


def memory_of_torch(name):
    import rivals
    after_import = high_water()
    rivals.torch.set_num_threads(2)
    step = rivals.training_step(name, rivals.layouts(rivals.works[name][1])[os.environ["LAYOUT"]], False)
    for _ in range(5):
        step()
    print(json.dumps(high_water() - after_import))


def memory(name):
    own = int(subprocess.run([options.program, "memory", name], capture_output=True, text=True, check=True, env={**os.environ, "SONO_THREADS": "2"}).stdout)
    import rivals
    theirs = {mode: next(lines_of("--memory-of", name, LAYOUT=mode)) for mode in rivals.layouts(rivals.works[name][1])}
    return {"sonograd": own, **theirs, "ratio": own / min(theirs.values())}


def geometric_mean(values):
    return math.exp(statistics.mean(map(math.log, values)))


def table(rows):
    for row in rows:
        title = f"{row['name']:19} {row['threads']} thread{'s' if row['threads'] > 1 else ' '}  "
        if "busy" in row:
            print(title + "  ".join(f"{m} {i:.2f} -> {b:.2f} ({b / i:.2f})" for m, (i, b) in row["busy"].items()), flush=True)
        else:
            note = f"   others had {row['others']:.1f} cores" if row["others"] > 0.1 else ""
            print(title + "  ".join(f"{m} {t:.2f}" for m, t in row["ms"].items()) + f"   ratio {row['ratio']:.2f}{note}", flush=True)
        yield row


def markdown(rows):
    yield "| work | threads | best rival | ms | Sonograd, ms | ratio |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        mode, best = min(((m, t) for m, t in row["ms"].items() if m != "sonograd"), key=lambda item: item[1])
        mode = mode if mode in ("onnxruntime", "openvino", "scikit-learn") else f"PyTorch, {mode}"
        yield f"| `{row['name']}` | {row['threads']} | {mode} | {best:.3g} | {row['ms']['sonograd']:.3g} | {row['ratio']:.2f} |"


def main():
    import onnxruntime, openvino, torch
    print(f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}, openvino {openvino.__version__.split('-')[0]}; {platform.machine()}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.2f}")
    same_work()
    print("the same parameters and FLOPs on both sides" + ("; idle -> beside one busy process (factor), ms" if options.busy else f"; medians of {options.rounds} rounds in turns, ms"))
    passed_on = [a for a in sys.argv[2:] if a]
    result = {"load_before": os.getloadavg()[0], "rows": [], "memory": {}}
    with tempfile.TemporaryDirectory() as cache:
        for n in options.threads:
            measured = lines_of(*passed_on, "--worker", str(n), OMP_NUM_THREADS=str(n), TORCHINDUCTOR_CACHE_DIR=os.path.join(cache, str(n)))
            result["rows"] += table(measured)
    for kind in ("step:", "infer:", "rbm:"):
        ratios = [r["ratio"] for r in result["rows"] if r["name"].startswith(kind) and "ratio" in r]
        if ratios:
            result[f"geometric mean {kind[:-1]}"] = geometric_mean(ratios)
            print(f"geometric mean of {len(ratios)} ratios, {kind[:-1]}: {geometric_mean(ratios):.2f}, worst {max(ratios):.2f}")
    for name in names:
        if name.startswith("step:") and not options.no_memory and not options.busy:
            m = result["memory"][name] = memory(name)
            print(f"{name:19} memory, MB: " + "  ".join(f"{k} {v / 1e6:.0f}" for k, v in m.items() if k != "ratio") + f"   ratio {m['ratio']:.2f}  (the whole process; PyTorch's beyond its import)", flush=True)
    if not options.busy:
        print("\n".join(markdown(sorted(result["rows"], key=lambda row: list(works).index(row["name"])))))
    result["load_after"] = os.getloadavg()[0]
    print(f"load average {result['load_after']:.2f} at the end")
    if options.json:
        with open(options.json, "w") as f:
            json.dump(result, f, indent=1)

names = [n for n in works if fnmatch.fnmatch(n, options.only)]
if not names:
    p.error(f"no work is called {options.only}; known are {', '.join(works)}")
if options.worker:
    worker(options.worker)
elif options.memory_of:
    memory_of_torch(options.memory_of)
else:
    main()
