// Reading and writing images: every format from bytes made here, PNG in all its kinds, and files that are damaged in every way.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "tensor/files.h"
#include "tests/zoo/test_data_common.h"
#include "zoo/data/open.h"

using namespace sono;
using namespace sono::zoo;
using namespace sono::zoo::tests;

namespace {

std::string number(uint64_t v, int width, bool big = false) {
  std::string s;
  for (int i = 0; i < width; i++) {
    const int byte = big ? width - 1 - i : i;
    s += byte < 8 ? static_cast<char>(v >> 8 * byte) : '\0';
  }
  return s;
}

std::string chunk(const std::string& type, const std::string& data) {
  const std::string body = type + data;
  return number(data.size(), 4, true) + body +
         number(crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size())), 4, true);
}

std::string png_file(int width, int height, int depth, int type, bool interlaced, const std::string& rows, const std::string& extra = "") {
  uLongf size = compressBound(rows.size());
  std::string packed(size, '\0');
  compress(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(rows.data()), rows.size());
  packed.resize(size);
  std::string header = number(static_cast<uint64_t>(width), 4, true) + number(static_cast<uint64_t>(height), 4, true);
  header += {static_cast<char>(depth), static_cast<char>(type), 0, 0, static_cast<char>(interlaced)};
  return "\x89PNG\r\n\x1a\n" + chunk("IHDR", header) + extra + chunk("IDAT", packed.substr(0, 5)) + chunk("IDAT", packed.substr(5)) +
         chunk("IEND", "");
}

std::vector<float> values(const Tensor& t) { return t.to_vector<float>(); }

// A DICOM element, explicit little-endian.
std::string element(uint32_t tag, const std::string& vr, std::string value) {
  if (value.size() % 2) value += vr == "UI" ? '\0' : ' ';
  const bool wide = vr == "OB" || vr == "OW" || vr == "SQ";
  return number(tag >> 16, 2) + number(tag & 0xFFFF, 2) + vr + (wide ? number(0, 2) + number(value.size(), 4) : number(value.size(), 2)) +
         value;
}

std::string double_bytes(double v) {
  uint64_t raw;
  std::memcpy(&raw, &v, 8);
  return number(raw, 8);
}

