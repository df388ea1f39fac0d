// Pictures and the report: what is drawn where, that files are whole, and that the page needs nothing and says what it must.
#include <doctest/doctest.h>
#include <zlib.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <numbers>
#include <regex>

#include "tensor/files.h"
#include "tensor/random.h"
#include "zoo/report/assets.h"
#include "zoo/report/paint.h"
#include "zoo/data/png_encode.h"
#include "zoo/report/report.h"

using namespace sono;
using namespace sono::zoo;

namespace {

uint32_t big_endian(const std::string& s, size_t at) {
  uint32_t v = 0;
  for (size_t i = 0; i < 4; i++) v = v << 8 | static_cast<uint8_t>(s[at + i]);
  return v;
}

// An independent reader of what encode_png writes: chunks with their checksums, inflate, the five filters.
Tensor decode_png(const std::string& png) {
  REQUIRE(png.substr(0, 8) == "\x89PNG\r\n\x1a\n");
  std::string compressed, header, last;
  for (size_t at = 8; at < png.size();) {
    const uint32_t length = big_endian(png, at);
    last = png.substr(at + 4, 4);
    REQUIRE(big_endian(png, at + 8 + length) == crc32(0, reinterpret_cast<const Bytef*>(png.data() + at + 4), length + 4));
    if (last == "IHDR") header = png.substr(at + 8, length);
    if (last == "IDAT") compressed += png.substr(at + 8, length);
    at += 12 + length;
  }
  REQUIRE(last == "IEND");
  const int64_t width = big_endian(header, 0), height = big_endian(header, 4),
                channels = header[9] == 0   ? 1
                           : header[9] == 2 ? 3
                                            : 4,
                row = width * channels;
  std::vector<uint8_t> raw(static_cast<size_t>(height * (row + 1)));
  uLongf size = raw.size();
  REQUIRE(uncompress(raw.data(), &size, reinterpret_cast<const Bytef*>(compressed.data()), compressed.size()) == Z_OK);
  REQUIRE(size == raw.size());
  Tensor image({height, width, channels}, Dtype::u8);
  uint8_t* p = image.data<uint8_t>();
  for (int64_t y = 0; y < height; y++)
    for (int64_t i = 0; i < row; i++) {
      const int filter = raw[static_cast<size_t>(y * (row + 1))];
      const int a = i >= channels ? p[y * row + i - channels] : 0, b = y ? p[(y - 1) * row + i] : 0,
                c = y && i >= channels ? p[(y - 1) * row + i - channels] : 0;
      const int pa = std::abs(b - c), pb = std::abs(a - c), pc = std::abs(a + b - 2 * c);
      const int guess[5] = {0, a, b, (a + b) / 2, pa <= pb && pa <= pc ? a : pb <= pc ? b : c};
      REQUIRE(filter < 5);
      p[y * row + i] = static_cast<uint8_t>(raw[static_cast<size_t>(y * (row + 1) + 1 + i)] + guess[filter]);
    }
  return image;
}

Tensor disc(int64_t height, int64_t width, double cx, double cy, double r) { return ellipse_mask({cx, cy, r, r, 0}, height, width); }

Sample speckle(int64_t height, int64_t width, uint64_t seed) {
  Sample s;
  s.image = random_uniform({height, width, 1}, seed, 0, 0.2, 0.6);
  s.labels.mask = disc(height, width, static_cast<double>(width) / 2, static_cast<double>(height) / 2, static_cast<double>(height) / 4);
  s.meta.id = "case " + std::to_string(seed);
  return s;
}

Labels shifted_disc(const Sample& s, double dx) {
  Labels l;
  const auto height = s.image.dim(0), width = s.image.dim(1);
  l.mask = disc(height, width, static_cast<double>(width) / 2 + dx, static_cast<double>(height) / 2, static_cast<double>(height) / 4);
  return l;
}

bool is_colour(const Tensor& rgb, int64_t y, int64_t x, const Colour& c) {
  for (int64_t k = 0; k < 3; k++)
    if (std::abs(rgb.at({y, x, k}) - c[static_cast<size_t>(k)]) > 2) return false;
  return true;
}

// A folder of its own, gone at the end.
struct Folder {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("sono_report_" + std::to_string(reinterpret_cast<uintptr_t>(this)));
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
};

ReportContent whole_report() {
  EvaluateOptions options{
      .system = "unet", .data = "simulated", .categories = {"benign", "malignant </script><b>"}, .bootstrap = {.replicates = 50}};
  Evaluation evaluation(options), constant(options);
  std::vector<Sample> samples;
  std::vector<Labels> predictions;
  Random random(4);
  for (int i = 0; i < 9; i++) {
    Sample s = speckle(48, 64, static_cast<uint64_t>(i));
    s.labels.category = i % 2;
    s.labels.measurements = {{"head circumference", 100.0 + i, "mm"}};
    s.meta.spacing = {{0.3, 0.3}};
    if (i == 2) s.meta.id = "<img src=x onerror=alert(1)>";
    Labels p = i == 5 ? Labels{} : shifted_disc(s, i);
    if (i == 5) p.mask = Tensor::zeros({48, 64}, Dtype::u8);
    const float q = static_cast<float>(random.uniform());
    p.probabilities = {1 - q, q};
    p.measurements = {{"head circumference", 101.0 + i, "mm"}};
    evaluation.add(s, p);
    Labels simple = shifted_disc(s, 12);
    simple.probabilities = {0.5f, 0.5f};
    simple.measurements = {{"head circumference", 104, "mm"}};
    constant.add(s, simple);
    samples.push_back(s), predictions.push_back(p);
  }
  ReportContent content{.title = "unet on <simulated>",
                        .subtitle = "9 cases",
                        .card = {{"Task", "lesions & more"}},
                        .configuration = {{"epochs", "3"}},
                        .scores = evaluation.scores()};
  content.baseline = constant.scores();
  content.losses = {{"train_loss", {1, 2, 3}, {0.9, 0.5, std::numeric_limits<double>::quiet_NaN()}}};
  content.curves = {{"val_dice", {1, 2, 3}, {0.1, 0.5, 0.8}}, {"val_hc_mae_mm", {1, 2, 3}, {30, 10, 2}}};
  content.best_epoch = 3;
  size_t asked = 0;
  content.pictures = example_pictures(
      content.scores, [&](size_t i) { return asked = i, samples[i]; }, [&](const Sample&) { return predictions[asked]; });
  return content;
}

std::string between(const std::string& text, const std::string& from, const std::string& to) {
  const size_t a = text.find(from);
  REQUIRE(a != std::string::npos);
  const size_t b = text.find(to, a + from.size());
  REQUIRE(b != std::string::npos);
  return text.substr(a + from.size(), b - a - from.size());
}

size_t occurrences(const std::string& text, const std::string& word) {
  size_t n = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) n++;
  return n;
}

}  // namespace

