"""Training steps of Sonograd beside PyTorch: the same networks, shapes and work, interleaved in one run.

    python steps.py PATH/bench_steps [--threads 1 2] [--rounds 11]

Prints medians and the ratio to PyTorch's best mode (NCHW, channels_last; torch.compile of both with --compile). Ratios are what counts:
machines differ, and so does what else they do.
"""
import argparse, os, statistics, subprocess, sys, time

import torch
from torch import nn

p = argparse.ArgumentParser()
p.add_argument("program")
p.add_argument("--threads", type=int, nargs="+", default=[1, 2])
p.add_argument("--rounds", type=int, default=11)
p.add_argument("--compile", action="store_true")
options = p.parse_args()


class Double(nn.Sequential):
    def __init__(self, i, o):
        unit = lambda a, b: (nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU(inplace=True))
        super().__init__(*unit(i, o), *unit(o, o))


class UNet(nn.Module):
    def __init__(self, widths=(16, 32, 64, 128)):
        super().__init__()
        self.down = nn.ModuleList(Double(i, o) for i, o in zip((1,) + widths, widths))
        self.up = nn.ModuleList(nn.ConvTranspose2d(i, o, 2, 2) for i, o in zip(widths[:0:-1], widths[-2::-1]))
        self.join = nn.ModuleList(Double(2 * o, o) for o in widths[-2::-1])
        self.head = nn.Conv2d(widths[0], 1, 1)

    def forward(self, x):
        skips = []
        for i, block in enumerate(self.down):
            x = block(x if i == 0 else nn.functional.max_pool2d(x, 2))
            skips.append(x)
        for up, join, skip in zip(self.up, self.join, skips[-2::-1]):
            x = join(torch.cat([up(x), skip], 1))
        return self.head(x)


class Residual(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU(inplace=True), nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o))
        self.short = nn.Identity() if i == o and stride == 1 else nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))

    def forward(self, x):
        return torch.relu(self.body(x) + self.short(x))


def resnet_small():
    stages = [Residual(i, o, s) for i, o, s in ((16, 16, 1), (16, 32, 2), (32, 64, 2), (64, 128, 2))]
    return nn.Sequential(nn.Conv2d(1, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True), *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 2))


def step_of(make, loss, x, y, last, compiled):
    net = make().to(memory_format=torch.channels_last if last else torch.contiguous_format)
    x = x.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
    adam = torch.optim.Adam(net.parameters(), 1e-3, fused=True)
    forward = torch.compile(net) if compiled else net

    def step():
        adam.zero_grad(set_to_none=True)
        loss(forward(x), y).backward()
        adam.step()

    return step


x = torch.randn(8, 1, 128, 128)
works = {
    "unet": (UNet, nn.BCEWithLogitsLoss(), x, torch.rand(8, 1, 128, 128).round()),
    "resnet-small": (resnet_small, nn.CrossEntropyLoss(), x, torch.arange(8) % 2),
}
ours = subprocess.Popen([options.program, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def time_ours(name, threads):
    ours.stdin.write(f"{name} {threads}\n")
    ours.stdin.flush()
    return float(ours.stdout.readline())


def time_torch(step):
    start = time.perf_counter()
    step()
    return (time.perf_counter() - start) * 1e3


print(f"torch {torch.__version__}, load {os.getloadavg()[0]:.1f} at the start; medians of {options.rounds} interleaved rounds, ms")
for name, (make, loss, images, target) in works.items():
    for threads in options.threads:
        torch.set_num_threads(threads)
        modes = {f"{'compile ' if c else ''}{'channels_last' if l else 'nchw'}": step_of(make, loss, images, target, l, c) for c in ((False, True) if options.compile else (False,)) for l in (False, True)}
        times = {mode: [] for mode in (*modes, "sonograd")}
        for r in range(options.rounds + 3):  # each call is made twice and the second counts: the first finds the caches as the rival left them
            for mode, step in modes.items():
                step()
                times[mode].append(time_torch(step))
            time_ours(name, threads)
            times["sonograd"].append(time_ours(name, threads))
        medians = {mode: statistics.median(t[3:]) for mode, t in times.items()}
        best = min(v for k, v in medians.items() if k != "sonograd")
        print(f"step:{name:14} {threads} threads  " + "  ".join(f"{k} {v:.1f}" for k, v in medians.items()) + f"  ratio {medians['sonograd'] / best:.2f}", flush=True)
print(f"load {os.getloadavg()[0]:.1f} at the end")
ours.stdin.close()