// Two frames of 4 x 3 bytes; one ultrasound region with 0.02 cm by 0.05 cm pixels.
std::string dicom_file() {
  const std::string syntax = element(0x00020010, "UI", "1.2.840.10008.1.2.1");
  const std::string meta = element(0x00020002, "UI", "1.2.840.10008.5.1.4.1.1.3.1") + element(0x00020003, "UI", "1.2.3.4") + syntax;
  const std::string region = element(0x00186012, "US", number(1, 2)) + element(0x00186014, "US", number(1, 2)) +
                             element(0x00186024, "US", number(3, 2)) + element(0x00186026, "US", number(3, 2)) +
                             element(0x0018602C, "FD", double_bytes(0.02)) + element(0x0018602E, "FD", double_bytes(0.05));
  const std::string item = number(0xFFFE, 2) + number(0xE000, 2) + number(region.size(), 4) + region;
  std::string pixels;
  for (int i = 0; i < 24; i++) pixels += static_cast<char>(10 * i);
  return std::string(128, '\0') + "DICM" + element(0x00020000, "UL", number(meta.size(), 4)) + meta +
         element(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.3.1") + element(0x00080018, "UI", "1.2.3.4") + element(0x00080060, "CS", "US") +
         element(0x00186011, "SQ", item) + element(0x00280002, "US", number(1, 2)) + element(0x00280004, "CS", "MONOCHROME2") +
         element(0x00280008, "IS", "2") + element(0x00280010, "US", number(3, 2)) + element(0x00280011, "US", number(4, 2)) +
         element(0x00280100, "US", number(8, 2)) + element(0x00280101, "US", number(8, 2)) + element(0x00280102, "US", number(7, 2)) +
         element(0x00280103, "US", number(0, 2)) + element(0x7FE00010, "OB", pixels);
}

std::string nifti_file() {  // 3 x 2 x 2 of i16
  std::string h(352, '\0');
  const auto put = [&](size_t at, const std::string& s) { h.replace(at, s.size(), s); };
  const auto real = [](float v) {
    uint32_t raw;
    std::memcpy(&raw, &v, 4);
    return number(raw, 4);
  };
  put(0, number(348, 4)),
      put(40, number(3, 2) + number(3, 2) + number(2, 2) + number(2, 2) + number(1, 2) + number(1, 2) + number(1, 2) + number(1, 2));
  put(70, number(4, 2) + number(16, 2)), put(76, real(1) + real(0.5f) + real(0.25f) + real(2)), put(108, real(352) + real(1)),
      put(123, "\x02"), put(344, std::string("n+1\0", 4));
  for (int i = 0; i < 12; i++) h += number(static_cast<uint64_t>(100 * i), 2);
  return h;
}

std::string meta_file() {
  std::string s =
      "ObjectType = Image\nNDims = 2\nBinaryData = True\nBinaryDataByteOrderMSB = False\nDimSize = 4 3\nElementSpacing = 0.3 "
      "0.4\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n";
  for (int i = 0; i < 12; i++) s += static_cast<char>(i * 20);
  return s;
}

std::string nrrd_file() {
  std::string s = "NRRD0004\ntype: uint8\ndimension: 2\nsizes: 4 3\nspacings: 0.3 0.4\nencoding: raw\n\n";
  for (int i = 0; i < 12; i++) s += static_cast<char>(i * 20);
  return s;
}

std::string bmp_file() {  // 2 x 2, 24 bits, bottom row first, rows of 8 bytes
  return "BM" + number(54 + 16, 4) + number(0, 4) + number(54, 4) + number(40, 4) + number(2, 4) + number(2, 4) + number(1, 2) +
         number(24, 2) + number(0, 4) + number(16, 4) + number(0, 16) + std::string("\1\2\3\4\5\6\0\0\7\10\11\12\13\14\0\0", 16);
}

std::string tiff_file() {  // 4 x 3 grey bytes in one strip
  const auto entry = [](int tag, int type, int n, int value) {
    return number(static_cast<uint64_t>(tag), 2) + number(static_cast<uint64_t>(type), 2) + number(static_cast<uint64_t>(n), 4) +
           number(static_cast<uint64_t>(value), 4);
  };
  std::string s = "II" + number(42, 2) + number(20, 4);
  for (int i = 0; i < 12; i++) s += static_cast<char>(i * 20);
  return s + number(9, 2) + entry(256, 3, 1, 4) + entry(257, 3, 1, 3) + entry(258, 3, 1, 8) + entry(259, 3, 1, 1) + entry(262, 3, 1, 1) +
         entry(273, 4, 1, 8) + entry(277, 3, 1, 1) + entry(278, 3, 1, 3) + entry(279, 4, 1, 12) + number(0, 4);
}

const std::vector<float> ramp = {0, 20, 40, 60, 80, 100, 120, 140, 160, 180, 200, 220};

// What reaches stderr while f runs, child processes included.
std::string stderr_of(const std::function<void()>& f) {
  TemporaryFolder folder;
  const std::string file = (folder / "stderr").string();
  const int saved = dup(STDERR_FILENO), to = open(file.c_str(), O_WRONLY | O_CREAT, 0600);
  dup2(to, STDERR_FILENO);
  f();
  std::fflush(stderr);
  dup2(saved, STDERR_FILENO), close(saved), close(to);
  return bytes_of(file);
}

}  // namespace