TEST_CASE("PNG is lossless, at odd sizes, for noise, ramps and constants") {
  for (const Shape& shape : {Shape{1, 1}, {7, 15}, {31, 33, 1}, {5, 17, 3}, {16, 9, 4}})
    for (int kind = 0; kind < 3; kind++) {
      Random random(9);
      Tensor image(shape, Dtype::u8);
      for (int64_t i = 0; i < image.size(); i++)
        image.data<uint8_t>()[i] = static_cast<uint8_t>(kind == 0 ? random.below(256) : kind == 1 ? i * 3 : 200);
      CHECK(decode_png(encode_png(image)).to_vector<uint8_t>() == image.to_vector<uint8_t>());
    }
  CHECK(encode_png(Tensor::full({256, 256}, 7, Dtype::u8)).size() < 600);
  CHECK_THROWS_AS(encode_png(Tensor::zeros({4, 4}, Dtype::f32)), DtypeError);
  CHECK_THROWS_AS(encode_png(Tensor::zeros({4, 4, 2}, Dtype::u8)), ShapeError);
  CHECK_THROWS_AS(encode_png(Tensor::zeros({0, 4}, Dtype::u8)), ShapeError);
  CHECK_THROWS_AS(encode_png(Tensor()), ShapeError);
}

TEST_CASE("base64 as in RFC 4648") {
  const std::pair<std::string, std::string> cases[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"},
                                                       {"\xff\xfe", "//4="}};
  for (const auto& [plain, coded] : cases) CHECK(base64(plain) == coded);
}

