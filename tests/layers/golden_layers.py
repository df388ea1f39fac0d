"""Makes the golden values of tests/layers from PyTorch, in double precision: golden/{unet,resnet_small,rnn,gru,lstm,layers,losses}.safetensors.

    python tests/layers/golden_layers.py        (needs torch, numpy and safetensors; checked with torch 2.15)

Everything is stored in this project's layouts: images (N, H, W, C), weights (k..., in, out). A network's file holds
    input, target, output         of the first step, in training
    weights.PATH, gradients.PATH  before and in the first step
    losses                        of ten steps of plain gradient descent with the rate `rate`
    buffers.PATH, evaluated       running statistics after them, and the output in evaluation
"""
import os

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file
from torch import nn

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")


def channels_last(x):
    return x.permute(0, *range(2, x.dim()), 1) if x.dim() > 2 else x


def weight(path, w):
    """(out, in, k...) -> (k..., in, out)"""
    return w.permute(*range(2, w.dim()), 1, 0) if w.dim() >= 2 and not path.startswith("embedding") else w


def array(t):
    t = t.detach() if torch.is_tensor(t) else torch.tensor(t)
    return np.ascontiguousarray((t.to(torch.int32) if not t.is_floating_point() else t).numpy())


def save(name, values):
    os.makedirs(here, exist_ok=True)
    save_file({k: array(v) for k, v in values.items()}, os.path.join(here, name + ".safetensors"))


def scramble(net):
    """Norms start at 1 and 0: other values show more."""
    for m in net.modules():
        if isinstance(m, (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)):
            nn.init.uniform_(m.weight, 0.5, 1.5)
            nn.init.uniform_(m.bias, -0.3, 0.3)


def train(name, net, x, target, loss_of, rate, forward=None, keep_pytorch=False):
    forward = forward or net
    last = channels_last if x.dim() == 4 else lambda t: t
    values = {"input": last(x), "target": last(target) if target.dim() == 4 else target, "rate": torch.tensor([rate])}
    state = {k: v.clone() for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    values |= {"weights." + k: weight(k, v) for k, v in state.items()}
    if keep_pytorch:
        values |= {"pytorch." + k: v for k, v in state.items()}
    losses = []
    for step in range(10):
        net.zero_grad()
        y = forward(x)
        loss = loss_of(y, target)
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            values["output"] = last(y)
            values |= {"gradients." + k: weight(k, p.grad) for k, p in net.named_parameters()}
        with torch.no_grad():
            for p in net.parameters():
                p -= rate * p.grad
    net.eval()
    values["losses"] = torch.tensor(losses)
    values["evaluated"] = last(forward(x))
    values |= {"buffers." + k: v for k, v in net.state_dict().items() if "running" in k}
    assert losses[-1] < losses[0], losses
    save(name, values)
    print(f"{name:14s} {losses[0]:.6f} -> {losses[-1]:.6f}")


class DoubleConv(nn.Module):
    def __init__(self, a, b):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b)
        self.conv2, self.norm2 = nn.Conv2d(b, b, 3, padding=1, bias=False), nn.BatchNorm2d(b)

    def forward(self, x):
        return F.relu(self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))))


class Up(nn.Module):
    def __init__(self, a, skip, b):
        super().__init__()
        self.up, self.conv = nn.ConvTranspose2d(a, b, 2, 2), DoubleConv(b + skip, b)

    def forward(self, x, skip):
        y = self.up(x)
        y = F.pad(y, (0, skip.shape[3] - y.shape[3], 0, skip.shape[2] - y.shape[2]))
        return self.conv(torch.cat([skip, y], 1))


class UNet(nn.Module):
    def __init__(self, widths):
        super().__init__()
        self.encoder = nn.ModuleList(DoubleConv(a, b) for a, b in zip([1] + widths, widths))
        self.decoder = nn.ModuleList(Up(widths[i + 1], widths[i], widths[i]) for i in reversed(range(len(widths) - 1)))
        self.head = nn.Conv2d(widths[0], 1, 1)

    def forward(self, x):
        levels = [self.encoder[0](x)]
        for block in self.encoder[1:]:
            levels.append(block(F.max_pool2d(levels[-1], 2)))
        y = levels[-1]
        for block, skip in zip(self.decoder, reversed(levels[:-1])):
            y = block(y, skip)
        return self.head(y)


class Block(nn.Module):
    def __init__(self, a, b, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b)
        self.conv2, self.bn2 = nn.Conv2d(b, b, 3, 1, 1, bias=False), nn.BatchNorm2d(b)
        if a != b or stride != 1:
            self.downsample = nn.Sequential(nn.Conv2d(a, b, 1, stride, bias=False), nn.BatchNorm2d(b))

    def forward(self, x):
        shortcut = self.downsample(x) if hasattr(self, "downsample") else x
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + shortcut)