TEST_CASE("PNG: what is written is read, grey and RGB, bytes and floats") {
  TemporaryFolder folder;
  const std::string path = (folder / "a.png").string();
  const Tensor grey = picture(17, 23, 1);
  write_png(path, grey);
  CHECK(values(read_image(path).values) == values(grey));
  CHECK(to_string(read_image(path).info.shape) == "(17, 23, 1)");
  CHECK(to_string(image_info(path).shape) == "(17, 23, 1)");
  const Tensor colour = picture(9, 21, 2).view({9, 7, 3});
  write_png(path, colour);
  CHECK(values(read_image(path).values) == values(colour));
  write_png(path, Tensor::from<float>({1, 4}, {0, 1, 0.5f, 7}));  // clamped
  CHECK(values(read_image(path).values) == std::vector<float>{0, 255, 128, 255});
  CHECK_THROWS_AS(write_png(path, Tensor::zeros({3, 3, 2})), ShapeError);
  CHECK(error_of([&] { write_png((folder / "no folder/a.png").string(), grey); }).find("a.png") != std::string::npos);
  CHECK(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator{}) == 1);  // no temporary file is left
}

TEST_CASE("PNG: every depth and kind, filters and interlacing") {
  TemporaryFolder folder;
  const fs::path path = folder / "a.png";
  const auto read = [&](const std::string& file, Palette palette = Palette::colours) {
    write_bytes(path, file);
    return values(read_image(path.string(), palette).values);
  };
  using V = std::vector<float>;
  const std::string one("\0\xA0", 2), two("\0\x1B", 2), four("\0\x0F\x70", 3);
  CHECK(read(png_file(3, 1, 1, 0, false, one)) == V{255, 0, 255});
  CHECK(read(png_file(3, 1, 1, 0, false, one), Palette::indices) == V{1, 0, 1});
  CHECK(read(png_file(4, 1, 2, 0, false, two)) == V{0, 85, 170, 255});
  CHECK(read(png_file(3, 1, 4, 0, false, four)) == V{0, 255, 119});
  CHECK(read(png_file(2, 1, 16, 0, false, std::string("\0\x01\x02\xFF\xFE", 5))) == V{258, 65534});
  CHECK(read(png_file(2, 1, 8, 4, false, std::string("\0\x07\xFF\x09\x00", 5))) == V{7, 9});
  CHECK(read(png_file(1, 1, 8, 6, false, std::string("\0\x01\x02\x03\x80", 5))) == V{1, 2, 3});
  const std::string palette = chunk("PLTE", std::string("\0\0\0\x80\0\0\0\x80\1", 9));
  CHECK(read(png_file(4, 1, 2, 3, false, std::string("\0\x18", 2), palette)) == V{0, 0, 0, 128, 0, 0, 0, 128, 1, 0, 0, 0});
  CHECK(read(png_file(4, 1, 2, 3, false, std::string("\0\x18", 2), palette), Palette::indices) == V{0, 1, 2, 0});
  CHECK(values(read_mask(path.string())) == V{0, 1, 2, 0});
  CHECK(image_info(path.string()).palette);
  // Filters 0 … 4 over rows of 3: by hand from the neighbours.
  const std::string filters(
      "\0\x0A\x14\x1E"
      "\1\x05\x05\x05"
      "\2\x01\x01\x01"
      "\3\x01\x01\x01"
      "\4\x01\x01\x01",
      20);
  CHECK(read(png_file(3, 5, 8, 0, false, filters)) == V{10, 20, 30, 5, 10, 15, 6, 11, 16, 4, 8, 13, 5, 9, 14});
  // Adam7 of 5 x 5 with value 10 y + x: the passes in order.
  std::string passes;
  const int x0[] = {0, 4, 0, 2, 0, 1, 0}, y0[] = {0, 0, 4, 0, 2, 0, 1}, dx[] = {8, 8, 4, 4, 2, 2, 1}, dy[] = {8, 8, 8, 4, 4, 2, 2};
  for (int p = 0; p < 7; p++)
    for (int y = y0[p]; y < 5; y += dy[p]) {
      if (x0[p] >= 5) continue;
      passes += '\0';
      for (int x = x0[p]; x < 5; x += dx[p]) passes += static_cast<char>(10 * y + x);
    }
  V expected;
  for (int i = 0; i < 25; i++) expected.push_back(static_cast<float>(10 * (i / 5) + i % 5));
  CHECK(read(png_file(5, 5, 8, 0, true, passes)) == expected);
}