TEST_CASE("contours lie on the mask's edge, closed, one for each piece and hole") {
  const std::vector<Polyline> one = contours(disc(60, 70, 33, 28, 20));
  REQUIRE(one.size() == 1);
  CHECK(one[0].front() == one[0].back());
  for (const auto& [x, y] : one[0]) CHECK(std::abs(std::hypot(x - 33, y - 28) - 20) < 0.7);
  double area = 0;
  for (size_t i = 0; i + 1 < one[0].size(); i++) area += (one[0][i][0] * one[0][i + 1][1] - one[0][i + 1][0] * one[0][i][1]) / 2;
  CHECK(std::abs(area) == doctest::Approx(std::numbers::pi * 400).epsilon(0.01));

  Tensor ring = disc(60, 60, 30, 30, 20);
  for (int64_t i = 0; i < ring.size(); i++) ring.data<uint8_t>()[i] -= disc(60, 60, 30, 30, 8).data<uint8_t>()[i];
  CHECK(contours(ring).size() == 2);
  CHECK(contours(Tensor::zeros({9, 9}, Dtype::u8)).empty());
  Tensor pixel = Tensor::zeros({9, 9}, Dtype::u8);
  pixel.data<uint8_t>()[40] = 1;
  CHECK(contours(pixel) == std::vector<Polyline>{{{4, 3.5}, {3.5, 4}, {4, 4.5}, {4.5, 4}, {4, 3.5}}});
  const std::vector<Polyline> full = contours(Tensor::ones({5, 5}, Dtype::u8));  // the mask's end at the image's edge is drawn
  REQUIRE(full.size() == 1);
  CHECK(full[0].size() == 21);
  Tensor diagonal = Tensor::zeros({4, 4}, Dtype::u8);
  diagonal.data<uint8_t>()[5] = diagonal.data<uint8_t>()[10] = 1;
  CHECK(contours(diagonal).size() == 2);
}

TEST_CASE("the overlay: truth green, prediction magenta, nothing outside the scan mask") {
  Sample s = speckle(64, 64, 1);
  s.scan_mask = disc(64, 64, 32, 32, 30);
  s.image.data<float>()[0] = std::numeric_limits<float>::quiet_NaN();
  const Tensor rgb = paint(s, shifted_disc(s, 9));
  REQUIRE(rgb.shape() == Shape{512, 512, 3});
  int64_t green = 0, magenta = 0;
  for (int64_t y = 0; y < 512; y++)
    for (int64_t x = 0; x < 512; x++) green += is_colour(rgb, y, x, truth_colour), magenta += is_colour(rgb, y, x, prediction_colour);
  CHECK(green > 400);  // about 2 π 16 · 8 = 800 pixels of length, 2 of full colour in width, some under the other line
  CHECK(magenta > 200);
  for (int64_t i : {int64_t{0}, int64_t{511}})
    for (int64_t j : {int64_t{0}, int64_t{511}})
      for (int64_t k = 0; k < 3; k++) CHECK(rgb.at({i, j, k}) == 0);
  const Tensor seen = visible_image(s);
  for (int64_t y = 0; y < 64; y++)
    for (int64_t x = 0; x < 64; x++)
      if (s.scan_mask.at({y, x}) == 0) REQUIRE(seen.at({y, x}) == 0);
  CHECK(seen.at({32, 32}) > 0);
  const Tensor plain = paint(s, {}, {.scale = 1, .truth = false});
  CHECK(plain.shape() == Shape{64, 64, 3});
  for (int64_t i = 0; i < 64 * 64; i++) REQUIRE(plain.data<uint8_t>()[3 * i] == seen.data<uint8_t>()[i]);
}

