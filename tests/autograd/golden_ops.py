"""Values and gradients of the operations by PyTorch, in our layouts: writes golden_ops.safetensors beside itself.

Each case NAME gives NAME/in0 …, NAME/out, NAME/upstream and NAME/grad0 …, all f64 (indices i32). Run with PyTorch 2 and safetensors installed:
    python tests/autograd/golden_ops.py
"""
import math
import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

torch.manual_seed(20240)
torch.set_default_dtype(torch.float64)
tensors = {}


def first(x):  # channels last to channels first
    return x.movedim(-1, 1)


def last(x):
    return x.movedim(1, -1)


def kernel(w):  # (k…, Cin, Cout) to (Cout, Cin, k…)
    return w.movedim(-1, 0).movedim(-1, 1)


def transposed(w):  # (k…, O, C) to (C, O, k…), as conv_transpose wants it
    return w.movedim(-1, 0).movedim(-1, 1)


def case(name, inputs, f, constants=()):
    """f(inputs…, constants…); gradients for the inputs."""
    inputs = [x.clone().requires_grad_(True) for x in inputs]
    y = f(*inputs, *constants)
    upstream = torch.randn(y.shape)
    grads = torch.autograd.grad(y, inputs, upstream)
    for i, x in enumerate(inputs):
        tensors[f"{name}/in{i}"] = x.detach().contiguous()
        tensors[f"{name}/grad{i}"] = grads[i].contiguous()
    for i, x in enumerate(constants):
        tensors[f"{name}/const{i}"] = (x.to(torch.int32) if x.dtype == torch.int64 else x).contiguous()
    tensors[f"{name}/out"] = y.detach().contiguous()
    tensors[f"{name}/upstream"] = upstream.contiguous()


def r(*shape):
    return torch.randn(*shape)


def positive(*shape):
    return torch.rand(*shape) * 2 + 0.3


def pairs(x):
    return torch.view_as_real(x)


def complexes(x):
    return torch.view_as_complex(x.contiguous())