TEST_CASE("PNG: damage is refused, wherever it is") {
  TemporaryFolder folder;
  const fs::path path = folder / "case3.png";
  write_png((folder / "whole.png").string(), picture(20, 30, 3));
  const std::string whole = bytes_of(folder / "whole.png");
  const auto refused = [&](const std::string& file) {
    write_bytes(path, file);
    return is_clear(error_of([&] { read_image(path.string()); }), "case3.png");
  };
  for (size_t n = 0; n < whole.size(); n += 7) CHECK(refused(whole.substr(0, n)));
  int silent = 0;
  for (size_t i = 8; i < whole.size() - 12; i += 5) {  // within the chunks every byte is under a checksum
    std::string broken = whole;
    broken[i] = static_cast<char>(broken[i] ^ 0x55);
    silent += !refused(broken);
  }
  CHECK(silent == 0);
  CHECK(refused(png_file(3, 1, 3, 0, false, "abc")));                                              // no such depth
  CHECK(refused(png_file(3, 1, 8, 0, false, "\7abc")));                                            // no such filter
  CHECK(refused(png_file(3, 1, 8, 0, false, std::string("\0ab", 3))));                             // too few pixels
  CHECK(refused(png_file(1 << 20, 1 << 20, 8, 0, false, std::string("\0abc", 4))));                // a bomb
  CHECK(refused(png_file(16000, 16000, 8, 0, false, std::string("\0abc", 4))));                    // sizes without pixels
  CHECK(refused(png_file(2, 1, 8, 3, false, std::string("\0\0\5", 3), chunk("PLTE", "abcdef"))));  // no colour 5
  CHECK(refused(png_file(3, 1, 8, 0, false, std::string("\0abc", 4), chunk("ABCD", "x"))));        // a critical part that nobody knows
}

TEST_CASE("other formats: values, sizes and spacing") {
  TemporaryFolder folder;
  const auto read = [&](const std::string& name, const std::string& bytes) {
    write_bytes(folder / name, bytes);
    return read_image((folder / name).string());
  };
  SUBCASE("MetaImage") {
    const Image image = read("a.mha", meta_file());
    CHECK(values(image.values) == ramp);
    CHECK(to_string(image.info.shape) == "(3, 4, 1)");
    CHECK(image.info.spacing == std::vector<double>{0.3, 0.4});
  }
  SUBCASE("MetaImage with its data beside it") {
    std::string header = meta_file().substr(0, meta_file().find("LOCAL")) + "a.raw\n";
    write_bytes(folder / "a.raw", std::string(12, '\7'));
    CHECK(values(read("a.mhd", header).values) == std::vector<float>(12, 7));
    fs::remove(folder / "a.raw");
    CHECK(is_clear(error_of([&] { read_image((folder / "a.mhd").string()); }), "a.raw"));
  }
  SUBCASE("NRRD") {
    const Image image = read("a.nrrd", nrrd_file());
    CHECK(values(image.values) == ramp);
    CHECK(image.info.spacing == std::vector<double>{0.3, 0.4});
  }
  SUBCASE("NIfTI, a volume of shorts") {
    const Image image = read("a.nii", nifti_file());
    CHECK(to_string(image.values.shape()) == "(2, 2, 3, 1)");
    CHECK(image.values.at({1, 1, 2, 0}) == 1100);
    REQUIRE(image.info.spacing.size() == 3);
    CHECK(image.info.spacing[1] == doctest::Approx(0.25));
  }
  SUBCASE("BMP") {
    const Image image = read("a.bmp", bmp_file());
    CHECK(values(image.values) == std::vector<float>{9, 8, 7, 12, 11, 10, 3, 2, 1, 6, 5, 4});
    CHECK(image.info.spacing.empty());
  }
  SUBCASE("TIFF") {
    const Image image = read("a.tif", tiff_file());
    CHECK(values(image.values) == ramp);
    CHECK(image.info.spacing.empty());
  }
  SUBCASE("DICOM with frames and a calibrated region") {
    const Image image = read("a.dcm", dicom_file());
    CHECK(to_string(image.values.shape()) == "(2, 3, 4, 1)");
    CHECK(image.values.at({1, 2, 3, 0}) == 230);
    REQUIRE(image.info.spacing.size() == 2);
    CHECK(image.info.spacing[0] == doctest::Approx(0.2));
    CHECK(image.info.spacing[1] == doctest::Approx(0.5));
    const auto frames = read_samples((folder / "a.dcm").string());
    REQUIRE(frames.size() == 2);
    CHECK(frames[1].meta.frame == 1);
    CHECK(frames[1].meta.video == frames[0].meta.video);
    CHECK(frames[1].image.at({2, 3, 0}) == doctest::Approx(230 / 255.0));
  }
  SUBCASE("npy") {
    write_npy((folder / "a.npy").string(), Tensor::from<float>({2, 2}, {0, 0.5f, 1, 2}));
    CHECK(values(read_image((folder / "a.npy").string()).values) == std::vector<float>{0, 0.5f, 1, 2});
    write_npy((folder / "b.npy").string(), Tensor::zeros({2, 2, 9}));
    CHECK(is_clear(error_of([&] { read_image((folder / "b.npy").string()); }), "(2, 2, 9)"));
  }
}