TEST_CASE("boxes, ellipses and landmarks are drawn too; lines are antialiased and may leave the canvas") {
  Sample s;
  s.image = Tensor::zeros({40, 40, 1});
  Labels l;
  l.boxes = {{10, 12, 20, 8}};
  const Tensor boxed = paint(s, l, {.scale = 1});
  CHECK(boxed.at({12, 20, 0}) > 200);
  CHECK(boxed.at({20, 20, 0}) > 200);
  CHECK(boxed.at({16, 20, 0}) == 0);
  l = {};
  l.ellipse = Ellipse{20, 20, 12, 6, std::numbers::pi / 2};
  l.landmarks = {{"apex", 20, 20}};
  const Tensor drawn = paint(s, l, {.scale = 1});
  CHECK(drawn.at({8, 20, 0}) > 150);
  CHECK(drawn.at({20, 14, 0}) > 150);
  CHECK(drawn.at({20, 20, 0}) > 200);
  CHECK(drawn.at({20, 8, 0}) == 0);
  const Tensor canvas = Tensor::zeros({9, 9, 3}, Dtype::u8);
  draw(canvas, {{-50, 4}, {50, 4}}, {200, 100, 50}, 1);
  CHECK(canvas.at({4, 0, 0}) == 200);
  CHECK(canvas.at({4, 8, 2}) == 50);
  CHECK(canvas.at({2, 4, 0}) == 0);
  draw(canvas, {{-50, 6.5}, {50, 6.5}}, {200, 100, 50}, 1);
  CHECK(canvas.at({6, 4, 0}) == 100);  // half covered
  CHECK(canvas.at({7, 4, 0}) == 100);
  draw(canvas, {{100, 100}, {200, 100}}, {200, 100, 50}, 1);
  draw(canvas, {{3, 3}}, {200, 100, 50}, 1);
  CHECK_THROWS_AS(paint(Sample{}), ShapeError);
  s.scan_mask = Tensor::ones({3, 3}, Dtype::u8);
  CHECK_THROWS_AS(paint(s), ShapeError);
}

