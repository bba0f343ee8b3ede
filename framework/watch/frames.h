// What ranks and the heartbeat service say to each other, as frames on a TCP connection. A frame is a header of 16
// bytes (magic, version, type, two zeros, length of the body, checksum of type, length and body) and a body. Nothing
// that comes in is believed before it was checked: a frame that is not exactly what its type says is malformed.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "watch/heartbeat_service.h"
#include "watch/job_picture.h"

namespace athanor::watch {

constexpr std::size_t kHeaderBytes = 16;
constexpr std::size_t kMostBodyBytes = 64 * 1024;
/// Of a caller that has not said who it is yet.
constexpr std::size_t kMostHelloBytes = 2048;

// From a rank.

struct Hello {
  Key key{};
  std::int32_t rank = -1, world_size = 0;
  std::int64_t pid = 0;
  std::string host;
  std::string cpus;
};

struct Beat {
  std::int64_t sent_ns = 0;  ///< the rank's steady clock
  ActivitySnapshot activity;
  double round_trip_s = 0;  ///< median of the newest; 0: none yet
  std::int32_t threads = 0, shards = 0;
};

struct About {
  RunAbout about;
};

struct News {
  RunNews news;
};

/// Answer to Gather.
struct Rings {
  std::int64_t now_ns = 0;
  std::vector<Collective> ring;
  std::string stacks;
};

// From the service.

/// The caller is let in.
struct Welcome {
  std::string host;  ///< that the service runs on
};

/// Answer to a beat.
struct Pulse {
  std::int64_t sent_ns = 0;  ///< that beat's
  double watchdog_timeout_s = 0;
};

/// Stop and save.
struct Stop {};

struct Gather {
  bool with_stacks = false;
};

struct End {
  std::int32_t code = 0;
  std::string text;
};

/// For rank 0's log.
struct Note {
  std::string text;
};

// From both.

struct GoodBye {
  std::int32_t code = 0;
  std::string words;
};

/// The types on the wire are the places in this list: new ones go to the end.
using Message = std::variant<Hello, Beat, About, News, Rings, Welcome, Pulse, Stop, Gather, End, Note, GoodBye>;

/// Appends the frame to `out`; texts that are too long are cut.
void append_frame(const Message& message, std::vector<std::uint8_t>& out);
void append_frame(const Beat& beat, std::vector<std::uint8_t>& out);
void append_frame(const Pulse& pulse, std::vector<std::uint8_t>& out);

enum class HeaderFault : std::uint8_t { none, malformed, oversized };
struct Header {
  std::uint8_t type = 0;
  std::uint32_t length = 0;  ///< of the body
  std::uint32_t checksum = 0;
  HeaderFault fault = HeaderFault::none;
};
/// What a header says of type, length and body: damage is found, forgery is the key's matter.
std::uint32_t frame_checksum(std::uint8_t type, std::span<const std::uint8_t> body);
/// `bytes` are kHeaderBytes.
Header read_header(std::span<const std::uint8_t> bytes);
/// The message of a header and its whole body; none: malformed.
std::optional<Message> read_message(const Header& header, std::span<const std::uint8_t> body);

}  // namespace athanor::watch
