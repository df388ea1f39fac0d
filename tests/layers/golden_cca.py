"""Makes golden/cca.safetensors from scikit-learn's CCA: python tests/layers/golden_cca.py (needs scikit-learn; checked with the version that it prints).

x1 (50, 4), x2 (50, 3) share two hidden values; test1, test2 are new cases; projected1, projected2 their scores, correlations those of the training."""
import os

import numpy as np
import sklearn
from safetensors.numpy import save_file
from sklearn.cross_decomposition import CCA

random = np.random.default_rng(3)
mix1, mix2 = random.normal(size=(2, 4)), random.normal(size=(2, 3))


def views(n):
    hidden = random.normal(size=(n, 2))
    return hidden @ mix1 + 0.7 * random.normal(size=(n, 4)), hidden @ mix2 + 0.7 * random.normal(size=(n, 3))


x1, x2 = views(50)
test1, test2 = views(20)
cca = CCA(n_components=3, tol=1e-14, max_iter=100000).fit(x1, x2)
s1, s2 = cca.transform(x1, x2)
correlations = np.array([np.corrcoef(s1[:, k], s2[:, k])[0, 1] for k in range(3)])
p1, p2 = cca.transform(test1, test2)
here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")
save_file({k: np.ascontiguousarray(v) for k, v in {"x1": x1, "x2": x2, "test1": test1, "test2": test2, "projected1": p1, "projected2": p2, "correlations": correlations}.items()},
          os.path.join(here, "cca.safetensors"))
print("scikit-learn", sklearn.__version__, "correlations", correlations)
