#!/usr/bin/env python3
"""Makes golden_metrics.json, the values that tests/zoo/test_metrics.cpp checks the metrics against.

    python3 tests/zoo/golden_metrics.py        needs numpy, scipy, scikit-image and scikit-learn

Masks are strings of 0 and 1 (or label digits) in row-major order. null stands for a value that is not defined.
"""
import json
from pathlib import Path

import numpy as np
from scipy import ndimage, stats
from skimage import measure, metrics as image_metrics
from sklearn import metrics

random = np.random.default_rng(7)


def text(mask):
    return "".join(str(int(v)) for v in mask.ravel())


def surface(mask):
    return mask ^ ndimage.binary_erosion(mask, ndimage.generate_binary_structure(mask.ndim, 1))


def mask_case(truth, prediction, spacing):
    """spacing in the order of the axes: (y, x) or (z, y, x)."""
    sampling = np.asarray(spacing)
    st, sp = surface(truth), surface(prediction)
    from_prediction = ndimage.distance_transform_edt(~st, sampling=sampling)[sp]
    from_truth = ndimage.distance_transform_edt(~sp, sampling=sampling)[st]
    both = np.concatenate([from_prediction, from_truth])
    f, p = truth.ravel(), prediction.ravel()
    value = lambda score, **options: score(f, p, zero_division=np.nan, **options)
    case = {
        "shape": truth.shape, "spacing": list(spacing)[::-1], "truth": text(truth), "prediction": text(prediction),
        "dice": metrics.f1_score(f, p), "jaccard": metrics.jaccard_score(f, p),
        "sensitivity": value(metrics.recall_score), "specificity": value(metrics.recall_score, pos_label=0),
        "ppv": value(metrics.precision_score), "npv": value(metrics.precision_score, pos_label=0),
        "hausdorff": max(from_prediction.max(), from_truth.max()),
        "hd95": max(np.percentile(from_prediction, 95), np.percentile(from_truth, 95)), "hd95_pooled": np.percentile(both, 95),
        "assd": both.mean(), "assd_mean_of_means": (from_prediction.mean() + from_truth.mean()) / 2,
        "surface_dice": (both <= 1.5).mean(),
    }
    if len(set(spacing)) == 1:  # scikit-image has no spacing
        assert abs(image_metrics.hausdorff_distance(st, sp) * spacing[0] - case["hausdorff"]) < 1e-9
    return {name: None if isinstance(v, float) and np.isnan(v) else v for name, v in case.items()}


def blob(shape, level=0.5, sigma=2.0):
    noise = ndimage.gaussian_filter(random.standard_normal(shape), sigma)
    return noise > np.quantile(noise, level)


def mask_cases():
    cases = []
    for shape, spacing in [((17, 31), (1, 1)), ((15, 7), (0.5, 0.2)), ((33, 29), (0.31, 0.31)), ((1, 16), (1, 2)), ((7, 9, 11), (3, 1, 0.5)), ((5, 12, 6), (1, 1, 1))]:
        truth = blob(shape)
        cases.append(mask_case(truth, truth ^ (random.random(shape) < 0.12), spacing))
    one, other = np.zeros((8, 9), bool), np.zeros((8, 9), bool)
    one[2, 3], other[6, 6] = True, True  # one pixel each: 5 apart
    cases.append(mask_case(one, other, (1, 1)))
    cases.append(mask_case(np.ones((6, 7), bool), one[:6, :7], (0.7, 1.3)))
    return cases


def delong_variance(truth, scores):
    """The definition, pair by pair."""
    pos, neg = scores[truth == 1], scores[truth == 0]
    kernel = (pos[:, None] > neg[None]) + 0.5 * (pos[:, None] == neg[None])
    return kernel.mean(1).var(ddof=1) / len(pos) + kernel.mean(0).var(ddof=1) / len(neg)


def two_category_cases():
    cases = []
    for n, digits in [(9, 1), (60, 1), (61, 6), (200, 2)]:
        truth = (random.random(n) < 0.4).astype(int)
        truth[:2] = 0, 1
        scores = np.round(random.normal(truth * 1.0, 1), digits)  # few digits make ties
        fpr, tpr, threshold = metrics.roc_curve(truth, scores, drop_intermediate=False)
        auc, variance = metrics.roc_auc_score(truth, scores), delong_variance(truth, scores)
        half = stats.norm.ppf(0.975) * np.sqrt(variance)
        cases.append({"truth": truth.tolist(), "scores": scores.tolist(), "auc": auc, "ap": metrics.average_precision_score(truth, scores),
                      "variance": variance, "lo": max(0, auc - half), "hi": min(1, auc + half), "fpr": fpr.tolist(), "tpr": tpr.tolist()})
    return cases


