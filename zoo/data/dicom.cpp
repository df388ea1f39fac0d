#include "zoo/data/dicom.h"

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "tensor/error.h"

namespace sono::zoo {
namespace {

constexpr uint32_t undefined_length = 0xFFFFFFFF;
constexpr uint32_t item = 0xFFFEE000, item_end = 0xFFFEE00D, sequence_end = 0xFFFEE0DD, pixel_data = 0x7FE00010, regions = 0x00186011;

struct Element {
  uint32_t tag = 0, length = 0;
  char vr[2] = {' ', ' '};
};

struct Region {
  int64_t format = 0, unit_x = 0, unit_y = 0;
  double delta_x = 0, delta_y = 0;
};

class Walk {
 public:
  Walk(const std::string& path, std::string_view bytes) : path_(path), bytes_(bytes) {}

  DicomHeader run() {
    if (bytes_.size() < 132 || bytes_.substr(128, 4) != "DICM") fail("is no DICOM file");
    at_ = 132;
    while (at_ + 8 <= bytes_.size() && peek_group() == 2) {  // the file's own header is always explicit little-endian
      const Element e = next();
      if (e.tag == 0x00020010) syntax_ = text(e);
      skip(e.length, bytes_.size());
    }
    if (syntax_ == "1.2.840.10008.1.2.1.99") fail("is deflated as a whole, which is not read; save it with another transfer syntax");
    explicit_ = syntax_ != "1.2.840.10008.1.2";
    big_ = syntax_ == "1.2.840.10008.1.2.2";
    elements(bytes_.size(), 0, false);
    return finished();
  }

 private:
  [[noreturn]] void fail(const std::string& why) const { throw FileError("[read_image] " + path_ + ": " + why); }
  [[noreturn]] void cut() const {
    fail("the DICOM file is truncated or damaged (near byte " + std::to_string(at_) + " of " + std::to_string(bytes_.size()) + ")");
  }

  uint64_t number(size_t at, size_t width) const {
    if (at + width > bytes_.size()) cut();
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++) value |= uint64_t{static_cast<uint8_t>(bytes_[at + i])} << 8 * (big_ ? width - 1 - i : i);
    return value;
  }
  uint64_t peek_group() const { return number(at_, 2); }

  // Reads tag, representation and length; the place is then at the value.
  Element next() {
    Element e;
    e.tag = static_cast<uint32_t>(number(at_, 2) << 16 | number(at_ + 2, 2));
    at_ += 4;
    if (explicit_ && e.tag >> 16 != 0xFFFE) {
      if (at_ + 4 > bytes_.size()) cut();
      std::memcpy(e.vr, bytes_.data() + at_, 2);
      const std::string_view vr(e.vr, 2);
      const bool wide = vr == "OB" || vr == "OD" || vr == "OF" || vr == "OL" || vr == "OV" || vr == "OW" || vr == "SQ" || vr == "SV" ||
                        vr == "UC" || vr == "UN" || vr == "UR" || vr == "UT" || vr == "UV";
      if (e.vr[0] < 'A' || e.vr[0] > 'Z' || e.vr[1] < 'A' || e.vr[1] > 'Z') cut();
      e.length = static_cast<uint32_t>(wide ? number(at_ + 4, 4) : number(at_ + 2, 2));
      at_ += wide ? 8 : 4;
    } else {
      e.length = static_cast<uint32_t>(number(at_, 4));
      at_ += 4;
    }
    return e;
  }

  void skip(uint32_t length, size_t end) {
    if (length > end || at_ > end - length) cut();
    at_ += length;
  }

  std::string text(const Element& e) const {
    if (e.length > bytes_.size() - at_) cut();
    std::string s(bytes_.substr(at_, e.length));
    while (!s.empty() && (s.back() == ' ' || s.back() == '\0')) s.pop_back();
    return s;
  }
  int64_t integer(const Element& e) const {
    return e.length == 4 ? static_cast<int32_t>(number(at_, 4)) : static_cast<int64_t>(number(at_, 2));
  }
  double real(const Element& e) const {
    if (e.length < 8) return 0;
    const uint64_t raw = number(at_, 8);
    double value;
    std::memcpy(&value, &raw, 8);
    return value;
  }

  // The elements up to `end`, or up to the delimiter of an item of undefined length.
  void elements(size_t end, int depth, bool delimited) {
    if (depth > 32) fail("nests its DICOM sequences too deeply");
    while (at_ < end) {
      const Element e = next();
      if (e.tag == item_end && delimited) return;
      if (e.tag >> 16 == 0xFFFE) cut();
      if (e.tag == pixel_data && (depth == 0 || e.length == undefined_length)) {
        pixels(e, depth, end);
      } else if (e.length == undefined_length || std::string_view(e.vr, 2) == "SQ" || e.tag == regions) {
        sequence(e, end, depth);
      } else {
        remember(e, depth);
        skip(e.length, end);
      }
    }
    if (at_ != end || delimited) cut();
  }

