"""The recipe of `unet` and `unet-hc` (zoo/common/network_system.cpp, zoo/segmentation) in plain PyTorch, as one who knows it would write it.

    recipe.py RUN OUT [--epochs N] [--threads N] [--mode MODE]     settings, cases and data set as RUN/config.json says

Images are decoded and fitted once and stay in memory; a whole batch is augmented at once with tensor operations, in the training process or in
workers of a DataLoader; AdamW is fused. Modes are tried first, on the real loader: both layouts, eager and compiled, 0, 1 or 2 workers; the
fastest trains. MODE names one ("compile channels_last, 1 worker"), and nothing is tried. Prints a line per epoch; leaves masks of the validation cases
in OUT, at the size of the image, and report.json.
"""
import argparse, copy, json, math, os, statistics, time

import numpy as np
import torch
from PIL import Image
from scipy.spatial import ConvexHull
from scipy import ndimage
from torch import nn
from torch.nn import functional as F

from networks import UNet
from scores import cases_of


# ---- data: decoded once ------------------------------------------------------------------------------------------------------------------------
def scan_mask(image):
    """The convex hull of the largest lit piece, as zoo/data/scan_mask.cpp finds it."""
    pieces, n = ndimage.label(image > 0, np.ones((3, 3)))
    if not n:
        return np.ones(image.shape, bool)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    lit = pieces == sizes.argmax()
    rows = np.flatnonzero(lit.any(1))
    first, last = lit[rows].argmax(1), image.shape[1] - 1 - lit[rows, ::-1].argmax(1)
    corners = np.concatenate([np.stack([first, rows], 1), np.stack([last, rows], 1)]).astype(float)
    grown = np.concatenate([corners + [dx, dy] for dx in (-1e-3, 1e-3) for dy in (-1e-3, 1e-3)])
    hull = grown[ConvexHull(grown).vertices]
    low, high = np.full(image.shape[0], np.inf), np.full(image.shape[0], -np.inf)
    for (x0, y0), (x1, y1) in zip(hull, np.roll(hull, -1, 0)):
        if y0 != y1:
            y = np.arange(math.ceil(max(min(y0, y1), 0)), min(math.floor(max(y0, y1)), image.shape[0] - 1) + 1)
            x = x0 + (y - y0) * (x1 - x0) / (y1 - y0)
            low[y], high[y] = np.minimum(low[y], x), np.maximum(high[y], x)
    at = np.arange(image.shape[1])
    return (at >= low[:, None]) & (at <= high[:, None])


class Fitted:
    """An image in the network's size: the whole of it, centred, its proportions kept."""

    def __init__(self, shape, height, width):
        self.shape = shape
        scale = min(height / shape[0], width / shape[1])
        self.rows, self.columns = max(1, round(scale * shape[0])), max(1, round(scale * shape[1]))
        self.top, self.left = (height - self.rows) // 2, (width - self.columns) // 2
        self.pad = (self.left, width - self.columns - self.left, self.top, height - self.rows - self.top)

    def image(self, values):
        return F.pad(F.interpolate(values[None, None], (self.rows, self.columns), mode="bilinear", antialias=True), self.pad)[0]

    def mask(self, values):
        return F.pad(F.interpolate(values[None, None], (self.rows, self.columns), mode="nearest-exact"), self.pad)[0]

    def restore(self, values):
        part = values[:, self.top : self.top + self.rows, self.left : self.left + self.columns]
        return F.interpolate(part[None], self.shape, mode="bilinear", antialias=True)[0, 0]


class Data:
    """Images, scan masks and masks (n, 1, H, W) of the cases; only what validation needs is kept at full size."""

    def __init__(self, cases, ids, height, width, with_scans=False):
        images, scans, masks, self.fits, self.scans = [], [], [], [], []
        for id in ids:
            grey = cases.image(id)
            scan = scan_mask(grey)
            fit = Fitted(grey.shape, height, width)
            inside = fit.mask(torch.from_numpy(scan).float())
            images.append(fit.image(torch.from_numpy(grey.copy()).float() / 255) * inside)
            scans.append(inside)
            masks.append(fit.mask(torch.from_numpy(cases.mask(id)).float()))
            if with_scans:
                self.fits.append(fit)
                self.scans.append(scan)
        self.images, self.scan, self.masks = torch.stack(images), torch.stack(scans), torch.stack(masks)


