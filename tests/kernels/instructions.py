#!/usr/bin/env python3
"""Instructions of the hot kernels against a baseline: a kernel that became slower fails here, with no clock in it.

    instructions.py PROGRAM [--update] [--compiler 'g++ 12.2.0']      PROGRAM: the built hot_kernels.cpp

Runs it under valgrind's callgrind with SONO_ISA=v3 and one thread. More than 5 % above instructions.json fails; more than 5 % below asks for
--update, which writes the file anew. The counts depend on the compiler: another one than the baseline's, or no valgrind, skips (exit 77).
"""
import argparse, json, os, re, shutil, subprocess, sys, tempfile
from pathlib import Path

p = argparse.ArgumentParser()
p.add_argument("program")
p.add_argument("--update", action="store_true")
p.add_argument("--compiler", default="")
options = p.parse_args()
baseline_file, tolerance = Path(__file__).with_name("instructions.json"), 0.05


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def count():
    """{name: {"entry", "instructions"}}; callgrind writes a file with its totals each time that hot_call() ends."""
    with tempfile.TemporaryDirectory() as folder:
        r = subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", "--collect-atstart=no", "--toggle-collect=hot_call", "--dump-after=hot_call",
                            options.program], capture_output=True, text=True, env={**os.environ, "SONO_ISA": "v3", "SONO_THREADS": "1"})
        if r.returncode:
            sys.exit(f"{options.program} failed under valgrind: {r.stderr[-2000:]}")
        dumps = sorted((f for f in Path(folder).glob("out.*")), key=lambda f: int(f.suffix[1:]))
        totals = [int(re.search(r"^(?:totals|summary): (\d+)", f.read_text(), re.M)[1]) for f in dumps]
    calls = [line.split("\t") for line in r.stdout.splitlines()]
    if len(totals) != len(calls):
        sys.exit(f"{len(calls)} calls but {len(totals)} counts")
    return {name: {"entry": entry, "instructions": n} for (name, entry), n in zip(calls, totals)}


if not shutil.which("valgrind"):
    skip("valgrind is not installed")
baseline = json.loads(baseline_file.read_text()) if baseline_file.exists() else {"compiler": None, "kernels": {}}
if not options.update and baseline["compiler"] != options.compiler:
    skip(f"the baseline was counted with {baseline['compiler']}, this is {options.compiler}")
counted = count()
if options.update:
    baseline_file.write_text(json.dumps({"compiler": options.compiler, "kernels": counted}, indent=1) + "\n")
    print(f"{baseline_file}: {len(counted)} kernels")
    sys.exit()

worse = better = 0
for name in sorted(counted.keys() | baseline["kernels"].keys()):
    now, then = counted.get(name), baseline["kernels"].get(name)
    if not now or not then:
        print(f"{name}: {'is gone' if then else 'has no baseline'}; --update")
        worse += 1
        continue
    ratio = now["instructions"] / then["instructions"]
    verdict = "WORSE" if ratio > 1 + tolerance else "better" if ratio < 1 - tolerance else ""
    worse, better = worse + (verdict == "WORSE"), better + (verdict == "better")
    entries = now["entry"] if now["entry"] == then["entry"] else f"{then['entry']} -> {now['entry']}"
    print(f"{name:42} {entries:24} {now['instructions']:>12,}  {ratio:6.3f}  {verdict}")
if better:
    print(f"{better} became better: run with --update and check the new baseline in")
sys.exit(f"{worse} became worse than the baseline by more than {tolerance:.0%}, or differ from it" if worse else 0)
