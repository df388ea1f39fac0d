#pragma once
// Typed errors. The message starts with the operation in brackets and shows all shapes:
//   [conv2d] input (8, 128, 128, 3) has 3 channels, weight (3, 3, 1, 16) expects 1
#include <stdexcept>

namespace sono {

struct Error : std::runtime_error { using std::runtime_error::runtime_error; };
struct ShapeError : Error { using Error::Error; };
struct DtypeError : Error { using Error::Error; };
struct DeviceError : Error { using Error::Error; };
struct FileError : Error { using Error::Error; };     // names the file
struct OutOfMemory : Error { using Error::Error; };   // names what was wanted and what is live
struct NumericError : Error { using Error::Error; };  // a NaN or infinity, and the operation that made it

}  // namespace sono