TEST_CASE("the page is whole, needs nothing from elsewhere, and lets no name become code") {
  const std::string page = render_report(whole_report());
  CHECK_FALSE(std::regex_search(page, std::regex(R"rx((src|href)\s*=\s*["']?(https?:)?//)rx")));
  CHECK(page.find("Not for diagnosis") != std::string::npos);
  CHECK(page.find("unet on &lt;simulated&gt;") != std::string::npos);
  CHECK(page.find("lesions &amp; more") != std::string::npos);
  CHECK(page.find("<img src=x") == std::string::npos);
  CHECK(page.find("malignant </script>") == std::string::npos);
  CHECK(page.find(assets::chart_js()) != std::string::npos);
  CHECK(assets::chart_js().find("Chart.js v") != std::string::npos);
  CHECK(assets::chart_js().find("</script") == std::string::npos);
  CHECK(occurrences(page, "</script>") == 3);
  CHECK(occurrences(page, "<section") == occurrences(page, "</section>"));
  CHECK(occurrences(page, "<figure") == 9);
  CHECK(occurrences(page, "data:image/png;base64,") == 9);
  for (const char* part :
       {"Results on unseen cases", "Best, median and worst cases", "Dice of the single cases", "Confusion matrix", "ROC curve",
        "Agreement: head circumference", "Training", "Card", "Configuration", "All 9 cases", "trivial baseline", "1 infinite"}) {
    CAPTURE(part);
    CHECK(page.find(part) != std::string::npos);
  }
}

TEST_CASE("the charts hold the numbers they stand for") {
  const ReportContent content = whole_report();
  const std::string page = render_report(content);
  const nlohmann::json charts = nlohmann::json::parse(between(page, "id=\"charts\">", "</script>"));
  REQUIRE(charts.size() == 6);  // Dice, ROC, agreement, loss, Dice over epochs, circumference over epochs
  for (const auto& chart : charts) CHECK(page.find("<canvas id=\"" + chart["id"].get<std::string>() + "\"") != std::string::npos);
  double cases = 0;
  for (const auto& bin : charts[0]["series"][0]["points"]) cases += bin[1].get<double>();
  CHECK(cases == 9);
  CHECK(charts[1]["series"][0]["points"].size() == content.scores.roc.size());
  CHECK(charts[2]["series"][0]["points"].size() == 9);
  for (const auto& point : charts[2]["series"][0]["points"]) CHECK(point[1].get<double>() == doctest::Approx(1));
  CHECK(charts[3]["series"][0]["points"][2][1].is_null());  // NaN: a gap
  CHECK(charts[3]["mark"]["x"] == 3);
  CHECK(charts[5]["series"][0]["points"][2][1] == 2);
}

TEST_CASE("best comes before worst in the pictures, with what they are called") {
  const ReportContent content = whole_report();
  REQUIRE(content.pictures.size() == 9);
  CHECK(content.pictures[0].group == "best");
  CHECK(content.pictures[0].caption.find("case 0, Dice 1.000") == 0);
  CHECK(content.pictures[6].group == "worst");
  CHECK(content.pictures[6].caption.find("case 5, Dice 0.000") == 0);
}

TEST_CASE("an almost empty report is a page too, and a report without a place is refused") {
  const std::string page = render_report({.title = "nothing"});
  CHECK(page.find("Not for diagnosis") != std::string::npos);
  CHECK(nlohmann::json::parse(between(page, "id=\"charts\">", "</script>")).empty());
  const Folder folder;
  write_report((folder.path / "report.html").string(), {.title = "nothing"});
  CHECK(read_file((folder.path / "report.html").string()) == page);
  CHECK_THROWS_AS(write_report((folder.path / "no such folder" / "report.html").string(), {.title = "nothing"}), FileError);
}

TEST_CASE("large images are shrunk to what a page needs, and keep their proportions in mm") {
  ReportContent content{.title = "large"};
  Sample s = speckle(90, 1300, 2);
  s.meta.spacing = {{0.1, 0.4}};
  content.pictures = {{"best", "one", s, shifted_disc(s, 3)}};
  const std::string page = render_report(content);
  const std::string coded = between(page, "data:image/png;base64,", "\"");
  std::string png;
  uint32_t bits = 0;
  int held = 0;
  for (char c : coded) {
    const size_t digit = std::string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/").find(c);
    if (digit == std::string::npos) break;
    bits = bits << 6 | static_cast<uint32_t>(digit), held += 6;
    if (held >= 8) held -= 8, png += static_cast<char>(bits >> held & 255);
  }
  CHECK(decode_png(png).shape() == Shape{30, 434, 1});
  CHECK(page.find("viewBox=\"0 0 1300.00 360.00\"") != std::string::npos);
}

TEST_CASE("curves come from metrics.jsonl") {
  const Folder folder;
  const std::string path = (folder.path / "metrics.jsonl").string();
  write_file_atomically(path,
                        "{\"epoch\":1,\"train_loss\":0.5,\"val_dice\":0.3,\"lr\":0.001,\"seconds\":4.2}\n{\"epoch\":2,\"train_loss\":null,"
                        "\"val_dice\":0.6,\"lr\":0.001,\"seconds\":4.1}\n");
  ReportContent content{.title = "curves"};
  read_curves(path, content);
  REQUIRE(content.losses.size() == 1);
  CHECK(content.losses[0].x == std::vector<double>{1, 2});
  CHECK(std::isnan(content.losses[0].y[1]));
  REQUIRE(content.curves.size() == 1);
  CHECK(content.curves[0].name == "val_dice");
  CHECK(content.curves[0].y == std::vector<double>{0.3, 0.6});
  write_file_atomically(path, "no JSON\n{}\n");
  CHECK_THROWS_AS(read_curves(path, content), FileError);
}
