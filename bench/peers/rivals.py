"""What the rivals do with a work: functions of no arguments, one call each, by name of mode."""
import contextlib, io, logging, os, tempfile, warnings

import torch
from networks import works

logging.getLogger("torch").setLevel(logging.ERROR)  # no GPU, no triton: so it is


def layouts(shape):
    """NCHW, and channels last where there are channels to move."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return {"nchw": None, **({"channels_last": formats[len(shape)]} if len(shape) in formats else {})}


def laid_out(make, shape, layout):
    x, net = torch.randn(shape), make()
    return (net, x) if layout is None else (net.to(memory_format=layout), x.contiguous(memory_format=layout))


def training_step(name, layout, compiled):
    make, shape, target = works[name]
    net, x = laid_out(make, shape, layout)
    loss, y = target()
    adam = torch.optim.Adam(net.parameters(), 1e-3, fused=True)
    forward = torch.compile(net) if compiled else net

    def step():
        adam.zero_grad(set_to_none=True)
        loss(forward(x), y).backward()
        adam.step()

    return step


def training(name, compiled):
    modes = layouts(works[name][1])
    steps = {mode: training_step(name, layout, False) for mode, layout in modes.items()}
    if compiled:
        steps |= {f"compile {mode}": training_step(name, layout, True) for mode, layout in modes.items()}
    return steps


def without_gradients(f):
    def run():
        with torch.inference_mode():
            f()
    return run


def in_pytorch(name):
    make, shape, _ = works[name]
    runs = {}
    for mode, layout in layouts(shape).items():
        net, x = laid_out(lambda: make().eval(), shape, layout)
        runs[mode] = without_gradients(lambda net=net, x=x: net(x))
    net, x = make().eval(), torch.randn(shape)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frozen = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(net, x)))
    runs["frozen"] = without_gradients(lambda: frozen(x))
    return runs


def in_runtimes(name, threads):
    import onnxruntime, openvino
    make, shape, _ = works[name]
    net, x = make().eval(), torch.randn(shape)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        path = os.path.join(folder, "net.onnx")
        torch.onnx.export(net, (x,), path, dynamo=False, opset_version=17, input_names=["x"], output_names=["y"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"})
    numbers = x.numpy()
    request = compiled.create_infer_request()
    return {"onnxruntime": lambda: session.run(None, {"x": numbers}), "openvino": lambda: request.infer({0: numbers})}


def boltzmann_data(name):
    x = torch.rand(works[name][1])
    return torch.bernoulli(x) if name.endswith("-binary") else x


def boltzmann_in_pytorch(name, hidden=500, rate=0.01, batch=100):
    """An epoch of CD-1 as one would write it: no graph, updates in place."""
    data, visible = boltzmann_data(name), works[name][1][1]
    w, a, b = 0.01 * torch.randn(visible, hidden), torch.zeros(visible), torch.zeros(hidden)

    def epoch():
        for v0 in data.split(batch):
            h0 = torch.addmm(b, v0, w).sigmoid_()
            v1 = torch.addmm(a, torch.bernoulli(h0), w.t()).sigmoid_().bernoulli_()
            h1 = torch.addmm(b, v1, w).sigmoid_()
            w.addmm_(v0.t(), h0, alpha=rate / batch).addmm_(v1.t(), h1, alpha=-rate / batch)
            a.add_(v0.mean(0) - v1.mean(0), alpha=rate)
            b.add_(h0.mean(0) - h1.mean(0), alpha=rate)

    return without_gradients(epoch)


def boltzmann_in_sklearn(name, threads, batch=100):
    """scikit-learn's persistent chains: the same five products. OpenBLAS is held to `threads`."""
    from sklearn.neural_network import BernoulliRBM
    from threadpoolctl import threadpool_limits
    x = boltzmann_data(name).numpy()
    rbm = BernoulliRBM(500, learning_rate=0.01, batch_size=batch, n_iter=1, random_state=0).fit(x[:batch])  # f32 as x; partial_fit would begin in f64

    def epoch():
        with threadpool_limits(threads, "blas"):
            for i in range(0, len(x), batch):
                rbm.partial_fit(x[i:i + batch])

    return epoch


def modes(name, threads, compiled):
    torch.set_num_threads(threads)
    if name.startswith("rbm:"):
        return {"loop": boltzmann_in_pytorch(name), "scikit-learn": boltzmann_in_sklearn(name, threads)}
    return training(name, compiled) if works[name][2] else {**in_pytorch(name), **in_runtimes(name, threads)}


def facts(name):
    """Parameters, and FLOPs of convolutions and matrix products, forward and backward; None where PyTorch does not count them (LSTM, updates in place)."""
    from torch.utils.flop_counter import FlopCounterMode
    make, shape, target = works[name]
    if name.startswith("rbm:"):
        return 784 * 500 + 784 + 500, None
    net = make()
    parameters = sum(p.numel() for p in net.parameters())
    if "lstm" in name:
        return parameters, None
    with FlopCounterMode(display=False) as counter:
        y = net(torch.randn(shape))
        if target:
            loss, truth = target()
            loss(y, truth).backward()
    return parameters, counter.get_total_flops()