TEST_CASE("NaN and infinity are refused by name and place") {
  TemporaryFolder folder;
  const std::string path = (folder / "scan.npy").string();
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Tensor t = Tensor::zeros({3, 4});
    t.data<float>()[6] = bad;
    write_npy(path, t);
    const std::string message = error_of([&] { read_image(path); });
    CHECK(is_clear(message, "scan.npy"));
    CHECK(message.find(std::isnan(bad) ? "NaN" : "infinity") != std::string::npos);
    CHECK(message.find("(1, 2, 0)") != std::string::npos);
  }
}

TEST_CASE("files that are cut off or no images: one clear line, nothing on stderr, nobody dies") {
  TemporaryFolder folder;
  const std::string printed = stderr_of([&] {
    for (const auto& [name, bytes] : std::vector<std::pair<std::string, std::string>>{{"a.mha", meta_file()},
                                                                                      {"a.nrrd", nrrd_file()},
                                                                                      {"a.nii", nifti_file()},
                                                                                      {"a.bmp", bmp_file()},
                                                                                      {"a.tif", tiff_file()},
                                                                                      {"a.dcm", dicom_file()}}) {
      const std::string path = (folder / name).string();
      const size_t step = std::max<size_t>(1, bytes.size() / 40), end = name == "a.bmp"   ? bytes.size() - 3
                                                                        : name == "a.tif" ? bytes.size() - 16
                                                                                          : bytes.size() - 1;
      for (size_t n = 0; n <= end; n += n + step > end && n < end ? end - n : step) {
        write_bytes(path, bytes.substr(0, n));
        const std::string message = error_of([&] { read_image(path); });
        CAPTURE(n);
        CAPTURE(message);
        CHECK(is_clear(message, name));
      }
    }
    // The region's FD values become another tag: the decoder asserts on this file.
    std::string odd = dicom_file();
    odd[odd.find(std::string("\x18\0\x2E\x60", 4)) + 2] = '\x40';
    write_bytes(folder / "odd.dcm", odd);
    CHECK(is_clear(error_of([&] { read_image((folder / "odd.dcm").string()); }), "odd.dcm"));
  });
  CHECK(printed == "");
  write_bytes(folder / "text.png", "not a picture");
  CHECK(is_clear(error_of([&] { image_info((folder / "text.png").string()); }), "text.png"));
  write_bytes(folder / "empty.jpg", "");
  CHECK(is_clear(error_of([&] { read_image((folder / "empty.jpg").string()); }), "empty"));
  CHECK(is_clear(error_of([&] { read_image((folder / "nowhere.png").string()); }), "no such file"));
  CHECK(is_clear(error_of([&] { read_image(folder.path.string()); }), "folder"));
  CHECK(is_clear(error_of([&] { read_image("/" + std::string(2000, 'x') + "/case7.png"); }), "case7.png"));
}

