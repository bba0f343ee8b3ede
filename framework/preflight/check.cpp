#include "preflight/check.h"

#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <sstream>

#include "backend/backend.h"
#include "preflight/deep_check.h"
#include "preflight/run_place.h"
#include "train/core_share.h"
#include "train/run_folder.h"
#include "train/run_screen.h"
#include "train/session.h"
#include "train/units_text.h"

namespace athanor {
namespace {

namespace fs = std::filesystem;

/// Labels in range and no class empty; the shape that the network will see.
Finding describe_data(const RunData& data) {
  const DatasetInfo& info = data.train->info();
  std::string text =
      fmt::format("{}: {} train, {} validation, {} test images of {}×{}×{}, {} classes", info.name,
                  count_text(data.train_size()), count_text(static_cast<std::int64_t>(data.validation_subset.size())),
                  count_text(data.test->size()), info.channels, info.height, info.width, info.classes);
  for (const Dataset* set : {data.train.get(), data.test.get()}) {
    std::vector<std::int64_t> counts(static_cast<std::size_t>(info.classes), 0);
    for (std::int64_t i = 0; i < set->size(); ++i) {
      const std::int32_t label = set->label(i);
      if (label < 0 || label >= info.classes) {
        throw DataError("{}: label {} of sample {} is out of range, want 0 to {}", info.name, label, i,
                        info.classes - 1);
      }
      ++counts[static_cast<std::size_t>(label)];
    }
    const auto empty = std::find(counts.begin(), counts.end(), 0);
    if (empty != counts.end()) {
      return {fmt::format("{}; no {} image has label {}", text, set == data.test.get() ? "test" : "training",
                          empty - counts.begin()),
              CheckStatus::warning};
    }
  }
  return {text + "; labels in range"};
}

/// Reads every image of both splits; the pixels' mean and deviation tell whether `normalize` fits.
Finding read_all(const RunData& data) {
  const DatasetInfo& info = data.train->info();
  const auto channels = static_cast<std::size_t>(info.channels),
             area = static_cast<std::size_t>(info.height * info.width);
  std::vector<double> sums(channels, 0), squares(channels, 0);
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(info.image_bytes()));
  for (const Dataset* set : {data.train.get(), data.test.get()}) {
    for (std::int64_t i = 0; i < set->size(); ++i) {
      set->read(i, pixels);
      if (set != data.train.get()) continue;
      for (std::size_t at = 0; at < pixels.size(); ++at) {
        const double value = pixels[at] / 255.0;
        sums[at / area] += value;
        squares[at / area] += value * value;
      }
    }
  }
  const double count = static_cast<double>(data.train->size()) * static_cast<double>(area);
  std::vector<std::string> mean, deviation;
  for (std::size_t c = 0; c < channels; ++c) {
    mean.push_back(fmt::format("{:.4f}", sums[c] / count));
    const double variance = squares[c] / count - sums[c] / count * (sums[c] / count);
    deviation.push_back(fmt::format("{:.4f}", std::sqrt(std::max(0.0, variance))));
  }
  return {fmt::format("every image read; of the training images normalize: {{mean: [{}], std: [{}]}}",
                      fmt::join(mean, ", "), fmt::join(deviation, ", "))};
}

/// Throws UsageError where the run folder cannot be used for this recipe, `as_asked` before the machine filled it in.
std::string describe_run_folder(const fs::path& run, const std::string& as_asked) {
  const HeldRun held = look_at_run_folder(run, as_asked, difference_text);
  if (!held.exists) return "";
  return held.is_done ? ", holds a finished run of this recipe" : ", holds a run of this recipe";
}

/// `state_bytes`: of one checkpoint; 0 where the network is not known.
Finding check_disk(const Recipe& recipe, const std::string& as_asked, const fs::path& run, std::size_t state_bytes) {
  const std::string held = describe_run_folder(run, as_asked);
  const fs::path parent = existing_part(run);
  std::error_code error;
  if (!fs::is_directory(parent, error)) {
    throw StorageError("{} is a file, the run folder {} cannot be made; choose another with --run", parent.string(),
                       run.string());
  }
  if (access(parent.c_str(), W_OK | X_OK) != 0) {
    throw StorageError("this user may not write in {}; choose a run folder elsewhere with --run", parent.string());
  }
  const fs::space_info space = fs::space(parent, error);
  if (error) return {fmt::format("{}{}; free space is not known: {}", run.string(), held, error.message())};
  // The kept ones, the best one, and the one that is being written.
  const std::uint64_t wanted = static_cast<std::uint64_t>(recipe.checkpoint.keep + 2) * state_bytes;
  if (space.available < 2 * state_bytes) {
    throw StorageError(
        "{}: {} free, a run begins where two checkpoints of {} fit; free some, or choose another folder with --run",
        run.string(), bytes_text(space.available), bytes_text(state_bytes));
  }
  if (space.available < wanted) {
    return {fmt::format("{}{}; {} free, but checkpoints will take up to {}: lower checkpoint.keep, or free some",
                        run.string(), held, bytes_text(space.available), bytes_text(wanted)),
            CheckStatus::warning};
  }
  return {fmt::format("{}{}; {} free, checkpoints take up to {}", run.string(), held, bytes_text(space.available),
                      bytes_text(wanted))};
}

Finding check_threads(const Sizing& sizing, const Hardware& hardware) {
  const std::int64_t at_once = sizing.lanes * sizing.shard_threads;
  std::string text =
      fmt::format("{} × {}, {} side by side, on {}", plural(sizing.shards, "shard"),
                  plural(sizing.shard_threads, "thread"), sizing.lanes, plural(hardware.allowed_cpus, "allowed core"));
  if (at_once > hardware.allowed_cpus) {
    return {text + fmt::format("; threads will share cores: train.shard_threads={} is as many as there are",
                               std::max(1, hardware.allowed_cpus)),
            CheckStatus::warning};
  }
  return {text};
}

/// "4 ranks on 2 hosts (node1: 2, node2: 2), 8 cores each, over mpi".
Finding check_ranks(const Communicator& communicator, const Hardware& hardware) {
  if (communicator.size() == 1) return {"one process"};
  std::vector<std::pair<std::string, int>> hosts;
  for (int rank = 0; rank < communicator.size(); ++rank) {
    if (hosts.empty() || hosts.back().first != communicator.host(rank)) hosts.emplace_back(communicator.host(rank), 0);
    ++hosts.back().second;
  }
  std::string text;
  for (const auto& [host, count] : hosts) text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", host, count);
  return {fmt::format("{} ({}), {} for rank 0, over {}", plural(communicator.size(), "rank"), text,
                      plural(hardware.first_rank_cores, "core"), communicator.backend())};
}

/// Runs the checks in order; each leaves what the later ones need.
class Preflight {
 public:
  Preflight(const CheckOptions& options, const Hardware& hardware, Communicator& communicator)
      : options_(options), hardware_(hardware), communicator_(communicator) {}

