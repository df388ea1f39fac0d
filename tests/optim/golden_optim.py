"""Writes golden_optim.safetensors: ten steps of every optimiser, and schedules, as PyTorch has them.

The problem: a network of 5 tanh-8 linear-3 units on 16 samples, mean squared error, in f64 and f32.
Run with an interpreter that has torch and safetensors: python golden_optim.py
"""
from pathlib import Path

import torch
from safetensors.torch import save_file

optim, schedules = torch.optim, torch.optim.lr_scheduler

generator = torch.Generator().manual_seed(3)
x = torch.randn(16, 5, generator=generator, dtype=torch.float64)
y = torch.randn(16, 3, generator=generator, dtype=torch.float64)
start = {
    "w1": torch.randn(5, 8, generator=generator, dtype=torch.float64) * 0.5,
    "b1": torch.randn(8, generator=generator, dtype=torch.float64) * 0.1,
    "w2": torch.randn(8, 3, generator=generator, dtype=torch.float64) * 0.5,
    "b2": torch.randn(3, generator=generator, dtype=torch.float64) * 0.1,
}


def sutskever(optimizer, t):
    level = t // 250 + 1
    optimizer.param_groups[0]["momentum"] = min(1 - 1 / (2 * level), 0.9)


def grouped(w):
    biases = {"params": [w["b1"], w["b2"]], "weight_decay": 0.0, "lr": 0.02}
    return [{"params": [w["w1"], w["w2"]]}, biases]


cases = {
    "sgd": lambda w: optim.SGD(w.values(), lr=0.1),
    "sgd_decay": lambda w: optim.SGD(w.values(), lr=0.1, weight_decay=0.05),
    "sgd_momentum": lambda w: optim.SGD(w.values(), lr=0.1, momentum=0.9),
    "sgd_dampening": lambda w: optim.SGD(w.values(), lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.05),
    "sgd_nesterov": lambda w: optim.SGD(w.values(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.05),
    "sgd_sutskever": lambda w: optim.SGD(w.values(), lr=0.1, momentum=0.9, nesterov=True),
    "adagrad": lambda w: optim.Adagrad(w.values(), lr=0.1),
    "adagrad_all": lambda w: optim.Adagrad(w.values(), lr=0.1, lr_decay=0.1, weight_decay=0.05, initial_accumulator_value=0.2),
    "rmsprop": lambda w: optim.RMSprop(w.values(), lr=0.01),
    "rmsprop_momentum": lambda w: optim.RMSprop(w.values(), lr=0.01, alpha=0.9, momentum=0.8),
    "rmsprop_all": lambda w: optim.RMSprop(w.values(), lr=0.01, alpha=0.9, momentum=0.8, centered=True, weight_decay=0.05),
    "adam": lambda w: optim.Adam(w.values(), lr=0.02),
    "adam_all": lambda w: optim.Adam(w.values(), lr=0.02, betas=(0.8, 0.95), weight_decay=0.05, amsgrad=True),
    "adamw": lambda w: optim.AdamW(w.values(), lr=0.02),
    "adamw_groups": lambda w: optim.AdamW(grouped(w), lr=0.05, weight_decay=0.1),
    "lbfgs_short": lambda w: optim.LBFGS(w.values(), max_iter=2, line_search_fn="strong_wolfe"),
    "lbfgs": lambda w: optim.LBFGS(w.values(), max_iter=4, history_size=3, line_search_fn="strong_wolfe"),
    "lbfgs_fixed": lambda w: optim.LBFGS(w.values(), lr=0.3, max_iter=3),
}


def run(name, dtype):
    w = {k: v.to(dtype).clone().requires_grad_() for k, v in start.items()}
    optimizer = cases[name](w)
    losses = []

    def closure():
        optimizer.zero_grad()
        out = torch.tanh(x.to(dtype) @ w["w1"] + w["b1"]) @ w["w2"] + w["b2"]
        loss = (out - y.to(dtype)).square().mean()
        loss.backward()
        return loss

    for t in range(10):
        if name == "sgd_sutskever":
            sutskever(optimizer, t)
        losses.append(optimizer.step(closure).item())
    return torch.tensor(losses, dtype=torch.float64), torch.cat([v.detach().flatten() for v in w.values()])


def rates(make, steps=24):
    optimizer = optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = make(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return torch.tensor(found, dtype=torch.float64)


def warm_cosine(o):
    first, then = schedules.LinearLR(o, start_factor=0.25, total_iters=5), schedules.CosineAnnealingLR(o, 19)
    return schedules.SequentialLR(o, [first, then], milestones=[5])


def plateau_rates(scores, **options):
    optimizer = optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = schedules.ReduceLROnPlateau(optimizer, eps=0, **options)
    found = []
    for score in scores.tolist():
        schedule.step(score)
        found.append(optimizer.param_groups[0]["lr"])
    return torch.tensor(found, dtype=torch.float64)


golden = {"x": x, "y": y, **start}
for name in cases:
    for dtype, suffix in ((torch.float64, "f64"), (torch.float32, "f32")):
        if name == "lbfgs" and dtype == torch.float32:
            continue  # forty directions: PyTorch's own f32 weights are 2e-4 from its f64 ones, the problem amplifies rounding
        losses, weights = run(name, dtype)
        golden[f"{name}/{suffix}/losses"], golden[f"{name}/{suffix}/weights"] = losses, weights
golden["schedule/step"] = rates(lambda o: schedules.StepLR(o, 7, gamma=0.3))
golden["schedule/multi_step"] = rates(lambda o: schedules.MultiStepLR(o, [3, 11, 12], gamma=0.5))
golden["schedule/exponential"] = rates(lambda o: schedules.ExponentialLR(o, 0.9))
golden["schedule/poly"] = rates(lambda o: schedules.PolynomialLR(o, total_iters=20, power=0.9))
golden["schedule/cosine"] = rates(lambda o: schedules.CosineAnnealingLR(o, 24, eta_min=0.1))
golden["schedule/one_cycle"] = rates(lambda o: schedules.OneCycleLR(o, max_lr=1.0, total_steps=25, cycle_momentum=False))
golden["schedule/warm_cosine"] = rates(warm_cosine)
scores = torch.rand(40, generator=generator, dtype=torch.float64) + 1 / torch.arange(1, 41)
golden["plateau/scores"] = scores
golden["plateau/min"] = plateau_rates(scores, mode="min", factor=0.5, patience=2, cooldown=1, min_lr=0.02)
golden["plateau/max"] = plateau_rates(scores, mode="max", factor=0.7, patience=3)

path = Path(__file__).with_name("golden_optim.safetensors")
save_file(golden, path)
print(path.name, path.stat().st_size, "bytes;", {k: v.tolist()[-1] for k, v in golden.items() if k.endswith("f64/losses")})
