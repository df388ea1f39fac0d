#include "layers/dbn.h"

#include "layers/activation.h"

namespace sono {

Dbn::Dbn(Module* parent, std::string name, const Options& o)
    : Module(parent, std::move(name)), rbms(this, "rbms"), generative(this, "generative"), options_(o) {
  if (o.widths.size() < 2) throw ShapeError("[dbn] widths must name the visible units and one hidden layer or more");
  for (size_t i = 0; i + 1 < o.widths.size(); i++)
    rbms.append({.visible = o.widths[i],
                 .hidden = o.widths[i + 1],
                 .units = i ? VisibleUnits::bernoulli : o.units,
                 .learn_variance = !i && o.learn_variance,
                 .deviation = o.deviation});
  for (size_t i = 0; i + 2 < o.widths.size(); i++) generative.append({.in = o.widths[i + 1], .out = o.widths[i]});
  tie();
}

void Dbn::tie() {
  const NoGrad values;
  for (size_t i = 0; i < generative.size(); i++) {
    const Tensor w = transpose(rbms[i].weight);
    generative[i].weight.detach().copy_from(rbms[i].log_deviation ? w * rbms[i].deviation() : w);
    generative[i].bias.detach().copy_from(rbms[i].visible_bias.detach());
  }
}

Tensor Dbn::up(const Tensor& v, int64_t count) const {
  const Scope scope(*this);
  if (count > layers()) throw ShapeError("[dbn] there are " + std::to_string(layers()) + " layers, not " + std::to_string(count));
  Tensor h = v;
  for (int64_t i = 0; i < (count < 0 ? layers() : count); i++) h = rbms[static_cast<size_t>(i)](h);
  return h;
}

Tensor Dbn::below(const Tensor& h, int64_t layer) const {
  if (layer == layers() - 1) return top().visible_given_hidden(h);
  const Tensor drive = generative[static_cast<size_t>(layer)](h);
  return layer == 0 && options_.units == VisibleUnits::gaussian ? drive : sigmoid(drive);
}

Tensor Dbn::down(const Tensor& h, int64_t count) const {
  const Scope scope(*this);
  if (count > layers()) throw ShapeError("[dbn] there are " + std::to_string(layers()) + " layers, not " + std::to_string(count));
  Tensor v = h;
  for (int64_t i = (count < 0 ? layers() : count) - 1; i >= 0; i--) v = below(v, i);
  return v;
}

Tensor Dbn::generate(int64_t n, int64_t steps, Draw draw, const Tensor& start) const {
  const NoGrad values;
  const int64_t last = layers() - 1;
  Tensor v;
  if (start) {
    if (start.rank() != 2 || start.dim(0) != n) throw ShapeError("[dbn] start must have " + std::to_string(n) + " rows, got " + to_string(start.shape()));
    v = up(start, last);
    if (last > 0) v = bernoulli(v, draw.of("start"));
  } else {
    const Tensor half = Tensor::full({n, top().visible()}, 0.5, top().weight.dtype(), top().weight.device());
    v = top().units() == VisibleUnits::bernoulli ? bernoulli(half, draw.of("start")) : gaussian(top().visible_bias + 0.0 * half, top().deviation(), draw.of("start"));
  }
  const Rbm::Units end = top().gibbs(v, steps, draw.of("top"));
  if (last == 0) return end.mean;
  v = end.sample;
  for (int64_t i = last - 1; i >= 0; i--) {
    v = below(v, i);
    if (i > 0) v = bernoulli(v, draw.of("down", static_cast<uint64_t>(i)));
  }
  return v;
}

std::string Dbn::describe() const {
  std::string text;
  for (const int64_t width : options_.widths) text += (text.empty() ? "" : "-") + std::to_string(width);
  return text + (options_.units == VisibleUnits::gaussian ? ", gaussian" : "");
}

namespace {

void append_linear(Sequential& net, const Tensor& weight, const Tensor& bias) {
  const Linear& layer = net.append<Linear>({.in = weight.dim(0), .out = weight.dim(1)});
  layer.weight.detach().copy_from(weight.detach().to(Dtype::f32).to(Device::cpu));
  layer.bias.detach().copy_from(bias.detach().to(Dtype::f32).to(Device::cpu));
}

Tensor recognition(const Rbm& rbm) {
  const Tensor w = rbm.weight.detach();
  return rbm.log_deviation ? w / reshape(rbm.deviation(), {-1, 1}) : w;
}

void move_like(Sequential& net, const Tensor& t) {
  if (t.dtype() != Dtype::f32) net.to(t.dtype());
  if (t.device() != Device::cpu) net.to(t.device());
}

}  // namespace

std::unique_ptr<Sequential> unroll(const Dbn& dbn, int64_t classes) {
  const NoGrad values;
  auto net = std::make_unique<Sequential>();
  for (size_t i = 0; i < dbn.rbms.size(); i++) {
    append_linear(*net, recognition(dbn.rbms[i]), dbn.rbms[i].hidden_bias);
    net->append<Sigmoid>();
  }
  net->append<Linear>({.in = dbn.top().hidden(), .out = classes});
  move_like(*net, dbn.top().weight);
  return net;
}

std::unique_ptr<Sequential> unroll_autoencoder(const Dbn& dbn, bool linear_code) {
  const NoGrad values;
  auto net = std::make_unique<Sequential>();
  const size_t layers = dbn.rbms.size();
  for (size_t i = 0; i < layers; i++) {
    append_linear(*net, recognition(dbn.rbms[i]), dbn.rbms[i].hidden_bias);
    if (i + 1 < layers || !linear_code) net->append<Sigmoid>();
  }
  const Rbm& top = dbn.top();
  const Tensor back = transpose(top.weight.detach());
  append_linear(*net, top.log_deviation ? back * top.deviation() : back, top.visible_bias);
  for (size_t i = layers - 1; i-- > 0;) {
    net->append<Sigmoid>();
    append_linear(*net, dbn.generative[i].weight, dbn.generative[i].bias);
  }
  move_like(*net, top.weight);
  return net;
}

}  // namespace sono