  std::vector<CheckLine> run(const std::string& path, std::span<const std::string> overrides) {
    check("recipe", true, [&] {
      recipe_ = read_recipe(path, overrides);
      as_asked_ = resolved_text(*recipe_);
      return Finding{fmt::format("{}: name {}", path, recipe_->name)};
    });
    check_data();
    check_device();
    check_network();
    check("threads", sizing_.has_value(), [&] { return check_threads(*sizing_, hardware_); });
    check("disk", recipe_.has_value(), [&] {
      if (communicator_.rank() != 0) return Finding{"rank 0 writes"};
      return check_disk(*recipe_, as_asked_, run_folder(), memory_ ? memory_->state + memory_->optimizer : 0);
    });
    check("ranks", true, [&] { return check_ranks(communicator_, hardware_); });
    if (options_.deep) {
      for (CheckLine& line : check_deeply(deep_subject(), hardware_, communicator_)) lines_.push_back(std::move(line));
    }
    return std::move(lines_);
  }

 private:
  template <typename Check>
  void check(const char* what, bool possible, Check&& body) {
    if (!possible) {
      lines_.push_back({CheckStatus::skipped, what, "not checked: depends on what failed above", ExitCode::done});
      return;
    }
    try {
      const Finding finding = body();
      lines_.push_back({finding.status, what, finding.text, ExitCode::done});
    } catch (const Error& error) {
      lines_.push_back({CheckStatus::failed, what, error.what(), error.code()});
    }
  }

  void check_data() {
    check("data", recipe_.has_value(), [&] {
      data_ = open_data(*recipe_);
      return describe_data(*data_);
    });
    if (options_.deep) check("images", data_.has_value(), [&] { return read_all(*data_); });
    // Without the files the network can still be checked against what the data set is by definition.
    if (data_) {
      info_ = data_->train->info();
      samples_ = data_->train_size();
    } else if (recipe_) {
      try {
        info_ = describe_dataset(recipe_->data.set.name, recipe_->data.set.attributes);
        if (info_) samples_ = std::max<std::int64_t>(1, info_->train_size - recipe_->data.validation);
      } catch (const Error&) {
        info_.reset();
      }
    }
  }

  void check_device() {
    check("device", recipe_.has_value(), [&] {
      want_device(*recipe_);
      const Backend& backend = backend_for(recipe_->device);
      return Finding{fmt::format("{} ({}), {}, {}, own kernels for {}", backend.name(), backend.versions(),
                                 recipe_->train.precision, hardware_.cpu_model, hardware_.isa)};
    });
    // The other checks are still worth something on the device that is always there.
    if (lines_.back().status != CheckStatus::failed) return;
    recipe_->device = "cpu";
    recipe_->train.precision = "fp32";
  }

