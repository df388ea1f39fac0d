"""Makes digits.safetensors and digits_sklearn.json from scikit-learn: its 8x8 digits [Alpaydin and Kaynak, UCI 1998], and what its own RBM and
logistic regression reach on them. Rows i with i % 5 == 4 are held out.

    python tests/data/digits.py"""
import json, os, struct

import numpy as np
import sklearn
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import BernoulliRBM

here = os.path.dirname(os.path.abspath(__file__))
digits = load_digits()
x, y = digits.data.astype(np.uint8), digits.target.astype(np.uint8)

parts, header, at = [x, y], {"__metadata__": {"source": "scikit-learn load_digits(): values 0 ... 16"}}, 0
for name, part in zip(("images", "labels"), parts):
    header[name] = {"dtype": "U8", "shape": list(part.shape), "data_offsets": [at, at + part.nbytes]}
    at += part.nbytes
text = json.dumps(header, separators=(",", ":")).encode()
text += b" " * (-len(text) % 8)
with open(os.path.join(here, "digits.safetensors"), "wb") as f:
    f.write(struct.pack("<Q", len(text)) + text + b"".join(p.tobytes() for p in parts))

v = x / 16.0
held = np.arange(len(v)) % 5 == 4
train, test = v[~held], v[held]


def free_energy(rbm, v):
    return -v @ rbm.intercept_visible_ - np.logaddexp(0, v @ rbm.components_.T + rbm.intercept_hidden_).sum(1)


def pseudo_likelihood(rbm, v):
    """Of every unit, not of one at random: sum over i of log sigmoid(F(v with unit i flipped) - F(v)), mean over rows."""
    f, total = free_energy(rbm, v), 0
    for i in range(v.shape[1]):
        flipped = v.copy()
        flipped[:, i] = 1 - flipped[:, i]
        total += -np.logaddexp(0, f - free_energy(rbm, flipped)).mean()
    return total


def head(a, b):
    return LogisticRegression(C=10, max_iter=5000).fit(a, y[~held]).score(b, y[held])


runs = []
for rate in (0.02, 0.05, 0.1):
    for seed in range(3):
        rbm = BernoulliRBM(n_components=100, learning_rate=rate, batch_size=10, n_iter=20, random_state=seed).fit(train)
        runs.append({"rate": rate, "seed": seed, "pseudo_likelihood": pseudo_likelihood(rbm, test), "accuracy": head(rbm.transform(train), rbm.transform(test))})
        print(runs[-1])
mean = lambda key, rate: float(np.mean([r[key] for r in runs if r["rate"] == rate]))
golden = {"scikit-learn": sklearn.__version__, "hidden": 100, "batch": 10, "epochs": 20, "C": 10,
          "raw_pixels_accuracy": head(train, test),
          "pseudo_likelihood": max(mean("pseudo_likelihood", rate) for rate in (0.02, 0.05, 0.1)),
          "accuracy": max(mean("accuracy", rate) for rate in (0.02, 0.05, 0.1)), "runs": runs}
with open(os.path.join(here, "digits_sklearn.json"), "w") as f:
    json.dump(golden, f, indent=1)
    f.write("\n")
print({k: v for k, v in golden.items() if k != "runs"})
