"""What both sides are scored with: zoo/metrics in numpy, and the truths as zoo/data reads them. Masks are (H, W) bool."""
import csv, os, re

import numpy as np
from PIL import Image
from scipy import ndimage


def read(path):
    """Grey values as stored; of a colour picture its luma."""
    image = Image.open(path)
    return np.asarray(image if image.mode == "L" else image.convert("RGB").convert("L"))


def read_mask(path):
    """Set where any channel but alpha is."""
    image = Image.open(path)
    values = np.asarray(image.convert("RGB") if image.mode in ("RGB", "RGBA") else image)
    return (values if values.ndim == 2 else values.max(2)) > 0


# ---- ellipses ----------------------------------------------------------------------------------------------------------------------------------
def fit_ellipse(points):
    """Direct least squares, (cx, cy, a, b, angle) of points (n, 2); None if there is no ellipse [Halir and Flusser, WSCG 1998]."""
    if len(points) < 6:
        return None
    centre = points.mean(0)
    size = np.hypot(*(points - centre).T).mean()
    x, y = ((points - centre) / size).T
    quadratic, linear = np.stack([x * x, x * y, y * y], 1), np.stack([x, y, np.ones_like(x)], 1)
    t = -np.linalg.solve(linear.T @ linear, linear.T @ quadratic)
    m = quadratic.T @ quadratic + quadratic.T @ linear @ t
    values, vectors = np.linalg.eig(np.stack([m[2] / 2, -m[1], m[0] / 2]))
    for value, v in zip(values, vectors.T.real):
        if abs(value.imag) > 1e-9 or 4 * v[0] * v[2] - v[1] ** 2 <= 1e-12:
            continue
        w = t @ v
        form = np.array([[v[0], v[1] / 2], [v[1] / 2, v[2]]])
        at = np.linalg.solve(form, -w[:2] / 2)
        level = -(w[2] + w[:2] @ at / 2)
        (small, large), axes = np.linalg.eigh(form if level > 0 else -form)
        if not small > 0:
            return None
        axis = axes[:, 0]
        return (*(at * size + centre), size * np.sqrt(abs(level) / small), size * np.sqrt(abs(level) / large), np.arctan2(axis[1], axis[0]))
    return None


def perimeter(ellipse):
    """Ramanujan's second formula."""
    _, _, a, b, _ = ellipse
    h = ((a - b) / (a + b)) ** 2
    return np.pi * (a + b) * (1 + 3 * h / (10 + np.sqrt(4 - 3 * h)))


def ellipse_mask(ellipse, shape):
    cx, cy, a, b, angle = ellipse
    y, x = np.mgrid[: shape[0], : shape[1]]
    c, s = np.cos(angle), np.sin(angle)
    return ((c * (x - cx) + s * (y - cy)) / a) ** 2 + ((c * (y - cy) - s * (x - cx)) / b) ** 2 <= 1


def outline_points(mask):
    """Midway between each pixel and the neighbours that differ from it."""
    across, down = np.argwhere(mask[:, 1:] != mask[:, :-1]), np.argwhere(mask[1:] != mask[:-1])
    return np.concatenate([across[:, ::-1] + [0.5, 0], down[:, ::-1] + [0, 0.5]]).astype(float)


def head_of(mask):
    """The ellipse of the largest piece, its holes filled; None without one."""
    pieces, n = ndimage.label(mask, np.ones((3, 3)))
    if not n:
        return None
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return fit_ellipse(outline_points(ndimage.binary_fill_holes(pieces == sizes.argmax())))


# ---- cases -------------------------------------------------------------------------------------------------------------------------------------
class Busi:
    """Ids "benign (7)"; several lesions have a mask each."""
    measures = False

    def __init__(self, folder):
        self.folder = folder

    def files(self, id):
        kind = os.path.join(self.folder, id.split(" ")[0])
        images, masks = (os.path.join(kind, part) if os.path.isdir(os.path.join(kind, part)) else kind for part in ("images", "mask"))
        wanted = re.compile(re.escape(id) + r"_mask(_\d+)?\.png")
        return os.path.join(images, id + ".png"), [os.path.join(masks, f) for f in sorted(os.listdir(masks)) if wanted.fullmatch(f)]

    def image(self, id):
        return read(self.files(id)[0])

    def mask(self, id):
        return np.logical_or.reduce([read_mask(f) for f in self.files(id)[1]])

    def patient(self, id):
        return id


class Hc18:
    """Ids "012_HC", "012_2HC" of patient 012; the annotation is an ellipse's outline, the table has mm per pixel and the circumference."""
    measures = True

    def __init__(self, folder):
        self.images = os.path.join(folder, "training_set")
        with open(os.path.join(folder, "training_set_pixel_size_and_HC.csv")) as f:
            self.table = {row[0].removesuffix(".png"): (float(row[1]), float(row[2])) for row in list(csv.reader(f))[1:]}

    def files(self, id):
        return os.path.join(self.images, id + ".png"), [os.path.join(self.images, id + "_Annotation.png")]

    def image(self, id):
        return read(self.files(id)[0])

    def mask(self, id):
        outline = read_mask(self.files(id)[1][0])
        return ellipse_mask(fit_ellipse(np.argwhere(outline)[:, ::-1].astype(float)), outline.shape)

    def patient(self, id):
        return id.split("_")[0]


def cases_of(system, folder):
    return {"unet": Busi, "unet-hc": Hc18}[system](folder)


# ---- scores ------------------------------------------------------------------------------------------------------------------------------------
def dice(truth, found):
    """NaN if both are empty."""
    total = truth.sum() + found.sum()
    return 2 * (truth & found).sum() / total if total else np.nan


def interval(values, patients, replicates=2000):
    """The mean of what is defined and its 95 % interval from a bootstrap over patients."""
    values = np.asarray(values, float)
    _, group = np.unique(patients, return_inverse=True)
    sums, counts = (np.bincount(group, w) for w in (np.nan_to_num(values), ~np.isnan(values)))
    drawn = np.random.default_rng(0).integers(len(sums), size=(replicates, len(sums)))
    with np.errstate(invalid="ignore"):
        means = sums[drawn].sum(1) / counts[drawn].sum(1)
    return float(np.nanmean(values)), *map(float, np.nanpercentile(means, [2.5, 97.5]))


def scores(cases, ids, found):
    """{"dice": [per case …], "hc": [absolute error in mm …]}; found: (mask, ellipse or None) per case. No ellipse counts as 0 mm."""
    result = {"dice": [dice(cases.mask(id), mask) for id, (mask, _) in zip(ids, found)]}
    if cases.measures:
        result["hc"] = [abs((perimeter(ellipse) * cases.table[id][0] if ellipse else 0) - cases.table[id][1]) for id, (_, ellipse) in zip(ids, found)]
    return result
