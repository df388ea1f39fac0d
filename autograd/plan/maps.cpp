// Elementwise operations by the names that observers see.
#include <map>

#include "autograd/plan/graph.h"

namespace sono::plan {

namespace {

using namespace elementwise;
using kernels::MapTable;

template <class Op>
Op with_attributes(const Attributes& attributes) {
  Op op;
  if constexpr (requires { op.slope; }) op.slope = real(attributes, "slope");
  if constexpr (requires { op.alpha; }) op.alpha = real(attributes, "alpha");
  if constexpr (requires { op.p; }) op.p = real(attributes, "p");
  if constexpr (requires { op.low; }) op.low = real(attributes, "low"), op.high = real(attributes, "high");
  if constexpr (requires { op.a; }) op.a = real(attributes, "a"), op.b = real(attributes, "b");
  if constexpr (requires { op.c; }) op.c = real(attributes, "c");
  return op;
}

using Finder = MapOp (*)(const MapTable&, const Attributes&);
using Finders = std::map<std::pair<std::string, size_t>, Finder>;  // by name and number of operands

template <class Op, class List>
MapOp find(const MapTable& table, const Attributes& attributes) {
  constexpr int row = IndexOf<Op, List>::value;
  const auto function = [&] {
    if constexpr (std::is_same_v<List, Unary>) return table.unary[row];
    if constexpr (std::is_same_v<List, Binary>) return table.binary[row];
    if constexpr (std::is_same_v<List, Compare>) return table.compare[row];
  };
  return {function(), std::make_shared<Op>(with_attributes<Op>(attributes)), Op::name};
}

template <class... Ops>
void list(Finders& all, size_t operands, std::type_identity<std::tuple<Ops...>>) {
  ((all[{Ops::name, operands}] = find<Ops, std::tuple<Ops...>>), ...);
}

const Finders& finders() {
  static const Finders all = [] {
    Finders f;
    list(f, 1, std::type_identity<Unary>{});
    list(f, 2, std::type_identity<Binary>{});
    list(f, 2, std::type_identity<Compare>{});
    f[{"select", 3}] = [](const MapTable& table, const Attributes&) { return MapOp{table.select, {}, "select"}; };
    return f;
  }();
  return all;
}

}  // namespace

bool is_map(const Call& call) { return finders().count({call.name, call.inputs.size()}) > 0; }

MapOp map_of(const Call& call) {
  const auto found = finders().find({call.name, call.inputs.size()});
  return found == finders().end() ? MapOp{} : found->second(kernels::map_table(Device::cpu), call.attributes);
}

}  // namespace sono::plan
