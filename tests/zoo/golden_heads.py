#!/usr/bin/env python3
"""Makes golden_heads.json, the values that tests/zoo/test_heads.cpp checks the heads and the paired tests against.

    python3 tests/zoo/golden_heads.py        needs numpy, scipy and scikit-learn
"""
import json
from pathlib import Path

import numpy as np
from scipy import stats
from sklearn.calibration import _sigmoid_calibration
from sklearn.cluster import KMeans
from sklearn.covariance import ledoit_wolf
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mutual_info_score, roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

random = np.random.default_rng(11)


def table(n, f, classes, shift):
    y = np.arange(n) % 7 % classes
    x = random.normal(0, 1, (n, f)) * np.linspace(0.5, 3, f) + np.linspace(-2, 5, f)
    x[:, :classes] += shift * np.eye(classes)[y]
    x = np.round(x, 3).astype(np.float32).astype(np.float64)
    return x, y


def heads(x, y, test):
    scaler = StandardScaler().fit(x)
    z, zt = scaler.transform(x), scaler.transform(test)
    result = {"x": x.ravel().tolist(), "y": y.tolist(), "test": test.ravel().tolist(), "features": x.shape[1], "classes": int(y.max() + 1)}
    for name, options in {"rbf": {"kernel": "rbf", "C": 2.0}, "linear": {"kernel": "linear", "C": 0.5}, "balanced": {"kernel": "rbf", "C": 1.0, "gamma": 0.05, "class_weight": "balanced"}}.items():
        svc = SVC(decision_function_shape="ovo", tol=1e-9, **options).fit(z, y)
        result[name] = np.ravel(svc.decision_function(zt)).tolist()
    svc = LinearSVC(dual=False, C=0.7, tol=1e-10, max_iter=100000).fit(z, y)
    result["linear_svm"] = np.ravel(svc.decision_function(zt)).tolist()
    for name, shrinkage in {"lda_auto": "auto", "lda_fixed": 0.3, "lda_none": None}.items():
        result[name] = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(z, y).predict_proba(zt).ravel().tolist()
    for weights in ["uniform", "distance"]:
        result["knn_" + weights] = KNeighborsClassifier(5, weights=weights, algorithm="brute").fit(z, y).predict_proba(zt).ravel().tolist()
    result["logistic"] = LogisticRegression(C=0.8, tol=1e-12, max_iter=10000).fit(z, y).predict_proba(zt).ravel().tolist()
    result["ledoit_wolf"] = ledoit_wolf(x)[1]
    result["anova_t"] = stats.ttest_ind(x[y == 1], x[y == 0], equal_var=False).statistic.tolist()
    return result


def calibration():
    truth = (random.random(60) < 0.4).astype(int)
    scores = np.round(random.normal(truth * 1.2, 1), 1)  # with ties
    a, b = _sigmoid_calibration(scores, truth)
    at = np.linspace(-4, 5, 19)
    iso = IsotonicRegression(out_of_bounds="clip").fit(scores, truth)
    return {"scores": scores.tolist(), "truth": truth.tolist(), "platt": [float(a), float(b)], "at": at.tolist(), "isotonic": iso.predict(at).tolist()}


def pca():
    x = random.normal(0, 1, (25, 7)) @ random.normal(0, 1, (7, 7)) + 3
    x = np.round(x, 3).astype(np.float32).astype(np.float64)
    wide = np.round(random.normal(0, 1, (8, 20)), 3).astype(np.float32).astype(np.float64)
    result = {"x": x.ravel().tolist(), "wide": wide.ravel().tolist()}
    for name, data in {"tall": x, "flat": wide}.items():
        p = PCA(4, svd_solver="full").fit(data)
        sign = np.sign(p.components_[np.arange(4), np.abs(p.components_).argmax(1)])
        result[name] = {"variance": p.explained_variance_.tolist(), "ratio": float(p.explained_variance_ratio_.sum()), "z": (p.transform(data) * sign).ravel().tolist()}
    return result


def kmeans():
    centres = np.array([[0, 0], [6, 1], [2, 7], [-5, 4]])
    x = np.round(centres[np.arange(80) % 4] + random.normal(0, 0.8, (80, 2)), 3).astype(np.float32).astype(np.float64)
    fit = KMeans(4, n_init=20, tol=0, random_state=0).fit(x)
    return {"x": x.ravel().tolist(), "inertia": fit.inertia_, "centres": fit.cluster_centers_[np.argsort(fit.cluster_centers_[:, 0])].ravel().tolist()}


def delong_test(truth, a, b):
    """The definition, pair by pair."""
    def parts(s):
        k = (s[truth == 1][:, None] > s[truth == 0][None]) + 0.5 * (s[truth == 1][:, None] == s[truth == 0][None])
        return k.mean(1), k.mean(0)
    (pa, na), (pb, nb) = parts(a), parts(b)
    variance = np.var(pa - pb, ddof=1) / len(pa) + np.var(na - nb, ddof=1) / len(na)
    d = roc_auc_score(truth, a) - roc_auc_score(truth, b)
    z = d / np.sqrt(variance)
    half = stats.norm.ppf(0.975) * np.sqrt(variance)
    return [d, d - half, d + half, z, 2 * stats.norm.sf(abs(z))]


def tests():
    d = np.round(random.normal(0.02, 0.03, 15), 4)
    error = np.sqrt((1 / 15 + 0.25) * d.var(ddof=1))
    t = d.mean() / error
    half = stats.t.ppf(0.975, 14) * error
    truth = (random.random(70) < 0.45).astype(int)
    a, b = np.round(random.normal(truth * 1.5, 1), 1), np.round(random.normal(truth * 0.8, 1), 1)
    right_a, right_b = random.random(90) < 0.9, random.random(90) < 0.7
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    return {"differences": d.tolist(), "resampled": [d.mean(), d.mean() - half, d.mean() + half, t, 2 * stats.t.sf(abs(t), 14)],
            "truth": truth.tolist(), "a": a.tolist(), "b": b.tolist(), "delong": delong_test(truth, a, b),
            "right_a": right_a.astype(int).tolist(), "right_b": right_b.astype(int).tolist(), "mcnemar": [only_a, only_b, stats.binomtest(min(only_a, only_b), only_a + only_b).pvalue],
            "student": [[float(t), float(n), float(2 * stats.t.sf(t, n))] for t in [0.1, 1, 2.5, 12] for n in [1, 4, 30, 200]]}


def ranking():
    a, b = random.integers(0, 4, 50), random.integers(0, 3, 50)
    b[:25] = a[:25] % 3
    return {"a": a.tolist(), "b": b.tolist(), "mutual_information": mutual_info_score(a, b)}


two, three = table(60, 6, 2, 1.2), table(75, 5, 3, 2.0)
golden = {"two": heads(*two, np.round(two[0][:15] + random.normal(0, 0.7, (15, 6)), 3).astype(np.float32).astype(np.float64)),
          "three": heads(*three, np.round(three[0][:15] + random.normal(0, 0.7, (15, 5)), 3).astype(np.float32).astype(np.float64)),
          "calibration": calibration(), "pca": pca(), "kmeans": kmeans(), "tests": tests(), "ranking": ranking()}


def shorter(value):
    if isinstance(value, dict):
        return {k: shorter(v) for k, v in value.items()}
    if isinstance(value, list):
        return [shorter(v) for v in value]
    return float(f"{value:.10g}") if isinstance(value, float) else value


path = Path(__file__).with_name("golden_heads.json")
path.write_text(json.dumps(shorter(golden), separators=(",", ":"), default=float) + "\n")
print(path.name, path.stat().st_size, "bytes")
