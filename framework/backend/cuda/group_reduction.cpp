#include "backend/cuda/group_reduction.h"

#include <algorithm>

#include "base/error.h"

namespace athanor::cuda {
namespace {

/// Below this many bytes a message between GPUs costs more by being one than by its length.
constexpr std::int64_t kSmallBytes = 64 << 10;

static_assert(sizeof(RankReport) % sizeof(std::int32_t) == 0, "reports travel as whole numbers");
constexpr std::size_t kReportWords = sizeof(RankReport) / sizeof(std::int32_t);

/// On the device: when the step began and when its gradients were ready, and what follows from that.
struct Clocks {
  std::int64_t start_ns = 0;
  std::int64_t ready_ns = 0;
  float compute_s = 0;
  float exposed_s = 0;
};

std::size_t bytes_of(std::int64_t elements) {
  return static_cast<std::size_t>(elements) * sizeof(float);
}

std::int64_t longest_bucket(const Plan& plan) {
  std::int64_t longest = 0;
  for (const ReduceStep& step : plan.reduce) longest = std::max(longest, step.range.elements());
  return longest;
}

TreeMessages messages_of(const Plan& plan, int rank, int ranks) {
  return {plan.shards, rank, ranks, kSmallBytes / static_cast<std::int64_t>(sizeof(float))};
}

std::size_t scratch_bytes(const Plan& plan, const TreeMessages& messages, const DeviceReductionOptions& options) {
  const std::int64_t longest = longest_bucket(plan);
  if (options.mode == ReductionMode::tree) return bytes_of(messages.scratch_elements(longest));
  return options.wire == DType::f32 ? 0 : static_cast<std::size_t>(longest) * size_of(options.wire);
}

/// Of a slot in pinned memory: the own report, everybody's, seconds exposed.
std::size_t slot_bytes(int ranks) {
  return static_cast<std::size_t>(ranks + 1) * sizeof(RankReport) + sizeof(float);
}

WatchdogOptions with_timeout(WatchdogOptions watchdog, double timeout_s) {
  watchdog.timeout_s = timeout_s;
  return watchdog;
}

std::vector<DeviceEvent> make_events(Device& device, std::size_t count) {
  std::vector<DeviceEvent> events;
  for (std::size_t i = 0; i < count; ++i) events.emplace_back(device);
  return events;
}

}  // namespace

std::size_t GroupReduction::memory_bytes(const Plan& plan, int rank, int ranks, const DeviceReductionOptions& options) {
  return scratch_bytes(plan, messages_of(plan, rank, ranks), options) +
         static_cast<std::size_t>(ranks) * sizeof(RankReport) + sizeof(Clocks) + sizeof(std::int64_t);
}

GroupReduction::GroupReduction(Device& device, std::unique_ptr<DeviceGroup> group, Communicator& communicator,
                               const Plan& plan, const DeviceReductionOptions& options, WatchdogOptions watchdog)
    : device_(device),
      communicator_(communicator),
      plan_(plan),
      options_(options),
      group_(std::move(group)),
      messages_(messages_of(plan, communicator.rank(), communicator.size())),
      rounds_(plan.reduce.size()),
      scratch_(device, MemoryKind::communication, scratch_bytes(plan, messages_, options)),
      reports_(device, MemoryKind::communication, static_cast<std::size_t>(communicator.size()) * sizeof(RankReport)),
      clocks_(device, MemoryKind::device, sizeof(Clocks)),
      words_(device, MemoryKind::pinned, kReductionSlots * slot_bytes(communicator.size())),
      opened_(device),
      closed_(device),
      ready_(make_events(device, plan.reduce.size())),
      done_(make_events(device, plan.reduce.size())),
      board_(device, plan.reduce.size() + 1),
      watchdog_(
          *group_, board_, communicator,
          with_timeout(std::move(watchdog), options.timeout_s > 0 ? options.timeout_s : communicator.timeout_s())) {
  std::fill_n(words_.data(), words_.bytes(), std::byte{0});
  if (options_.mode == ReductionMode::tree) {
    for (std::size_t i = 0; i < rounds_.size(); ++i) messages_.all_reduce(plan.reduce[i].range, rounds_[i]);
  }
  step_bytes_ = bytes_of_step();
}

GroupReduction::~GroupReduction() = default;

void GroupReduction::bind(std::vector<float*> pieces) {
  ATHANOR_CHECK(pieces.size() == own_pieces().size());
  pieces_ = std::move(pieces);
}

bool GroupReduction::is_parameters(std::size_t bucket) const {
  return plan_.reduce[bucket].range.begin < static_cast<std::int64_t>(plan_.parameter_elements);
}

float* GroupReduction::at(TreeOperand operand) const {
  float* const arena =
      operand.piece == TreeOperand::kScratch ? scratch_.as<float>() : pieces_[static_cast<std::size_t>(operand.piece)];
  return arena + operand.begin;
}

GroupReduction::SlotWords GroupReduction::words(int slot) const {
  ATHANOR_CHECK(0 <= slot && slot < kReductionSlots);
  std::byte* const begin = words_.data() + static_cast<std::size_t>(slot) * slot_bytes(communicator_.size());
  auto* const own = reinterpret_cast<RankReport*>(begin);
  return {.own = own, .all = own + 1, .exposed_s = reinterpret_cast<float*>(own + 1 + communicator_.size())};
}

void GroupReduction::begin_step(const RankReport& report, int slot) {
  *words(slot).own = report;
  watchdog_.set_step(step_, ++sequence_);
  if (options_.timeout_s <= 0) watchdog_.set_timeout(communicator_.timeout_s());
}

void GroupReduction::open(int) {
  launch(device_, kernels::cuda::StampTime{.now = &clocks_.as<Clocks>()->start_ns}, Stream::compute);
  device_.record(opened_.get(), Stream::compute);
  device_.wait(Stream::communication, opened_.get());
  board_.enqueue_step(Stream::communication);
}

void GroupReduction::enqueue(std::size_t bucket) {
  if (bucket + 1 == plan_.reduce.size()) {
    Clocks* const clocks = clocks_.as<Clocks>();
    launch(
        device_,
        kernels::cuda::StampTime{.since = &clocks->start_ns, .elapsed = &clocks->compute_s, .now = &clocks->ready_ns},
        Stream::compute);
  }
  device_.record(ready_[bucket].get(), Stream::compute);
  device_.wait(Stream::communication, ready_[bucket].get());
  board_.enqueue_begin(bucket, Stream::communication);
  if (options_.mode == ReductionMode::tree) {
    reduce_along_tree(bucket);
  } else {
    reduce_by_library(bucket);
  }
  board_.enqueue_end(bucket, Stream::communication);
  device_.record(done_[bucket].get(), Stream::communication);
}

void GroupReduction::wait(std::size_t bucket) {
  device_.wait(Stream::compute, done_[bucket].get());
}

void GroupReduction::exchange(const TreeRounds::Round& round) {
  if (round.sends.empty() && round.receives.empty()) return;
  group_->begin();
  for (const TreeMessage& message : round.sends) {
    group_->send(at(message.data), bytes_of(message.count), message.peer, Stream::communication);
  }
  for (const TreeMessage& message : round.receives) {
    group_->receive(at(message.data), bytes_of(message.count), message.peer, Stream::communication);
  }
  group_->end();
}

void GroupReduction::reduce_along_tree(std::size_t bucket) {
  const TreeRounds& rounds = rounds_[bucket];
  for (std::size_t i = 0; i < rounds.size(); ++i) {
    const TreeRounds::Round round = rounds.at(i);
    exchange(round);
    for (const TreeAddition& addition : round.additions) {
      launch(device_,
             kernels::cuda::TreeAdd{.left = at(addition.left),
                                    .right = at(addition.right),
                                    .target = at(addition.target),
                                    .count = addition.count},
             Stream::communication);
    }
  }
}

void GroupReduction::reduce_by_library(std::size_t bucket) {
  const ArenaRange range = plan_.reduce[bucket].range;
  const std::int64_t count = range.elements();
  if (count == 0) return;
  float* const sum = pieces_[0] + range.begin;
  for (std::size_t piece = 1; piece < pieces_.size(); ++piece) {
    launch(device_,
           kernels::cuda::TreeAdd{.left = sum, .right = pieces_[piece] + range.begin, .target = sum, .count = count},
           Stream::communication);
  }
  const DType wire = is_parameters(bucket) ? options_.wire : DType::f32;
  const auto elements = static_cast<std::size_t>(count);
  if (wire == DType::f32) {
    group_->all_reduce(sum, elements, DType::f32, Stream::communication);
    return;
  }
  void* const packed = scratch_.data();
  launch(device_, kernels::cuda::Cast{.from = DType::f32, .to = wire, .x = sum, .y = packed, .count = count},
         Stream::communication);
  group_->all_reduce(packed, elements, wire, Stream::communication);
  launch(device_, kernels::cuda::Cast{.from = wire, .to = DType::f32, .x = packed, .y = sum, .count = count},
         Stream::communication);
}

/// A sum of whole numbers to which every other rank adds zeros: one short collective whatever the number of ranks.
void GroupReduction::exchange_reports(int slot) {
  const auto ranks = static_cast<std::size_t>(communicator_.size()),
             rank = static_cast<std::size_t>(communicator_.rank());
  auto* const all = reports_.as<RankReport>();
  const SlotWords host = words(slot);
  Clocks* const clocks = clocks_.as<Clocks>();
  launch(device_, kernels::cuda::StampTime{.since = &clocks->ready_ns, .elapsed = &clocks->exposed_s},
         Stream::communication);
  device_.copy(host.exposed_s, &clocks->exposed_s, sizeof(float), Stream::communication);
  device_.fill_zero(all, ranks * sizeof(RankReport), Stream::communication);
  device_.copy(all + rank, host.own, sizeof(RankReport), Stream::communication);
  device_.copy(&all[rank].compute_s, &clocks->compute_s, sizeof(float), Stream::communication);
  group_->all_reduce(all, ranks * kReportWords, DType::i32, Stream::communication);
  device_.copy(host.all, all, ranks * sizeof(RankReport), Stream::communication);
}

void GroupReduction::close(int slot) {
  const std::size_t item = board_.items() - 1;
  board_.enqueue_begin(item, Stream::communication);
  exchange_reports(slot);
  board_.enqueue_end(item, Stream::communication);
  device_.record(closed_.get(), Stream::communication);
  device_.wait(Stream::compute, closed_.get());
}

std::span<const RankReport> GroupReduction::reports(int slot) const {
  return {words(slot).all, static_cast<std::size_t>(communicator_.size())};
}

double GroupReduction::exposed_s(int slot) const {
  return *words(slot).exposed_s;
}

std::int64_t GroupReduction::bytes_of_step() const {
  std::size_t bytes = 0;
  const auto ranks = static_cast<std::size_t>(communicator_.size());
  for (std::size_t bucket = 0; bucket < plan_.reduce.size(); ++bucket) {
    const DType wire = is_parameters(bucket) ? options_.wire : DType::f32;
    if (options_.mode == ReductionMode::library) {
      bytes +=
          static_cast<std::size_t>(plan_.reduce[bucket].range.elements()) * size_of(wire) * 2 * (ranks - 1) / ranks;
      continue;
    }
    for (std::size_t i = 0; i < rounds_[bucket].size(); ++i) {
      for (const TreeMessage& message : rounds_[bucket].at(i).sends) bytes += bytes_of(message.count);
    }
  }
  return static_cast<std::int64_t>(bytes);
}

}  // namespace athanor::cuda