def many_category_case():
    truth = random.integers(0, 4, 90)
    logits = random.normal(0, 1, (90, 4))
    logits[np.arange(90), truth] += 1
    probabilities = np.round(np.exp(logits) / np.exp(logits).sum(1, keepdims=True), 3)
    predicted = probabilities.argmax(1)
    matrix = metrics.confusion_matrix(truth, predicted)
    specificity = [1 - ((predicted == k) & (truth != k)).sum() / (truth != k).sum() for k in range(4)]
    one_hot = np.eye(4)[truth]
    return {"truth": truth.tolist(), "probabilities": probabilities.tolist(), "predicted": predicted.tolist(), "confusion": matrix.tolist(),
            "accuracy": metrics.accuracy_score(truth, predicted), "f1": metrics.f1_score(truth, predicted, average="macro"),
            "sensitivity": metrics.balanced_accuracy_score(truth, predicted), "specificity": float(np.mean(specificity)),
            "auc": metrics.roc_auc_score(one_hot, probabilities, average="macro"), "ap": metrics.average_precision_score(one_hot, probabilities, average="macro")}


def ellipse_case():
    angle = random.uniform(0, 2 * np.pi, 40)
    x, y = 60 * np.cos(angle), 41 * np.sin(angle)
    points = np.stack([100 + x * np.cos(0.5) - y * np.sin(0.5), 80 + x * np.sin(0.5) + y * np.cos(0.5)], 1) + random.normal(0, 0.7, (40, 2))
    points = np.round(points, 3)
    model = measure.EllipseModel.from_estimate(points)
    (cx, cy), (a, b), theta = model.center, model.axis_lengths, model.theta
    if a < b:
        a, b, theta = b, a, theta + np.pi / 2
    return {"points": points.tolist(), "cx": cx, "cy": cy, "a": a, "b": b, "angle": (theta + np.pi / 2) % np.pi - np.pi / 2}


def component_cases():
    cases = []
    for shape in [(13, 21), (6, 7, 8)]:
        mask = random.random(shape) < 0.45
        filled = ndimage.binary_fill_holes(mask)
        sizes = lambda s: np.bincount(ndimage.label(mask, s)[0].ravel())[1:].tolist()
        everything = np.ones([3] * mask.ndim)
        labels = ndimage.label(mask, everything)[0]
        cases.append({"shape": shape, "mask": text(mask), "filled": text(filled), "sizes_faces": sizes(None), "sizes_all": sizes(everything),
                      "largest": text(labels == 1 + np.bincount(labels.ravel())[1:].argmax())})
    return cases


def agreement_case():
    truth = random.normal(180, 40, 31)
    predicted = truth + random.normal(0.6, 2, 31)
    truth, predicted = np.round(truth, 2), np.round(predicted, 2)
    d = predicted - truth
    return {"truth": truth.tolist(), "predicted": predicted.tolist(), "bias": d.mean(), "deviation": d.std(ddof=1), "mean_absolute": np.abs(d).mean(),
            "root_mean_square": np.sqrt((d ** 2).mean()), "correlation": stats.pearsonr(truth, predicted)[0]}


def percentile_cases():
    values = np.round(random.normal(0, 3, 23), 2)
    return {"values": values.tolist(), "q": [0, 2.5, 33, 50, 95, 97.5, 100], "expected": [float(np.percentile(values, q)) for q in [0, 2.5, 33, 50, 95, 97.5, 100]],
            "ranked": [3, 1, 3, 3, 2, 1], "ranks": stats.rankdata([3, 1, 3, 3, 2, 1]).tolist()}


golden = {"masks": mask_cases(), "two_categories": two_category_cases(), "many_categories": many_category_case(), "ellipse": ellipse_case(),
          "components": component_cases(), "agreement": agreement_case(), "percentiles": percentile_cases()}
path = Path(__file__).with_name("golden_metrics.json")
path.write_text(json.dumps(golden, indent=None, separators=(",", ":"), default=float) + "\n")
print(path.name, path.stat().st_size, "bytes")