TEST_CASE("values to grey, colour and [0, 1]") {
  const Tensor rgb = Tensor::from<uint8_t>({1, 2, 3}, {10, 10, 10, 255, 0, 0});
  CHECK(values(to_grey(rgb)) == std::vector<float>{10, 76});
  CHECK(values(to_colour(Tensor::from<uint8_t>({1, 2, 1}, {3, 9}))) == std::vector<float>{3, 3, 3, 9, 9, 9});
  CHECK(values(to_unit(Tensor::from<uint8_t>({2}, {0, 255}))) == std::vector<float>{0, 1});
  CHECK(values(to_unit(Tensor::from<float>({2}, {0.25f, 0.5f}))) == std::vector<float>{0.25f, 0.5f});
  CHECK(values(to_unit(Tensor::from<float>({2}, {0, 51}))) == std::vector<float>{0, 0.2f});
  CHECK(values(to_unit(Tensor::from<float>({3}, {-100, 0, 300}))) == std::vector<float>{0, 0.25f, 1});
  CHECK(values(to_unit(Tensor::from<float>({2}, {-7, -7}))) == std::vector<float>{0, 0});
}

TEST_CASE("public DICOM: compressed, palettes, both byte orders, a clip with its calibration") {
  const std::string folder = public_data("dicom-us");
  if (folder.empty()) {
    MESSAGE("skipped: no dicom-us");
    return;
  }
  const auto same = [&](const char* a, const char* b) {
    return values(read_image(folder + "/" + a).values) == values(read_image(folder + "/" + b).values);
  };
  CHECK(same("OBXXXX1A.dcm", "OBXXXX1A_rle.dcm"));
  CHECK(same("OBXXXX1A.dcm", "OBXXXX1A_expb.dcm"));
  CHECK(same("gdcm-US-ALOKA-16.dcm", "gdcm-US-ALOKA-16_big.dcm"));
  CHECK(same("color-pl.dcm", "color-px.dcm"));
  const Image clip = read_image(folder + "/examples_ybr_color.dcm");
  CHECK(to_string(clip.values.shape()) == "(30, 240, 320, 3)");
  REQUIRE(clip.info.spacing.size() == 2);
  CHECK(clip.info.spacing[0] == doctest::Approx(0.51).epsilon(0.01));
  std::string cut = bytes_of(folder + "/OBXXXX1A_2frame.dcm");
  TemporaryFolder temporary;
  write_bytes(temporary / "cut.dcm", cut.substr(0, cut.size() / 2));
  CHECK(is_clear(error_of([&] { read_image((temporary / "cut.dcm").string()); }), "truncated"));
}

TEST_CASE("public JPEG: whole, cut off and damaged") {
  const std::string folder = public_data("aul-liver");
  if (folder.empty()) {
    MESSAGE("skipped: no aul-liver");
    return;
  }
  const fs::path first = *fs::directory_iterator(folder + "/Normal/image");
  const Image image = read_image(first.string());
  CHECK(image.info.format == "JPEG");
  CHECK(image.values.shape() == image_info(first.string()).shape);
  const std::string whole = bytes_of(first);
  TemporaryFolder temporary;
  for (size_t n = 0; n + 2 < whole.size(); n += whole.size() / 10) {
    write_bytes(temporary / "cut.jpg", whole.substr(0, n));
    CHECK(is_clear(error_of([&] { read_image((temporary / "cut.jpg").string()); }), "cut.jpg"));
  }
}
