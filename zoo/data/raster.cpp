#include "zoo/data/raster.h"

#include <png.h>

#include <bit>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <vector>

// libjpeg's header wants <cstdio> before it
#include <jerror.h>
#include <jpeglib.h>

#include "tensor/error.h"
#include "zoo/data/message.h"

namespace sono::zoo {
namespace {

[[noreturn]] void fail(const std::string& path, const char* format) {
  throw FileError("[read_image] " + shown(path) + ": the " + format + " file is damaged or of a kind that is not read");
}

// The C libraries jump out of an error: what lies between setjmp and the jump has no destructors.
struct PngSource {
  const char* data;
  size_t size, at;
};

void png_take(png_structp png, png_bytep to, size_t n) {
  auto* s = static_cast<PngSource*>(png_get_io_ptr(png));
  if (n > s->size - s->at) png_error(png, "end");
  std::memcpy(to, s->data + s->at, n);
  s->at += n;
}
[[noreturn]] void png_jump(png_structp png, png_const_charp) { png_longjmp(png, 1); }
void png_quiet(png_structp, png_const_charp) {}

bool decode_png(PngSource* source, bool indices, size_t stride, png_bytepp rows) {
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, nullptr, png_jump, png_quiet);
  png_infop info = png ? png_create_info_struct(png) : nullptr;
  if (!info || setjmp(png_jmpbuf(png))) {
    png_destroy_read_struct(&png, &info, nullptr);
    return false;
  }
  png_set_read_fn(png, source, png_take);
  png_read_info(png, info);
  const png_byte type = png_get_color_type(png, info), depth = png_get_bit_depth(png, info);
  if (type == PNG_COLOR_TYPE_PALETTE && !indices) png_set_palette_to_rgb(png);
  if (type == PNG_COLOR_TYPE_GRAY && depth < 8 && !indices) png_set_expand_gray_1_2_4_to_8(png);
  if (depth < 8) png_set_packing(png);
  if (depth == 16 && std::endian::native == std::endian::little) png_set_swap(png);
  png_set_strip_alpha(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  if (png_get_rowbytes(png, info) != stride) png_error(png, "size");
  png_read_image(png, rows);
  png_read_end(png, nullptr);
  png_destroy_read_struct(&png, &info, nullptr);
  return true;
}

struct JpegErrors {
  jpeg_error_mgr base;
  std::jmp_buf back;
};
[[noreturn]] void jpeg_jump(j_common_ptr info) { std::longjmp(reinterpret_cast<JpegErrors*>(info->err)->back, 1); }
void jpeg_quiet(j_common_ptr) {}
// Warnings mean damaged pixels, but for stray bytes between segments and odd colour marks.
void jpeg_warn(j_common_ptr info, int level) {
  if (level < 0 && info->err->msg_code != JWRN_EXTRANEOUS_DATA && info->err->msg_code != JWRN_ADOBE_XFORM) jpeg_jump(info);
}

bool decode_jpeg(const std::string& bytes, JDIMENSION width, JDIMENSION height, int channels, uint8_t* to) {
  jpeg_decompress_struct info;
  JpegErrors errors;
  info.err = jpeg_std_error(&errors.base);
  errors.base.error_exit = jpeg_jump, errors.base.output_message = jpeg_quiet, errors.base.emit_message = jpeg_warn;
  jpeg_create_decompress(&info);
  if (setjmp(errors.back)) {
    jpeg_destroy_decompress(&info);
    return false;
  }
  jpeg_mem_src(&info, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(&info, TRUE);
  if (info.num_components != channels) jpeg_jump(reinterpret_cast<j_common_ptr>(&info));
  info.out_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_start_decompress(&info);
  if (info.output_width != width || info.output_height != height) jpeg_jump(reinterpret_cast<j_common_ptr>(&info));
  while (info.output_scanline < height) {
    JSAMPROW row = to + static_cast<size_t>(info.output_scanline) * width * static_cast<size_t>(channels);
    jpeg_read_scanlines(&info, &row, 1);
  }
  jpeg_finish_decompress(&info);
  jpeg_destroy_decompress(&info);
  return true;
}

}  // namespace

Tensor read_png(const std::string& path, const std::string& bytes, const FileHeader& header, bool indices) {
  const int64_t channels = header.palette && !indices ? 3 : header.channels;
  const Shape shape = {header.height, header.width, channels};
  const size_t stride = static_cast<size_t>(header.width * channels) * (header.wide ? 2 : 1);
  Tensor image(shape, header.wide ? Dtype::f32 : Dtype::u8);
  std::vector<uint16_t> wide(header.wide ? static_cast<size_t>(image.size()) : 0);
  auto* first = header.wide ? reinterpret_cast<png_bytep>(wide.data()) : image.data<uint8_t>();
  std::vector<png_bytep> rows;
  for (int64_t y = 0; y < header.height; y++) rows.push_back(first + static_cast<size_t>(y) * stride);
  PngSource source{bytes.data(), bytes.size(), 0};
  if (!decode_png(&source, indices, stride, rows.data())) fail(path, "PNG");
  for (size_t i = 0; i < wide.size(); i++) image.data<float>()[i] = wide[i];
  return image;
}

Tensor read_jpeg(const std::string& path, const std::string& bytes, const FileHeader& header) {
  Tensor image({header.height, header.width, header.channels}, Dtype::u8);
  if (!decode_jpeg(bytes, static_cast<JDIMENSION>(header.width), static_cast<JDIMENSION>(header.height), static_cast<int>(header.channels),
                   image.data<uint8_t>()))
    fail(path, "JPEG");
  return image;
}

}  // namespace sono::zoo
