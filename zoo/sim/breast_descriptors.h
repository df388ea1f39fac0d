#pragma once
// What a reader would write down of a simulated breast lesion, how it is drawn for a class, and what it tells about the class.
//
// A class is a mixture of lesion types t; the descriptors d_j of a type are independent of each other:
//   P(d | class) = Σ_t share_t Π_j [ (1 - overlap) P_t(d_j) + overlap P_other(d_j) ],    P_other: the other class's marginal
// Phantom "breast" has one type per class: log P(malignant | d) / P(benign | d) is a sum over the descriptors, and no classifier does
// better than a linear one on them. In phantom "breast-types" the classes are made of types that share their descriptors in other
// combinations: cysts, fibroadenomas, scars, inflammation; scirrhous, high-grade and mucinous carcinomas. Shadowing is malignant in a
// heterogeneous lesion and scarred in a homogeneous one, enhancement speaks for a cyst when anechoic and for a high-grade carcinoma [65 %
// of small triple-negative ones: Ultrasonography 37, 149-156, 2018] when the lesion is solid; the overlap is 0.4 of the option's. Shares
// and priors are constructed.
#include "tensor/random.h"
#include "zoo/sim/options.h"

namespace sono::zoo::sim {

enum class LesionShape { oval, round, irregular };
enum class LesionMargin { circumscribed, microlobulated, angular, spiculated };
enum class EchoPattern { anechoic, hypoechoic, heterogeneous };
enum class Posterior { enhancement, none, shadowing };

// What a reader would write down, and the oracle's input.
struct Descriptors {
  LesionShape shape = LesionShape::oval;
  bool not_parallel = false;  // taller than wide
  LesionMargin margin = LesionMargin::circumscribed;
  EchoPattern echo = EchoPattern::hypoechoic;
  Posterior posterior = Posterior::none;      // an anechoic lesion (a cyst) always enhances
  bool halo = false, calcifications = false;  // a cyst has none of the latter
};

Descriptors draw_descriptors(Random& random, bool malignant, const SimulateOptions& options);

// P(malignant | descriptors) under the priors that the generator itself uses, with equal classes: what no reader of the pictures can beat
// by much.
double oracle_malignancy(const Descriptors& descriptors, const SimulateOptions& options);

}  // namespace sono::zoo::sim
