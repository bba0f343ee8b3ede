#include "backend/cuda/engine_choice.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <vector>

#include "backend/choice_file.h"
#include "backend/cuda/engine_timing.h"
#include "base/atomic_file.h"
#include "base/error.h"
#include "base/log.h"
#include "base/text_file.h"

namespace athanor::cuda {
namespace {

/// How the first line of a cache begins; with another first line it counts as empty.
constexpr std::string_view kFormat = "athanor engines 2";

using Choices = std::map<std::string, ChosenEngine>;

std::string line_of(const std::string& spec, const ChosenEngine& chosen) {
  return fmt::format("{}\t{}\t{}\t{:.9f}\n", spec, chosen.engine, chosen.workspace_bytes, chosen.seconds);
}

/// Where choices hold: another GPU, driver or library may run the same engine with other bits, or lack it.
std::string place_of(const DeviceInfo& info) {
  return fmt::format("{} driver {} cudnn {} cublas {}", info.name, info.driver, info.cudnn, info.cublas);
}

std::string header_of(const DeviceInfo& info) {
  return fmt::format("{}: {}", kFormat, place_of(info));
}

std::string text_of_choices(const Choices& choices, const DeviceInfo& info) {
  std::string text = header_of(info) + "\n";
  for (const auto& [spec, chosen] : choices) text += line_of(spec, chosen);
  return text;
}

template <typename Number>
bool parse(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

/// Lines that cannot be read are left out: the worst that a damaged cache does is that engines are timed again.
Choices parse_choices(const std::string& text, const DeviceInfo& info) {
  Choices choices;
  for (const std::vector<std::string>& fields : choice_rows(text, header_of(info))) {
    ChosenEngine chosen;
    if (fields.size() != 4 || fields[0].empty() || fields[1].empty()) continue;
    if (!parse(fields[2], chosen.workspace_bytes) || !parse(fields[3], chosen.seconds)) continue;
    chosen.engine = fields[1];
    choices.insert_or_assign(fields[0], chosen);
  }
  return choices;
}

}  // namespace

struct EngineChoice::State {
  Device& device;
  std::filesystem::path cache;                                     ///< "": none
  Choices cached;                                                  ///< what the file held
  Choices chosen;                                                  ///< what this run uses
  bool has_news = false;                                           ///< `chosen` has what the file has not
  std::map<std::string, std::shared_ptr<const Product>> products;  ///< of the chosen engines

  /// The product of an engine that somebody chose before; nullptr where it does not exist here.
  const ChosenEngine* keep(const std::string& key, const ProductSpec& spec, const ChosenEngine& choice) {
    std::shared_ptr<const Product> product = device.make_product(spec, choice.engine);
    if (product == nullptr) return nullptr;
    return keep(key, choice, std::move(product));
  }

  const ChosenEngine* keep(const std::string& key, ChosenEngine choice, std::shared_ptr<const Product> product) {
    choice.workspace_bytes = product->workspace_bytes();
    products[key] = std::move(product);
    return &(chosen[key] = std::move(choice));
  }

  void save() {
    if (!has_news || cache.empty()) return;
    has_news = false;
    try {
      Choices all = parse_choices(read_text(cache), device.info());  // other jobs may have added theirs
      for (const auto& [spec, choice] : chosen) all.insert_or_assign(spec, choice);
      std::filesystem::create_directories(cache.parent_path());
      write_atomically(cache, text_of_choices(all, device.info()));
    } catch (const std::exception& error) {
      log_warning("the choice of GPU engines is not kept for next time: {}", error.what());
    }
  }
};

EngineChoice::EngineChoice(Device& device, std::string cache_folder)
    : state_(std::make_unique<State>(State{.device = device})) {
  if (cache_folder.empty()) return;
  state_->cache = std::filesystem::path(cache_folder) / choice_file_name("engines", place_of(device.info()));
  state_->cached = parse_choices(read_text(state_->cache), device.info());
}

EngineChoice::~EngineChoice() {
  state_->save();
}

const ChosenEngine* EngineChoice::choose(const ProductSpec& spec) {
  const std::string key = text_of(spec);
  if (state_->products.contains(key)) return &state_->chosen.at(key);
  if (const auto given = state_->chosen.find(key); given != state_->chosen.end()) {
    const ChosenEngine choice = given->second;
    if (const ChosenEngine* kept = state_->keep(key, spec, choice)) return kept;
    throw DeviceError("this GPU ({}) has no engine '{}' for {}, which rank 0 chose; use GPUs and libraries of one kind",
                      state_->device.info().name, choice.engine, key);
  }
  if (const auto known = state_->cached.find(key); known != state_->cached.end()) {
    if (const ChosenEngine* kept = state_->keep(key, spec, known->second)) return kept;
  }
  TimedEngine fastest = fastest_engine(state_->device, spec);
  if (fastest.product == nullptr) return nullptr;
  // What could not be timed now may be next time.
  state_->has_news = state_->has_news || fastest.seconds > 0;
  ChosenEngine choice{.engine = fastest.product->engine(), .seconds = fastest.seconds};
  return state_->keep(key, std::move(choice), std::move(fastest.product));
}

std::shared_ptr<const Product> EngineChoice::make(const ProductSpec& spec, std::string_view engine) {
  const std::string key = text_of(spec);
  if (const auto made = state_->products.find(key); made != state_->products.end() && made->second->engine() == engine)
    return made->second;
  std::shared_ptr<const Product> product = state_->device.make_product(spec, std::string(engine));
  if (product == nullptr)
    throw DeviceError("this GPU ({}) has no engine '{}' for {}", state_->device.info().name, engine, key);
  return product;
}

std::string EngineChoice::text() const {
  state_->save();
  return text_of_choices(state_->chosen, state_->device.info());
}

void EngineChoice::take(const std::string& text) {
  for (auto& [spec, choice] : parse_choices(text, state_->device.info())) {
    if (const auto made = state_->products.find(spec);
        made != state_->products.end() && made->second->engine() != choice.engine) {
      state_->products.erase(made);
    }
    state_->chosen.insert_or_assign(spec, choice);
  }
}

}  // namespace athanor::cuda