class ResNet(nn.Module):
    def __init__(self, widths):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, widths[0], 3, 2, 1, bias=False), nn.BatchNorm2d(widths[0])
        self.stages = len(widths)
        for i, w in enumerate(widths):
            setattr(self, f"layer{i + 1}", nn.Sequential(Block(widths[max(i - 1, 0)], w, 2 if i else 1)))
        self.fc = nn.Linear(widths[-1], 2)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        for i in range(self.stages):
            y = getattr(self, f"layer{i + 1}")(y)
        return self.fc(y.mean((2, 3)))


class Classifier(nn.Module):
    """Two recurrent layers in both directions over sequences of different lengths; the class from where each direction ended."""

    def __init__(self, kind):
        super().__init__()
        self.rnn = kind(5, 4, num_layers=2, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(8, 3)
        self.lengths = torch.tensor([7, 4, 1])

    def forward(self, x):
        packed = nn.utils.rnn.pack_padded_sequence(x, self.lengths, batch_first=True)
        _, h = self.rnn(packed)
        h = h[0] if isinstance(h, tuple) else h
        return self.fc(torch.cat([h[-2], h[-1]], 1))


def layer_cases():
    """One call of each layer: y, and the gradients of sum(y * upstream)."""
    cases = {
        "conv1d": (nn.Conv1d(4, 6, 3, stride=2, padding=2, dilation=2, groups=2), (2, 4, 11)),
        "conv2d": (nn.Conv2d(3, 4, (3, 5), stride=(2, 1), padding=(1, 2)), (2, 3, 7, 9)),
        "conv3d": (nn.Conv3d(2, 3, 3, padding=1, bias=False), (1, 2, 4, 5, 3)),
        "conv_transpose1d": (nn.ConvTranspose1d(3, 2, 3, stride=2, padding=1, output_padding=1), (2, 3, 6)),
        "conv_transpose2d": (nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, groups=2), (2, 4, 4, 3)),
        "conv_transpose3d": (nn.ConvTranspose3d(2, 2, 2, stride=2), (1, 2, 2, 3, 2)),
        "linear": (nn.Linear(5, 3), (4, 5)),
        "batch_norm": (nn.BatchNorm2d(3), (2, 3, 4, 5)),
        "group_norm": (nn.GroupNorm(2, 6), (2, 6, 3, 4)),
        "instance_norm": (nn.InstanceNorm2d(3, affine=True), (2, 3, 4, 5)),
        "layer_norm": (nn.LayerNorm(6), (3, 6)),
        "local_response_norm": (nn.LocalResponseNorm(3, alpha=0.5, beta=0.6, k=1.5), (2, 7, 3, 2)),
        "prelu": (nn.PReLU(3), (2, 3, 4, 2)),
        "max_pool": (nn.MaxPool2d(3, 2, 1), (1, 2, 7, 8)),
        "avg_pool": (nn.AvgPool2d(3, 2, 1), (1, 2, 7, 8)),
        "adaptive_avg_pool": (nn.AdaptiveAvgPool2d((3, 2)), (1, 2, 7, 5)),
        "adaptive_max_pool": (nn.AdaptiveMaxPool2d((3, 2)), (1, 2, 7, 5)),
    }
    values = {}
    for name, (layer, shape) in cases.items():
        scramble(layer)
        x = torch.randn(shape, requires_grad=True)
        y = layer(x)
        upstream = torch.randn(y.shape)
        (y * upstream).sum().backward()
        values |= {f"{name}.input": channels_last(x), f"{name}.output": channels_last(y), f"{name}.upstream": channels_last(upstream)}
        values[f"{name}.input_gradient"] = channels_last(x.grad)
        values |= {f"{name}.weights.{k}": weight(k, p) for k, p in layer.named_parameters()}
        values |= {f"{name}.gradients.{k}": weight(k, p.grad) for k, p in layer.named_parameters()}
        values |= {f"{name}.buffers.{k}": v for k, v in layer.state_dict().items() if "running" in k}
    cell = nn.LSTM(3, 4, batch_first=True)
    x, h, c = (torch.randn(s, requires_grad=True) for s in ((2, 5, 3), (1, 2, 4), (1, 2, 4)))
    y, (hn, cn) = cell(x, (h, c))
    upstream = torch.randn(y.shape)
    ((y * upstream).sum() + (hn * h.detach()).sum() + (cn * c.detach()).sum()).backward()
    values |= {"states.input": x, "states.h": h, "states.c": c, "states.output": y, "states.end_h": hn, "states.end_c": cn, "states.upstream": upstream}
    values |= {"states.input_gradient": x.grad, "states.h_gradient": h.grad, "states.c_gradient": c.grad}
    values |= {f"states.weights.{k}": weight(k, p) for k, p in cell.named_parameters()}
    save("layers", values)


def dice(p, y, smooth=1.0, squared=False):
    both, axes = (p * y).sum((1, 2)), (1, 2)
    both_sums = (p**2).sum(axes) + (y**2).sum(axes) if squared else p.sum(axes) + y.sum(axes)
    return 1 - (2 * both + smooth) / (both_sums + smooth)


def tversky(p, y, a=0.3, b=0.7, smooth=1.0):
    tp, fp, fn = (p * y).sum((1, 2)), (p * (1 - y)).sum((1, 2)), ((1 - p) * y).sum((1, 2))
    return 1 - (tp + smooth) / (tp + a * fp + b * fn + smooth)