def standardised(images, scan):
    count = scan.sum((1, 2, 3), keepdim=True).clamp(min=1)
    mean = (images * scan).sum((1, 2, 3), keepdim=True) / count
    deviation = (((images * images) * scan).sum((1, 2, 3), keepdim=True) / count - mean * mean).clamp(min=0).sqrt()
    return (images - mean) / (deviation + 0.02) * scan


# ---- augmentation of a batch: the steps, probabilities and ranges of zoo/data/augment.h ----------------------------------------------------------
def splines(n, cells=5):
    """(n, cells + 3): cubic B-spline weights of n points."""
    at = (torch.arange(n) + 0.5) / n * cells
    t, first = at - at.floor(), at.long()
    weights = torch.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, 3 * (1 - t) ** 3 - 6 * (1 - t) ** 2 + 4, t**3], 1) / 6
    return torch.zeros(n, cells + 3).scatter(1, first[:, None] + torch.arange(4), weights)


def blurred(images, sigma):
    """Each image (n, 1, H, W) with its own sigma; 0 beyond the edges."""
    reach = math.ceil(2.5 * float(sigma.max()))
    kernel = torch.exp(-0.5 * torch.arange(-reach, reach + 1) ** 2 / sigma[:, None] ** 2)
    kernel, n = kernel / kernel.sum(1, keepdim=True), len(images)
    across = F.conv2d(images.transpose(0, 1), kernel.view(n, 1, 1, -1), padding=(0, reach), groups=n)
    return F.conv2d(across, kernel.view(n, 1, -1, 1), padding=(reach, 0), groups=n).transpose(0, 1)


class Augmentation:
    def __init__(self, settings, height, width):
        self.p = {name.removeprefix("augment."): value for name, value in settings.items() if name.startswith("augment.")}
        self.size, self.rows, self.columns = (height, width), splines(height), splines(width)
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        self.depth = torch.hypot((x - 0.5 * (width - 1)) / height, (y + 0.5) / height)

    def grid(self, n):
        """Where each pixel comes from, (n, H, W, 2) in units of half the image; None: from itself."""
        (height, width), p = self.size, self.p
        signed = lambda reach: (2 * torch.rand(n) - 1) * reach
        flip, affine, elastic = (torch.rand(n) < p[name] for name in ("flip", "affine", "elastic"))
        angle, zoom = torch.deg2rad(signed(p["rotation"])) * affine, torch.exp(signed(math.log1p(p["scale"])) * affine)
        shear = torch.tan(torch.deg2rad(signed(5.0))) * affine
        shift = torch.stack([signed(p["translation"]) * width, signed(p["translation"]) * height], 1) * affine[:, None]
        c, s, mirrored = zoom * torch.cos(angle), zoom * torch.sin(angle), 1 - 2 * flip.float()
        forward = torch.stack([c * mirrored, c * shear - s, s * mirrored, s * shear + c], 1).view(n, 2, 2)
        back, half = torch.linalg.inv(forward), torch.tensor([width / 2, height / 2])
        theta = torch.cat([back * half / half[:, None], -(back @ shift[:, :, None]) / half[:, None]], 2)
        grid = F.affine_grid(theta, (n, 1, height, width), align_corners=False)
        if elastic.any():
            points = (2 * torch.rand(int(elastic.sum()), 2, 8, 8) - 1) * 0.03 * max(height, width)
            moved = self.rows @ points @ self.columns.T
            grid[elastic] += moved.permute(0, 2, 3, 1) / half
        return grid

    def brightness(self, images, scan):
        n, p = len(images), self.p
        some = lambda name: torch.nonzero(torch.rand(n) < p[name]).flatten()
        draw = lambda at, low, high: low + (high - low) * torch.rand(len(at)).view(-1, 1, 1, 1)
        if len(at := some("blur")):
            sigma = draw(at, 0.3, 1.2).flatten()
            images[at] = blurred(images[at], sigma) / blurred(scan[at], sigma).clamp(min=0.05)
        if len(at := some("attenuation")):
            images[at] *= torch.exp(-draw(at, 0, 1.2) * self.depth)
        if len(at := some("shadow")):
            bell = lambda size: torch.exp(-0.5 * (((torch.arange(size) + 0.5) / size - torch.rand(len(at), 1)) / (0.02 + 0.18 * torch.rand(len(at), 1))) ** 2)
            images[at] *= 1 - draw(at, 0.2, 0.7) * bell(self.size[0])[:, None, :, None] * bell(self.size[1])[:, None, None, :]
        if len(at := some("gamma")):
            images[at] = images[at].clamp(min=0) ** torch.exp(draw(at, -0.3, 0.3))
        if len(at := some("speckle")):
            amount = draw(at, 0, 0.06) * 2 * math.sqrt(math.pi) * 0.8
            images[at] += images[at].clamp(min=0).sqrt() * amount * blurred(torch.randn(len(at), 1, *self.size), torch.full((len(at),), 0.8))
        if len(at := some("noise")):
            images[at] += draw(at, 0, 0.03) * torch.randn(len(at), 1, *self.size)
        return images.clamp(0, 1) * scan

    def __call__(self, images, scan, masks):
        grid = self.grid(len(images))
        images = F.grid_sample(images, grid, align_corners=False)
        scan, masks = F.grid_sample(torch.cat([scan, masks], 1), grid, mode="nearest", align_corners=False).split(1, 1)
        return self.brightness(images, scan), scan, masks


