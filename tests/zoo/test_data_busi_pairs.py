#!/usr/bin/env python3
"""Near-identical pairs of BUSI by plain correlation (numpy, Pillow, scipy): writes test_data_busi_pairs.json.

    python3 test_data_busi_pairs.py FOLDER_OF_BUSI

Images at 48x48 (bilinear with antialias): correlation above 0.97, and above 0.9 after a high-pass (minus the 3x3 mean).
"""
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import uniform_filter

files = sorted(Path(sys.argv[1]).glob("*/images/*"))
images = np.stack([np.array(Image.open(f).convert("L").resize((48, 48), Image.BILINEAR)).astype(float) for f in files])


def correlation(x):
    x = x.reshape(len(x), -1)
    x = x - x.mean(1, keepdims=True)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x @ x.T


near = (correlation(images) > 0.97) & (correlation(images - uniform_filter(images, (0, 3, 3))) > 0.9)
pairs = [[files[i].stem, files[j].stem] for i, j in np.argwhere(np.triu(near, 1))]
Path(__file__).with_suffix(".json").write_text(json.dumps(pairs, indent=0).replace(",\n", ", ").replace("[\n", "[").replace("\n]", "]").replace("], [", "],\n[") + "\n")
print(len(pairs), "pairs")