def loss_cases():
    """Values and gradients on logits (3, 4, 5, 2); the second image's target is empty in its second channel."""
    logits = torch.randn(3, 4, 5, 2) * 3
    targets = (torch.rand(3, 4, 5, 2) > 0.6).double()
    targets[1, ..., 1] = 0
    other, pixel, positive = torch.randn(3, 4, 5, 2), torch.rand(3, 4, 5, 1) + 0.5, torch.tensor([2.0, 0.7])
    classes = torch.randint(0, 4, (3, 4, 5))
    classes[0, 0, :3] = 3  # ignored where the loss says so
    scores, class_weight, maps = torch.randn(3, 4, 5, 4) * 2, torch.tensor([1.0, 0.5, 2.0, 1.5]), torch.rand(3, 4, 5) + 0.2
    q = torch.softmax(torch.randn(3, 4, 5, 4), -1)
    q[0, 0, 0] = torch.tensor([0.0, 0.25, 0.75, 0.0])
    first = lambda s: s.permute(0, 3, 1, 2)
    ce = lambda s, **more: F.cross_entropy(first(s), classes, **more)
    each = lambda s: F.cross_entropy(first(s), classes, reduction="none")

    def focal(z):
        p = torch.sigmoid(z)
        truth = p * targets + (1 - p) * (1 - targets)
        return ((0.25 * targets + 0.75 * (1 - targets)) * (1 - truth) ** 2 * F.binary_cross_entropy_with_logits(z, targets, reduction="none")).mean()

    counted = (targets.sum((1, 2)) > 0).double()
    losses = {
        "bce": (logits, lambda z: F.binary_cross_entropy_with_logits(z, targets)),
        "bce_weighted": (logits, lambda z: F.binary_cross_entropy_with_logits(z, targets, weight=pixel, pos_weight=positive)),
        "mse": (logits, lambda z: F.mse_loss(z, other)),
        "l1": (logits, lambda z: F.l1_loss(z, other)),
        "huber": (logits, lambda z: F.huber_loss(z, other, delta=0.7)),
        "smooth_l1": (logits, lambda z: F.smooth_l1_loss(z, other, beta=0.5)),
        "kl": (scores, lambda s: F.kl_div(F.log_softmax(s, -1), q, reduction="sum") / 60),
        "focal": (logits, focal),
        "focal_classes": (scores, lambda s: (class_weight[classes] * (1 - torch.exp(-each(s))) ** 1.5 * each(s)).mean()),
        "cross_entropy": (scores, lambda s: ce(s, weight=class_weight, ignore_index=3, label_smoothing=0.1)),
        "pixel_map": (scores, lambda s: (each(s) * maps).sum() / maps.sum()),
        "dice": (logits, lambda z: dice(torch.sigmoid(z), targets).mean()),
        "dice_squared": (logits, lambda z: dice(torch.sigmoid(z), targets, 0.1, True).mean()),
        "dice_skip": (logits, lambda z: (dice(torch.sigmoid(z), targets) * counted).sum() / counted.sum()),
        "tversky": (logits, lambda z: tversky(torch.sigmoid(z), targets).mean()),
        "focal_tversky": (logits, lambda z: (tversky(torch.sigmoid(z), targets) ** 0.75).mean()),
        "dice_bce": (logits, lambda z: dice(torch.sigmoid(z), targets).mean() + 0.5 * F.binary_cross_entropy_with_logits(z, targets)),
        "dice_ce": (scores, lambda s: dice(torch.softmax(s, -1)[..., 1:], F.one_hot(classes, 4).double()[..., 1:]).mean() + ce(s)),
    }
    values = {"logits": logits, "targets": targets, "other": other, "pixel": pixel, "positive": positive, "classes": classes, "scores": scores}
    values |= {"class_weight": class_weight, "maps": maps, "q": q}
    for name, (x, f) in losses.items():
        x = x.clone().requires_grad_()
        loss = f(x)
        loss.backward()
        values |= {"loss." + name: loss, "gradient." + name: x.grad}
    save("losses", values)


torch.manual_seed(1)
net = UNet([4, 8])
scramble(net)
train("unet", net, torch.rand(2, 1, 12, 10), (torch.rand(2, 1, 12, 10) > 0.7).double(), F.binary_cross_entropy_with_logits, 0.5, keep_pytorch=True)
torch.manual_seed(2)
net = ResNet([4, 6, 8])
scramble(net)
train("resnet_small", net, torch.rand(4, 1, 13, 15), torch.tensor([0, 1, 1, 0]), F.cross_entropy, 0.1)
for name, kind in (("rnn", nn.RNN), ("gru", nn.GRU), ("lstm", nn.LSTM)):
    torch.manual_seed(3)
    train(name, Classifier(kind), torch.randn(3, 7, 5), torch.tensor([0, 2, 1]), F.cross_entropy, 0.5)
torch.manual_seed(4)
layer_cases()
torch.manual_seed(5)
loss_cases()
print(sum(os.path.getsize(os.path.join(here, f)) for f in os.listdir(here)), "bytes in all")
