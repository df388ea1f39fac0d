#!/usr/bin/env python3
"""Makes golden_features.json, the values that tests/zoo/test_features.cpp checks the texture features against.

    python3 tests/zoo/golden_features.py        needs numpy, scikit-image and PyWavelets

Two images of odd size, a random one and a textured one, as integers / 1000. Whole maps are kept as a few of their rows and their mean.
"""
import json
from pathlib import Path

import numpy as np
import pywt
from skimage import feature, filters

random = np.random.default_rng(5)
H, W = 31, 27
y, x = np.mgrid[:H, :W]
textured = 0.5 + 0.25 * np.sin(0.9 * x + 0.4 * y) + 0.15 * np.cos(0.2 * x * y / 7) + random.normal(0, 0.02, (H, W))
images = {"random": random.random((H, W)), "textured": np.clip(textured, 0, 1)}
names = ["contrast", "dissimilarity", "homogeneity", "ASM", "energy", "correlation", "entropy"]


def glcm(image, mask):
    levels = np.minimum((image * 16).astype(int), 15).astype(np.uint8)
    result = []
    for distance, angle in [(1, 0), (2, np.pi / 4), (3, np.pi / 2), (1, 3 * np.pi / 4)]:
        p = feature.graycomatrix(levels, [distance], [angle], levels=16, symmetric=True, normed=True)
        row = {"distance": distance, "angle": angle, "values": [float(feature.graycoprops(p, n)[0, 0]) for n in names]}
        # With a mask: a level of its own for what is outside, then without its row and column.
        marked = np.where(mask, levels + 1, 0).astype(np.uint8)
        q = feature.graycomatrix(marked, [distance], [angle], levels=17, symmetric=True)[1:, 1:].astype(float)
        row["masked"] = [float(feature.graycoprops(q / q.sum(), n)[0, 0]) for n in names]
        result.append(row)
    return result


def lbp(image):
    result = []
    for points, radius in [(8, 1.0), (16, 2.0), (12, 1.5)]:
        for method, ours in [("default", "plain"), ("ror", "rotated"), ("uniform", "uniform")]:
            code = feature.local_binary_pattern(image, points, radius, method)
            result.append({"points": points, "radius": radius, "method": ours, "codes": code.astype(int).ravel().tolist() if ours == "uniform" else code[::7].astype(int).ravel().tolist(), "step": 1 if ours == "uniform" else 7})
    return result


def summary(a):
    return {"mean": float(np.abs(a).mean()), "rows": a[::10].ravel().tolist()}


def gabor(image):
    result = []
    for frequency, angle in [(0.2, 0.0), (0.1, np.pi / 4), (0.35, 2.0)]:
        real, imaginary = filters.gabor(image, frequency, angle, mode="reflect")
        result.append({"frequency": frequency, "angle": angle, "real": summary(real), "imaginary": summary(imaginary)})
    return result


def wavelet(image):
    """swt2 of the image mirrored far enough on all sides, cut back: any size."""
    result = []
    for name in ["haar", "db2"]:
        margin = 32
        sides = [(margin, margin + (-(n + 2 * margin)) % 8) for n in image.shape]
        levels = pywt.swt2(np.pad(image, sides, mode="symmetric"), name, level=3)[::-1]
        cut = lambda a: a[margin:margin + H, margin:margin + W]
        result.append({"name": name, "levels": [{"approximation": summary(cut(a)), "horizontal": summary(cut(h)), "vertical": summary(cut(v)), "diagonal": summary(cut(d))} for a, (h, v, d) in levels]})
    return result


golden = {"height": H, "width": W, "cases": []}
mask = (y - 15) ** 2 + (x - 13) ** 2 < 110
for name, image in images.items():
    image = np.round(image, 3)
    as_float = image.astype(np.float32).astype(np.float64)
    golden["cases"].append({"name": name, "image": np.round(image * 1000).astype(int).ravel().tolist(), "glcm": glcm(as_float, mask), "lbp": lbp(as_float), "gabor": gabor(as_float),
                            "wavelet": wavelet(as_float),
                            "hog": [{"orientations": o, "cell": c, "block": b, "values": feature.hog(as_float, o, (c, c), (b, b), block_norm="L2-Hys").tolist()} for o, c, b in [(9, 8, 2), (6, 5, 3)]]})


def shorter(value):
    if isinstance(value, dict):
        return {k: shorter(v) for k, v in value.items()}
    if isinstance(value, list):
        return [shorter(v) for v in value]
    return float(f"{value:.7g}") if isinstance(value, float) else value


path = Path(__file__).with_name("golden_features.json")
path.write_text(json.dumps(shorter(golden), separators=(",", ":")) + "\n")
print(path.name, path.stat().st_size, "bytes")