  void check_network() {
    check("batch", recipe_.has_value() && info_.has_value(), [&] {
      sizing_ = size_run(*recipe_, samples_, hardware_, communicator_);
      return Finding{fmt::format("{} in {} of {}, {} an epoch", plural(recipe_->train.batch, "image"),
                                 plural(sizing_->shards, "shard"), recipe_->train.batch / sizing_->shards,
                                 plural(sizing_->steps_per_epoch, "step"))};
    });
    check("model", sizing_.has_value(), [&] {
      model_ = model_of(*recipe_);
      plans_ = make_plans(*recipe_, model_, *info_, *sizing_);
      const FlopsPerImage flops = flops_per_image(plans_->training, recipe_->train.batch / sizing_->shards);
      return Finding{fmt::format("{}: {} parameters, {} FLOPs an image forward", model_.title(),
                                 count_text(plans_->training.graph.parameter_count()), flops_text(flops.forward))};
    });
    check("memory", plans_.has_value(), [&] {
      memory_ = plan_run_memory(*recipe_, *info_, *sizing_, *plans_, communicator_);
      check_memory(*recipe_, model_, *info_, *sizing_, *plans_, hardware_, communicator_);
      const bool is_device = backend_for(recipe_->device).device_memory_bytes().has_value();
      return Finding{fmt::format("{} of {} available", bytes_text(is_device ? memory_->device() : memory_->total()),
                                 bytes_text(available_bytes(backend_for(recipe_->device), hardware_, communicator_)))};
    });
  }

  fs::path run_folder() const {
    return options_.run.empty() && recipe_ ? default_run_folder(recipe_->name) : options_.run;
  }

  DeepSubject deep_subject() const {
    DeepSubject subject{.data = data_ ? &*data_ : nullptr, .run = run_folder(), .memory = memory_};
    if (sizing_) subject.threads = static_cast<int>(sizing_->lanes * sizing_->shard_threads);
    if (plans_) subject.checkpoint_bytes = checkpoint_bytes(*plans_);
    if (recipe_) subject.backend = &backend_for(recipe_->device);
    return subject;
  }

  CheckOptions options_;
  Hardware hardware_;
  Communicator& communicator_;
  std::optional<Recipe> recipe_;
  std::string as_asked_;
  std::optional<RunData> data_;
  std::optional<DatasetInfo> info_;
  std::int64_t samples_ = 0;
  std::optional<Sizing> sizing_;
  ModelSpec model_;
  std::optional<Plans> plans_;
  std::optional<MemoryPlan> memory_;
  std::vector<CheckLine> lines_;
};

}  // namespace

namespace {

/// A line as one text to gather: "2 5 memory\tneeds …".
std::string packed(const CheckLine& line) {
  return fmt::format("{} {} {}\t{}", static_cast<int>(line.status), static_cast<int>(line.code), line.what, line.text);
}

CheckLine unpacked(const std::string& text) {
  CheckLine line;
  const std::size_t tab = text.find('\t');
  std::istringstream head(text.substr(0, tab));
  int status = 0, code = 0;
  head >> status >> code >> line.what;
  line.status = static_cast<CheckStatus>(status);
  line.code = static_cast<ExitCode>(code);
  line.text = text.substr(tab + 1);
  return line;
}

/// How much it matters: a failure most, then what could not be checked, then a warning.
int weight_of(CheckStatus status) {
  constexpr int kWeights[] = {0, 1, 3, 2};
  return kWeights[static_cast<std::size_t>(status)];
}

/// Of one check on all ranks: the worst, of equally bad ones the first.
CheckLine worst(Communicator& communicator, const CheckLine& own) {
  const std::vector<std::string> texts = gather_texts(communicator, packed(own), "check");
  CheckLine found = unpacked(texts[0]);
  for (std::size_t rank = 1; rank < texts.size(); ++rank) {
    CheckLine other = unpacked(texts[rank]);
    if (weight_of(other.status) <= weight_of(found.status)) continue;
    other.text = fmt::format("{}: {}", communicator.name_of(static_cast<int>(rank)), other.text);
    found = std::move(other);
  }
  return found;
}

}  // namespace

std::vector<CheckLine> check_recipe(const std::string& path, std::span<const std::string> overrides,
                                    const CheckOptions& options, Communicator& communicator) {
  Hardware hardware = probe_hardware();
  share_cores(hardware, communicator);
  std::vector<CheckLine> lines = Preflight(options, hardware, communicator).run(path, overrides);
  for (CheckLine& line : lines) line = worst(communicator, line);
  return lines;
}

ExitCode exit_code_of(const std::vector<CheckLine>& lines) {
  for (const CheckLine& line : lines) {
    if (line.status == CheckStatus::failed) return line.code;
  }
  return ExitCode::done;
}

std::string text_of(const CheckLine& line) {
  constexpr const char* kStatus[] = {"ok", "warn", "FAIL", "--"};
  std::string text = fmt::format("{:<5} {:<8} ", kStatus[static_cast<std::size_t>(line.status)], line.what);
  const std::string indent(text.size(), ' ');
  for (const char c : line.text) {
    text += c;
    if (c == '\n') text += indent;
  }
  return text + '\n';
}

}  // namespace athanor
