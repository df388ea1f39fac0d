"""The networks of zoo/lab/works.h in PyTorch: the same layers, shapes, losses and numbers of parameters."""
import torch
from torch import nn


def pyramid(widths, dimensions):
    conv, norm, pool, mean = (getattr(nn, f"{name}{dimensions}d") for name in ("Conv", "BatchNorm", "MaxPool", "AdaptiveAvgPool"))
    layers = []
    for i, o in zip(widths, widths[1:]):
        layers += [conv(i, o, 3, padding=1, bias=False), norm(o), nn.ReLU(inplace=True), pool(2)]
    return nn.Sequential(*layers, mean(1), nn.Flatten(), nn.Linear(widths[-1], 2))


class Double(nn.Sequential):
    def __init__(self, i, o):
        unit = lambda a, b: (nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU(inplace=True))
        super().__init__(*unit(i, o), *unit(o, o))


class UNet(nn.Module):
    def __init__(self, widths=(16, 32, 64, 128)):
        super().__init__()
        self.down = nn.ModuleList(Double(i, o) for i, o in zip((1,) + widths, widths))
        self.up = nn.ModuleList(nn.ConvTranspose2d(i, o, 2, 2) for i, o in zip(widths[:0:-1], widths[-2::-1]))
        self.join = nn.ModuleList(Double(2 * o, o) for o in widths[-2::-1])
        self.head = nn.Conv2d(widths[0], 1, 1)

    def forward(self, x):
        skips = []
        for i, block in enumerate(self.down):
            x = block(x if i == 0 else nn.functional.max_pool2d(x, 2))
            skips.append(x)
        for up, join, skip in zip(self.up, self.join, skips[-2::-1]):
            x = join(torch.cat([up(x), skip], 1))
        return self.head(x)


class Residual(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU(inplace=True), nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o))
        self.short = nn.Identity() if i == o and stride == 1 else nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))

    def forward(self, x):
        return torch.relu(self.body(x) + self.short(x))


def resnet_small():
    stages = [Residual(i, o, s) for i, o, s in ((16, 16, 1), (16, 32, 2), (32, 64, 2), (64, 128, 2))]
    return nn.Sequential(nn.Conv2d(1, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True), *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 2))


def sononet(n):
    layers, i = [], 1
    for width, count in ((n, 2), (2 * n, 2), (4 * n, 3), (8 * n, 3), (8 * n, 3)):
        layers += [nn.MaxPool2d(2)] if layers else []
        for _ in range(count):
            layers += [nn.Conv2d(i, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            i = width
    layers += [nn.Conv2d(i, 4 * n, 1, bias=False), nn.BatchNorm2d(4 * n), nn.ReLU(inplace=True), nn.Conv2d(4 * n, 14, 1, bias=False), nn.BatchNorm2d(14)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.fc = nn.LSTM(128, 256, batch_first=True), nn.Linear(256, 2)

    def forward(self, x):
        return self.fc(self.lstm(x)[1][0][-1])


def autoencoder(widths=(784, 500, 250, 500, 784)):
    layers = []
    for i, o in zip(widths, widths[1:]):
        layers += [nn.Linear(i, o), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers[:-1])


def classes(n):
    return nn.CrossEntropyLoss(), torch.arange(n) % 2


def binary(*shape):
    return nn.BCEWithLogitsLoss(), torch.rand(shape).round()


cnn, cnn3d = lambda: pyramid((1, 16, 32, 64, 64), 2), lambda: pyramid((1, 8, 16, 32), 3)
# name: network, input, loss and target (None: inference); rbm: see rivals.py
works = {
    "step:cnn": (cnn, (8, 1, 128, 128), lambda: classes(8)),
    "step:unet": (UNet, (8, 1, 128, 128), lambda: binary(8, 1, 128, 128)),
    "step:resnet-small": (resnet_small, (8, 1, 128, 128), lambda: classes(8)),
    "step:cnn3d": (cnn3d, (2, 1, 64, 64, 64), lambda: classes(2)),
    "step:lstm": (Lstm, (8, 64, 128), lambda: classes(8)),
    "step:autoencoder": (autoencoder, (100, 784), lambda: binary(100, 784)),
    "infer:cnn": (cnn, (1, 1, 128, 128), None),
    "infer:unet": (UNet, (1, 1, 128, 128), None),
    "infer:unet-256": (UNet, (1, 1, 256, 256), None),
    "infer:resnet-small": (resnet_small, (1, 1, 128, 128), None),
    "infer:sononet-16": (lambda: sononet(16), (1, 1, 224, 288), None),
    "infer:cnn3d": (cnn3d, (1, 1, 64, 64, 64), None),
    "infer:lstm": (Lstm, (1, 64, 128), None),
    "rbm:cd1": (None, (10000, 784), None),
    "rbm:cd1-binary": (None, (10000, 784), None),
}