  void sequence(const Element& e, size_t end, int depth) {
    const bool open = e.length == undefined_length, was_explicit = explicit_;
    if (!open && (e.length > end || at_ > end - e.length)) cut();
    const size_t stop = open ? end : at_ + e.length;
    if (std::string_view(e.vr, 2) == "UN") explicit_ = false;  // PS3.5 §6.2.2: unknown sequences are implicit inside
    bool closed = !open;
    while (at_ < stop) {
      const Element i = next();
      if (i.tag == sequence_end && open) {
        closed = true;
        break;
      }
      if (i.tag != item) cut();
      const bool was_in_region = in_region_;
      if (e.tag == regions && depth == 0) in_region_ = true, region_ = {};
      if (i.length == undefined_length) {
        elements(stop, depth + 1, true);
      } else {
        if (i.length > stop - at_) cut();
        elements(at_ + i.length, depth + 1, false);
      }
      if (in_region_ && !was_in_region) take_region();
      in_region_ = was_in_region;
    }
    if (!closed) cut();
    explicit_ = was_explicit;
  }

  // Native: one block. Encapsulated: an offset table and fragments, each an item, then the end. Deeper ones are icons and only passed over.
  void pixels(const Element& e, int depth, size_t end) {
    uint64_t bytes = e.length;
    if (e.length != undefined_length) {
      skip(e.length, end);
    } else {
      bytes = 0;
      for (Element fragment = next(); fragment.tag != sequence_end; fragment = next()) {
        if (fragment.tag != item) cut();
        skip(fragment.length, end);
        bytes += fragment.length;
      }
    }
    if (depth == 0) pixel_bytes_ = bytes, header_.compressed = e.length == undefined_length;
  }

  void remember(const Element& e, int depth) {
    if (in_region_ && depth == 1) {
      if (e.tag == 0x00186012) region_.format = integer(e);
      if (e.tag == 0x00186024) region_.unit_x = integer(e);
      if (e.tag == 0x00186026) region_.unit_y = integer(e);
      if (e.tag == 0x0018602C) region_.delta_x = real(e);
      if (e.tag == 0x0018602E) region_.delta_y = real(e);
    }
    if (depth > 0) return;
    if (e.tag == 0x00280002) header_.samples = integer(e);
    if (e.tag == 0x00280004)
      header_.inverted = text(e) == "MONOCHROME1", halved_ = text(e) == "YBR_FULL_422" || text(e) == "YBR_PARTIAL_422";
    if (e.tag == 0x00280008) header_.frames = std::atoll(text(e).c_str());
    if (e.tag == 0x00280010) header_.rows = integer(e);
    if (e.tag == 0x00280011) header_.columns = integer(e);
    if (e.tag == 0x00280100) header_.bits = integer(e);
    if (e.tag == 0x00280030 || (e.tag == 0x00181164 && !pixel_spacing_)) take_spacing(text(e));
  }

  void take_spacing(const std::string& pair) {  // "row spacing\column spacing", mm
    const size_t bar = pair.find('\\');
    if (bar == std::string::npos) return;
    const double y = std::atof(pair.c_str()), x = std::atof(pair.c_str() + bar + 1);
    if (x > 0 && y > 0 && std::isfinite(x) && std::isfinite(y)) pixel_spacing_ = {x, y};
  }

  void take_region() {  // the first two-dimensional region in centimetres (unit 3) [PS3.3 §C.8.5.5]
    const double x = std::abs(region_.delta_x), y = std::abs(region_.delta_y);
    if (region_spacing_ || region_.format != 1 || region_.unit_x != 3 || region_.unit_y != 3 || !(x > 0) || !(y > 0) || x > 10 || y > 10)
      return;
    region_spacing_ = {10 * x, 10 * y};
  }

  DicomHeader finished() {
    DicomHeader& h = header_;
    if (!pixel_bytes_) fail("the DICOM file holds no image");
    const bool sane = h.rows > 0 && h.rows < 65536 && h.columns > 0 && h.columns < 65536 && h.frames > 0 && h.frames < (1 << 24) &&
                      (h.samples == 1 || h.samples == 3 || h.samples == 4) && (h.bits == 1 || h.bits == 8 || h.bits == 16 || h.bits == 32);
    if (!sane) fail("the DICOM file's sizes make no image");
    const int64_t stored = halved_ ? 2 : h.samples;  // two pixels share their colour
    const auto wanted = static_cast<uint64_t>(h.rows * h.columns * h.frames * stored) * static_cast<uint64_t>(h.bits) / 8;
    if (!h.compressed && pixel_bytes_ < wanted)
      fail("the DICOM file is truncated: " + std::to_string(pixel_bytes_) + " bytes of pixels where its sizes want " +
           std::to_string(wanted));
    h.spacing = region_spacing_ ? region_spacing_ : pixel_spacing_;
    return h;
  }

  std::string path_;
  std::string_view bytes_;
  size_t at_ = 0;
  bool explicit_ = true, big_ = false, in_region_ = false, halved_ = false;
  std::string syntax_;
  uint64_t pixel_bytes_ = 0;
  Region region_;
  DicomHeader header_;
  std::optional<std::array<double, 2>> pixel_spacing_, region_spacing_;
};

}  // namespace

DicomHeader check_dicom(const std::string& path, const std::string& bytes) { return Walk(path, bytes).run(); }

}  // namespace sono::zoo
