#pragma once
// Files of tensors.
//
// safetensors: 8 bytes little-endian N, N bytes of JSON {"name": {"dtype": "F32", "shape": […], "data_offsets": [from, to]}, …, "__metadata__": {…}},
// then the values. Read strictly: lengths against the file, offsets in order and without gaps or overlap, size against shape and dtype.
// npy: "\x93NUMPY", version, header length, a Python dict {'descr', 'fortran_order', 'shape'}, values. npz: a zip of npy files.
// Writing is atomic: a temporary file beside the target, synced, renamed. FileError names the file and says what is wrong.
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tensor/tensor.h"

namespace sono {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;
using Metadata = std::map<std::string, std::string>;

struct TensorFile { NamedTensors tensors; Metadata metadata; };

TensorFile read_safetensors(const std::string& path);
void write_safetensors(const std::string& path, const NamedTensors& tensors, const Metadata& metadata = {});

Tensor read_npy(const std::string& path);   // little-endian f4, f8, i4, u1, b1 as they are; f2 to f32; other integers to i32 (FileError if a value does not fit); C or Fortran order
NamedTensors read_npz(const std::string& path);
void write_npy(const std::string& path, const Tensor& t);
void write_npz(const std::string& path, const NamedTensors& tensors);

// The whole of a file, and the atomic writer that everything above uses.
std::string read_file(const std::string& path);
void write_file_atomically(const std::string& path, const std::string& bytes);

}  // namespace sono