def analytic(x):
    n = x.shape[-1]
    h = torch.zeros(n)
    h[0] = 1
    h[1 : (n + 1) // 2] = 2
    if n % 2 == 0:
        h[n // 2] = 1
    return torch.view_as_real(torch.fft.ifft(torch.fft.fft(x) * h))


for name, f in {
    "exp": torch.exp, "square": torch.square, "abs": torch.abs, "sin": torch.sin, "cos": torch.cos, "erf": torch.erf, "tanh": torch.tanh,
    "sigmoid": torch.sigmoid, "relu": torch.relu, "leaky_relu": lambda x: F.leaky_relu(x, 0.1), "elu": lambda x: F.elu(x, 1.3), "gelu": F.gelu,
    "silu": F.silu, "softplus": F.softplus, "clamp": lambda x: x.clamp(-0.5, 0.8),
}.items():
    case(name, [r(3, 5)], f)
for name, f in {"log": torch.log, "log1p": torch.log1p, "sqrt": torch.sqrt, "pow_scalar": lambda x: x**2.5, "reciprocal": lambda x: 3 / x}.items():
    case(name, [positive(3, 5)], f)
case("divide", [r(2, 3, 4), positive(3, 1)], torch.div)
case("pow", [positive(3, 4), r(4)], torch.pow)
case("maximum", [r(3, 4), r(3, 4)], torch.maximum)
case("minimum", [r(3, 4), r(4)], torch.minimum)
case("prelu", [r(2, 3, 4), positive(4)], lambda x, s: last(F.prelu(first(x), s)))
case("bce_with_logits", [r(3, 4), torch.rand(3, 4)], lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction="none"))

case("sum", [r(2, 3, 4)], lambda x: x.sum((0, 2)))
case("mean", [r(2, 3, 4)], lambda x: x.mean(1, keepdim=True))
case("var", [r(2, 3, 4)], lambda x: x.var((0, 2), unbiased=True))
case("max", [r(2, 3, 4)], lambda x: x.amax((0, 2)))
case("min", [r(2, 3, 4)], lambda x: x.amin(1))
case("logsumexp", [r(2, 3, 4) * 5], lambda x: x.logsumexp((1, 2)))
case("softmax", [r(2, 3, 4)], lambda x: x.softmax(1))
case("log_softmax", [r(2, 3, 4)], lambda x: x.log_softmax(-1))
case("cumsum", [r(2, 5, 3)], lambda x: x.cumsum(1))
case("sort", [r(3, 6)], lambda x: x.sort(-1, descending=True).values)
case("topk", [r(6, 3)], lambda x: x.topk(2, 0).values)

case("permute", [r(2, 3, 4, 2)], lambda x: x.permute(2, 0, 3, 1))
case("slice", [r(3, 9)], lambda x: x[:, 1:8:3])
case("concat", [r(2, 1, 3), r(2, 4, 3)], lambda a, b: torch.cat([a, b], 1))
case("stack", [r(2, 3), r(2, 3)], lambda a, b: torch.stack([a, b], -1))
case("pad", [r(2, 3)], lambda x: F.pad(x, (2, 0, 1, 3)))
case("pad_reflect", [r(2, 4, 5, 2)], lambda x: last(F.pad(first(x), (3, 2, 1, 3), mode="reflect")))
case("pad_edge", [r(2, 4, 5, 2)], lambda x: last(F.pad(first(x), (3, 2, 1, 4), mode="replicate")))
case("flip", [r(2, 3, 4)], lambda x: x.flip(0, 2))
case("roll", [r(2, 5)], lambda x: x.roll(2, 1))

case("take", [r(5, 3)], lambda x, i: x[i], [torch.tensor([[0, 4, 4], [2, 0, 4]])])
case("gather", [r(3, 5)], lambda x, i: x.gather(1, i), [torch.randint(0, 5, (3, 4))])
case("scatter_add", [r(3, 4)], lambda x, i: torch.zeros(3, 5).scatter_add(1, i, x), [torch.randint(0, 5, (3, 4))])

case("matmul", [r(2, 3, 4), r(2, 4, 5)], torch.matmul)
case("matmul_transposed", [r(2, 4, 3), r(5, 4)], lambda a, b: a.mT @ b.mT)
case("linear", [r(2, 3, 4), r(4, 5), r(5)], lambda x, w, b: x @ w + b)

case("conv1d", [r(2, 9, 3), r(3, 3, 4), r(4)], lambda x, w, b: last(F.conv1d(first(x), kernel(w), b, stride=2, padding=1)))
case("conv2d", [r(2, 6, 7, 3), r(3, 2, 3, 4), r(4)], lambda x, w, b: last(F.conv2d(first(x), kernel(w), b, stride=(2, 1), padding=(1, 0))))
case("conv2d_dilated", [r(1, 8, 7, 2), r(3, 3, 2, 3)], lambda x, w: last(F.conv2d(first(x), kernel(w), padding=2, dilation=2)))
case("conv2d_groups", [r(1, 5, 5, 4), r(3, 3, 2, 6), r(6)], lambda x, w, b: last(F.conv2d(first(x), kernel(w), b, padding=1, groups=2)))
case("conv3d", [r(1, 4, 5, 4, 2), r(2, 3, 3, 2, 3), r(3)], lambda x, w, b: last(F.conv3d(first(x), kernel(w), b, stride=(1, 2, 1), padding=(0, 1, 1))))
case("conv_transpose1d", [r(2, 5, 3), r(4, 2, 3)], lambda x, w: last(F.conv_transpose1d(first(x), transposed(w), stride=3, padding=1)))
case("conv_transpose2d", [r(1, 4, 3, 4), r(3, 3, 2, 4), r(4)],
     lambda x, w, b: last(F.conv_transpose2d(first(x), transposed(w), b, stride=2, padding=1, output_padding=1, groups=2)))
case("conv_transpose3d", [r(1, 2, 3, 3, 2), r(2, 2, 2, 3, 2), r(3)], lambda x, w, b: last(F.conv_transpose3d(first(x), transposed(w), b, stride=2)))

case("max_pool", [r(2, 6, 7, 2)], lambda x: last(F.max_pool2d(first(x), (3, 2), stride=(2, 2), padding=(1, 1), ceil_mode=True)))
case("max_pool1d", [r(2, 7, 3)], lambda x: last(F.max_pool1d(first(x), 3, stride=2)))
case("max_pool3d", [r(1, 4, 4, 5, 2)], lambda x: last(F.max_pool3d(first(x), 2)))
case("avg_pool", [r(2, 6, 7, 2)], lambda x: last(F.avg_pool2d(first(x), 3, stride=2, padding=1, ceil_mode=True)))
case("avg_pool_inside", [r(2, 6, 7, 2)], lambda x: last(F.avg_pool2d(first(x), 3, stride=2, padding=1, count_include_pad=False)))
case("avg_pool_ceil", [r(1, 6, 4, 2)], lambda x: last(F.avg_pool2d(first(x), (4, 3), stride=(3, 2), padding=(2, 1), ceil_mode=True)))
case("adaptive_avg_pool", [r(2, 7, 5, 2)], lambda x: last(F.adaptive_avg_pool2d(first(x), (3, 2))))
case("adaptive_max_pool", [r(2, 7, 5, 2)], lambda x: last(F.adaptive_max_pool2d(first(x), (3, 4))))
case("global_avg_pool", [r(2, 3, 4, 2)], lambda x: x.mean((1, 2)))

case("batch_norm", [r(3, 4, 2, 3), positive(3), r(3)], lambda x, s, b: last(F.batch_norm(first(x), None, None, s, b, training=True)))
case("batch_norm_relu", [r(3, 4, 2, 3), positive(3), r(3)], lambda x, s, b: last(F.batch_norm(first(x), None, None, s, b, training=True)).relu())
case("batch_norm_eval", [r(3, 4, 2, 3), positive(3), r(3)], lambda x, s, b, m, v: last(F.batch_norm(first(x), m, v, s, b)), [r(3), positive(3)])
case("layer_norm", [r(3, 2, 5), positive(5), r(5)], lambda x, s, b: F.layer_norm(x, (5,), s, b))
case("group_norm", [r(2, 3, 2, 6), positive(6), r(6)], lambda x, s, b: last(F.group_norm(first(x), 3, s, b)))
case("instance_norm", [r(2, 3, 4, 2), positive(2), r(2)], lambda x, s, b: last(F.instance_norm(first(x), weight=s, bias=b)))
case("local_response_norm", [r(1, 2, 2, 7)], lambda x: last(F.local_response_norm(first(x), 5, 0.3, 0.75, 1.5)))
case("local_response_norm_even", [r(1, 2, 2, 5)], lambda x: last(F.local_response_norm(first(x), 2, 0.3, 0.75, 1.5)))

target = torch.tensor([[0, 3, 2], [1, -100, 3]])
case("cross_entropy", [r(2, 3, 4) * 3], lambda x, t: F.cross_entropy(first(x), t.long(), reduction="none"), [target])
case("cross_entropy_mean", [r(2, 3, 4) * 3], lambda x, t, w: F.cross_entropy(first(x), t.long(), weight=w, label_smoothing=0.1), [target, positive(4)])
case("cross_entropy_sum", [r(2, 3, 4) * 3], lambda x, t, w: F.cross_entropy(first(x), t.long(), weight=w, reduction="sum"), [target, positive(4)])

case("interpolate_nearest", [r(1, 3, 4, 2)], lambda x: last(F.interpolate(first(x), (6, 7))))
case("interpolate_linear", [r(1, 3, 4, 2)], lambda x: last(F.interpolate(first(x), (7, 6), mode="bilinear")))
case("interpolate_down", [r(1, 7, 9, 2)], lambda x: last(F.interpolate(first(x), (3, 4), mode="bilinear")))
case("interpolate_corners", [r(1, 3, 4, 2)], lambda x: last(F.interpolate(first(x), (5, 9), mode="bilinear", align_corners=True)))
case("interpolate1d", [r(2, 5, 2)], lambda x: last(F.interpolate(first(x), 8, mode="linear")))
case("interpolate3d", [r(1, 2, 3, 3, 2)], lambda x: last(F.interpolate(first(x), (3, 4, 5), mode="trilinear")))
grid = torch.rand(2, 3, 4, 2) * 2.6 - 1.3
case("grid_sample", [r(2, 4, 5, 2), grid], lambda x, g: last(F.grid_sample(first(x), g, align_corners=False)))
case("grid_sample_corners", [r(2, 4, 5, 2), grid], lambda x, g: last(F.grid_sample(first(x), g, align_corners=True)))
case("grid_sample_nearest", [r(2, 4, 5, 2), grid], lambda x, g: last(F.grid_sample(first(x), g, mode="nearest", align_corners=False)))
case("grid_sample3d", [r(1, 3, 4, 3, 2), torch.rand(1, 2, 2, 3, 3) * 2.4 - 1.2], lambda x, g: last(F.grid_sample(first(x), g, align_corners=False)))
case("affine_grid", [r(2, 2, 3)], lambda t: F.affine_grid(t, (2, 1, 3, 4), align_corners=False))
case("affine_grid3d", [r(1, 3, 4)], lambda t: F.affine_grid(t, (1, 1, 2, 3, 4), align_corners=True))

case("fft", [r(2, 6, 2)], lambda x: pairs(torch.fft.fft(complexes(x))))
case("ifft", [r(2, 7, 2)], lambda x: pairs(torch.fft.ifft(complexes(x))))
case("rfft", [r(2, 9)], lambda x: pairs(torch.fft.rfft(x)))
case("irfft", [r(2, 5, 2)], lambda x: torch.fft.irfft(complexes(x), 8))
case("irfft_odd", [r(2, 4, 2)], lambda x: torch.fft.irfft(complexes(x), 7))
case("hilbert", [r(2, 8)], analytic)
case("hilbert_odd", [r(2, 7)], analytic)

assert all(not math.isnan(float(t.double().sum())) for t in tensors.values())
path = pathlib.Path(__file__).with_name("golden_ops.safetensors")
save_file(tensors, path, metadata={"made_by": f"tests/autograd/golden_ops.py, PyTorch {torch.__version__}"})
print(len({k.split('/')[0] for k in tensors}), "cases,", path.stat().st_size, "bytes")