class Batches(torch.utils.data.Dataset):
    """Handed the indices of a whole batch at once."""

    def __init__(self, data, augmentation):
        self.data, self.augmentation = data, augmentation

    def __len__(self):
        return len(self.data.images)

    @torch.no_grad()
    def __getitems__(self, at):
        images, scan, masks = self.augmentation(self.data.images[at], self.data.scan[at], self.data.masks[at])
        return standardised(images, scan), masks


def loader(data, augmentation, batch, workers):
    more = {"persistent_workers": True, "prefetch_factor": 2} if workers else {}
    return torch.utils.data.DataLoader(Batches(data, augmentation), batch, shuffle=True, num_workers=workers, collate_fn=lambda made: made, **more)


# ---- training ------------------------------------------------------------------------------------------------------------------------------------
def dice_bce(logits, masks):
    p = torch.sigmoid(logits)
    both, sums = (p * masks).sum((2, 3)), p.sum((2, 3)) + masks.sum((2, 3))
    return (1 - (2 * both + 1) / (sums + 1)).mean() + F.binary_cross_entropy_with_logits(logits, masks)


class Training:
    def __init__(self, settings, mode, steps):
        self.settings = settings
        self.layout = torch.channels_last if "channels_last" in mode else torch.contiguous_format
        self.net = UNet(tuple(settings["widths"])).to(memory_format=self.layout)
        self.average = copy.deepcopy(self.net).requires_grad_(False).eval()
        self.updates = 0
        floats = lambda net: [t for t in net.state_dict().values() if t.is_floating_point()]
        self.own, self.averaged = floats(self.net), floats(self.average)
        named = list(self.net.named_parameters())
        groups = [{"params": [p for n, p in named if not n.endswith(".bias")]}, {"params": [p for n, p in named if n.endswith(".bias")], "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, settings["rate"], weight_decay=settings["weight_decay"], fused=True)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, settings["rate"], total_steps=steps, pct_start=0.2, div_factor=10, final_div_factor=1e3, cycle_momentum=False)
        compiled = torch.compile if mode.startswith("compile") else lambda f: f
        self.forward, self.predict = compiled(self.net), compiled(self.average)

    def step(self, images, masks):
        self.optimizer.zero_grad(set_to_none=True)
        loss = dice_bce(self.forward(images.contiguous(memory_format=self.layout)), masks)
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), self.settings["clip"])
        self.optimizer.step()
        self.schedule.step()
        self.updates += 1
        decay = min(self.settings["ema"], (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self.averaged, self.own, 1 - decay)
        return loss.item()

    def probabilities(self, images, mirror):
        """Of the averaged weights; if asked for, over the image and its mirror image."""
        batches = []
        with torch.no_grad():
            for x in images.split(self.settings["batch"]):
                p = torch.sigmoid(self.predict(x.contiguous(memory_format=self.layout)))
                q = torch.sigmoid(self.predict(x.flip(3).contiguous(memory_format=self.layout))) if mirror else None
                batches.append((p + q.flip(3)) / 2 if mirror else p)
        return torch.cat(batches)

    def validate(self, images, masks):
        found, truth = self.probabilities(images, mirror=False) >= self.settings["threshold"], masks > 0
        total = (found.sum((1, 2, 3)) + truth.sum((1, 2, 3))).float()
        return float((2 * (found & truth).sum((1, 2, 3)) / total)[total > 0].mean())


def seconds_per_step(settings, data, augmentation, mode, workers):
    steps, count = iter(loader(data, augmentation, settings["batch"], workers)), 10
    training, times = Training(settings, mode, 1000), []
    for i in range(3 + count):
        began = time.perf_counter()
        training.step(*next(steps))
        times.append(time.perf_counter() - began)
    return statistics.median(times[3:])


def fastest(settings, data, augmentation):
    """The layout and way to run first, then the workers: in turns, the better of two rounds."""
    best = lambda tries: min(tries, key=tries.get)
    modes = [run + layout for run in ("eager ", "compile ") for layout in ("nchw", "channels_last")]
    of_modes = {m: min(seconds_per_step(settings, data, augmentation, m, 0) for _ in range(2)) for m in modes}
    mode = best(of_modes)
    of_workers = {n: min(seconds_per_step(settings, data, augmentation, mode, n) for _ in range(2)) for n in (0, 1, 2)}
    tried = {**of_modes, **{f"{mode}, {n} workers": t for n, t in of_workers.items()}}
    for name, t in tried.items():
        print(f"{name}: {t * 1e3:.0f} ms per step", flush=True)
    return f"{mode}, {best(of_workers)} workers"


def train(settings, data, validation, mode, epochs):
    name, workers = mode.split(", ")
    augmentation = Augmentation(settings, settings["height"], settings["width"])
    batches = loader(data, augmentation, settings["batch"], int(workers.split()[0]))
    training = Training(settings, name, epochs * len(batches))
    images = standardised(validation.images, validation.scan)
    report = {"mode": mode, "parameters": sum(p.numel() for p in training.net.parameters()), "epochs": [], "best": -1.0}
    for epoch in range(1, epochs + 1):
        began = time.perf_counter()
        losses = [training.step(*batch) * len(batch[0]) for batch in batches]
        trained = time.perf_counter()
        score = training.validate(images, validation.masks)
        seconds = time.perf_counter() - began
        if score > report["best"]:
            report["best"], report["best_epoch"] = score, epoch
            kept = [t.clone() for t in training.averaged]
        report["epochs"].append({"epoch": epoch, "loss": sum(losses) / len(batches.dataset), "dice": score, "seconds": seconds, "validation_seconds": seconds - (trained - began)})
        print(f"epoch {epoch}/{epochs}  loss {report['epochs'][-1]['loss']:.4f}  dice {score:.4f}  {seconds:.1f} s", flush=True)
    for average, best in zip(training.averaged, kept):
        average.copy_(best)
    return training, report


def main():
    p = argparse.ArgumentParser()
    p.add_argument("run")
    p.add_argument("out")
    p.add_argument("--epochs", type=int)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--mode")
    p.add_argument("--choose", action="store_true", help="say which mode is the fastest, no more")
    options = p.parse_args()
    with open(os.path.join(options.run, "config.json")) as f:
        config = json.load(f)
    torch.set_num_threads(options.threads)
    torch.manual_seed(config["seed"])
    settings, cases = config["description"]["settings"], cases_of(config["system"], config["data"]["source"])
    data = Data(cases, config["split"]["train"], settings["height"], settings["width"])
    mode = options.mode or fastest(settings, data, Augmentation(settings, settings["height"], settings["width"]))
    if options.choose:
        return print(mode)
    ids = config["split"]["validation"]
    validation = Data(cases, ids, settings["height"], settings["width"], with_scans=True)
    training, report = train(settings, data, validation, mode, options.epochs or settings["epochs"])

    os.makedirs(options.out, exist_ok=True)
    probabilities = training.probabilities(standardised(validation.images, validation.scan), mirror=settings["mirror"])
    for id, of_case, fit, scan in zip(ids, probabilities, validation.fits, validation.scans):
        mask = (fit.restore(of_case) >= settings["threshold"]).numpy() & scan
        Image.fromarray(mask.astype(np.uint8) * 255).save(os.path.join(options.out, id + "_mask.png"))
    with open(os.path.join(options.out, "report.json"), "w") as f:
        json.dump(report, f, indent=1)


if __name__ == "__main__":
    main()
