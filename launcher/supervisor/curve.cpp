#include "launcher/supervisor/curve.h"

#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

namespace athanor {
namespace {

using Json = nlohmann::ordered_json;

/// Longer ones are none of ours.
constexpr std::size_t kLongestLine = 64 << 10;

/// NaN for what is absent, null or no number.
double real_of(const Json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_number() ? found->get<double>() : std::numeric_limits<double>::quiet_NaN();
}

Json mean(double sum, std::int64_t lines) {
  const double value = sum / static_cast<double>(lines);
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

}  // namespace

void Curve::Series::add(std::int64_t step, double loss, double accuracy) {
  if (points.empty() || points.back().lines >= stride) {
    if (points.size() == kMostPoints) {
      for (std::size_t i = 0; i < kMostPoints / 2; ++i) {
        const Point &left = points[2 * i], &right = points[2 * i + 1];
        points[i] = {right.step, left.lines + right.lines, left.loss_sum + right.loss_sum,
                     left.accuracy_sum + right.accuracy_sum};
      }
      points.resize(kMostPoints / 2);
      stride *= 2;
    }
    points.emplace_back();
  }
  Point& point = points.back();
  point.step = step;
  ++point.lines;
  point.loss_sum += loss;
  point.accuracy_sum += accuracy;
}

void Curve::take_line(const std::string& line) {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) return;
  const auto step = json.find("step"), kind = json.find("kind");
  if (step == json.end() || !step->is_number_integer() || kind == json.end()) return;
  if (*kind == "train") train_.add(step->get<std::int64_t>(), real_of(json, "loss"), 0);
  if (*kind == "eval") {
    // One curve: of the split that was evaluated first.
    const std::string split = json.value("split", Json()).dump();
    if (split_.empty()) split_ = split;
    if (split != split_) return;
    evaluations_.add(step->get<std::int64_t>(), real_of(json, "loss"), real_of(json, "accuracy"));
  }
}

bool Curve::read_on(const std::filesystem::path& file, std::size_t most_bytes) {
  struct stat now {};
  if (::stat(file.c_str(), &now) != 0 || !S_ISREG(now.st_mode)) return true;
  const auto size = static_cast<std::uintmax_t>(now.st_size);
  // A run that goes back to a checkpoint puts a shorter file in the place of the one before.
  const std::pair identity{std::uintmax_t{now.st_dev}, std::uintmax_t{now.st_ino}};
  if (identity != identity_ || size < offset_) *this = Curve();
  identity_ = identity;
  if (size == offset_) return true;
  std::ifstream in(file, std::ios::binary);
  in.seekg(static_cast<std::streamoff>(offset_));
  std::string text(std::min<std::uintmax_t>(size - offset_, most_bytes), '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, in.gcount())));
  std::size_t begin = 0;
  for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', begin)) {
    if (end - begin <= kLongestLine) take_line(text.substr(begin, end - begin));
    begin = end + 1;
  }
  // The last line may be half written: it is looked at again, unless it is no line at all.
  if (begin == 0 && text.size() > kLongestLine) begin = text.size();
  offset_ += begin;
  return offset_ + kLongestLine >= size || begin == 0;
}

Json Curve::to_json() const {
  Json json{{"train", {{"step", Json::array()}, {"loss", Json::array()}}},
            {"eval", {{"step", Json::array()}, {"loss", Json::array()}, {"accuracy", Json::array()}}}};
  for (const Series::Point& point : train_.points) {
    json["train"]["step"].push_back(point.step);
    json["train"]["loss"].push_back(mean(point.loss_sum, point.lines));
  }
  for (const Series::Point& point : evaluations_.points) {
    json["eval"]["step"].push_back(point.step);
    json["eval"]["loss"].push_back(mean(point.loss_sum, point.lines));
    json["eval"]["accuracy"].push_back(mean(point.accuracy_sum, point.lines));
  }
  return json;
}

}  // namespace athanor
