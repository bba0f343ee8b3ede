#include "watch/frames.h"

#include <xxhash.h>

#include <cstring>
#include <type_traits>

#include "watch/wire.h"

namespace athanor::watch {
namespace {

constexpr std::uint32_t kMagic = 0x42485441;  ///< "ATHB"
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kNameLength = 255, kCpusLength = 1024, kPathLength = 4096;
constexpr std::size_t kTextLength = 40 * 1024;

template <class Wire>
void fields(Collective& call, Wire& wire) {
  wire.block(call.name);
  wire.value(call.group);
  wire.value(call.sequence);
  wire.value(call.bytes);
  wire.value(call.begun_ns);
  wire.value(call.ended_ns);
}

template <class Wire>
void fields(Hello& hello, Wire& wire) {
  wire.block(hello.key);
  wire.value(hello.rank);
  wire.value(hello.world_size);
  wire.value(hello.pid);
  wire.text(hello.host, kNameLength);
  wire.text(hello.cpus, kCpusLength);
}

template <class Wire>
void fields(Beat& beat, Wire& wire) {
  wire.value(beat.sent_ns);
  ActivitySnapshot& activity = beat.activity;
  wire.choice(activity.phase, Phase::ending);
  wire.value(activity.step);
  wire.value(activity.progress);
  wire.value(activity.progress_ns);
  fields(activity.newest, wire);
  wire.value(activity.times.steps);
  wire.measure(activity.times.step_s);
  wire.measure(activity.times.compute_s);
  wire.measure(activity.times.data_wait_s);
  wire.measure(activity.times.comm_wait_s);
  wire.measure(beat.round_trip_s);
  wire.value(beat.threads);
  wire.value(beat.shards);
}

template <class Wire>
void fields(About& message, Wire& wire) {
  RunAbout& about = message.about;
  wire.text(about.name, kNameLength);
  wire.text(about.run_folder, kPathLength);
  wire.value(about.total_steps);
  wire.value(about.steps_per_epoch);
  wire.value(about.batch);
  wire.value(about.shards);
  wire.value(about.checkpoint_every_steps);
  wire.measure(about.watchdog_timeout_s);
}

/// A loss may well be infinite.
template <class Wire>
void fields(News& message, Wire& wire) {
  RunNews& news = message.news;
  wire.value(news.step);
  wire.value(news.samples);
  wire.value(news.epoch);
  wire.value(news.loss);
  wire.value(news.lr);
  wire.value(news.images_per_s);
  wire.value(news.accuracy);
  wire.value(news.checkpoint_step);
  wire.value(news.checkpoint_stall_s);
  wire.value(news.checkpoint_write_s);
  wire.value(news.failed_saves);
}

template <class Wire>
void fields(Rings& rings, Wire& wire) {
  wire.value(rings.now_ns);
  wire.list(rings.ring, Activity::kRing, [](Collective& call, auto& each) { fields(call, each); });
  wire.text(rings.stacks, kTextLength);
}

template <class Wire>
void fields(Welcome& welcome, Wire& wire) {
  wire.text(welcome.host, kNameLength);
}

template <class Wire>
void fields(Pulse& pulse, Wire& wire) {
  wire.value(pulse.sent_ns);
  wire.measure(pulse.watchdog_timeout_s);
}

template <class Wire>
void fields(Stop&, Wire&) {}

template <class Wire>
void fields(Gather& gather, Wire& wire) {
  wire.flag(gather.with_stacks);
}

template <class Wire>
void fields(End& end, Wire& wire) {
  wire.value(end.code);
  wire.text(end.text, kTextLength);
}

template <class Wire>
void fields(Note& note, Wire& wire) {
  wire.text(note.text, kTextLength);
}

template <class Wire>
void fields(GoodBye& good_bye, Wire& wire) {
  wire.value(good_bye.code);
  wire.text(good_bye.words, kTextLength);
}

template <std::size_t kType>
std::optional<Message> read_body(std::span<const std::uint8_t> body) {
  std::variant_alternative_t<kType, Message> message;
  WireReader wire(body);
  fields(message, wire);
  if (!wire.is_whole()) return std::nullopt;
  return message;
}

template <std::size_t... kTypes>
std::optional<Message> read_type(std::size_t type, std::span<const std::uint8_t> body, std::index_sequence<kTypes...>) {
  using Read = std::optional<Message> (*)(std::span<const std::uint8_t>);
  static constexpr Read kReaders[] = {&read_body<kTypes>...};
  return type < sizeof...(kTypes) ? kReaders[type](body) : std::nullopt;
}

template <typename T>
void append(std::uint8_t type, const T& message, std::vector<std::uint8_t>& out) {
  const std::size_t start = out.size();
  out.resize(start + kHeaderBytes);
  WireWriter wire(out);
  fields(const_cast<T&>(message), wire);
  const std::span<const std::uint8_t> body = std::span(out).subspan(start + kHeaderBytes);
  const auto length = static_cast<std::uint32_t>(body.size());
  const std::uint32_t checksum = frame_checksum(type, body);
  std::uint8_t* const header = out.data() + start;
  std::memcpy(header, &kMagic, 4);
  header[4] = kVersion;
  header[5] = type;
  std::memcpy(header + 8, &length, 4);
  std::memcpy(header + 12, &checksum, 4);
}

template <typename T>
constexpr std::uint8_t type_of() {
  return static_cast<std::uint8_t>(Message(T{}).index());
}

}  // namespace

std::uint32_t frame_checksum(std::uint8_t type, std::span<const std::uint8_t> body) {
  const std::uint64_t seed = std::uint64_t{type} << 32 | body.size();
  return static_cast<std::uint32_t>(XXH3_64bits_withSeed(body.data(), body.size(), seed));
}

void append_frame(const Message& message, std::vector<std::uint8_t>& out) {
  std::visit([&](const auto& value) { append(static_cast<std::uint8_t>(message.index()), value, out); }, message);
}

void append_frame(const Beat& beat, std::vector<std::uint8_t>& out) {
  append(type_of<Beat>(), beat, out);
}

void append_frame(const Pulse& pulse, std::vector<std::uint8_t>& out) {
  append(type_of<Pulse>(), pulse, out);
}

Header read_header(std::span<const std::uint8_t> bytes) {
  Header header;
  std::uint32_t magic = 0;
  std::memcpy(&magic, bytes.data(), 4);
  header.type = bytes[5];
  std::memcpy(&header.length, &bytes[8], 4);
  std::memcpy(&header.checksum, &bytes[12], 4);
  if (magic != kMagic || bytes[4] != kVersion || bytes[6] != 0 || bytes[7] != 0 ||
      header.type >= std::variant_size_v<Message>) {
    header.fault = HeaderFault::malformed;
  } else if (header.length > kMostBodyBytes) {
    header.fault = HeaderFault::oversized;
  }
  return header;
}

std::optional<Message> read_message(const Header& header, std::span<const std::uint8_t> body) {
  if (header.fault != HeaderFault::none || body.size() != header.length) return std::nullopt;
  if (frame_checksum(header.type, body) != header.checksum) return std::nullopt;
  return read_type(header.type, body, std::make_index_sequence<std::variant_size_v<Message>>());
}

}  // namespace athanor::watch
