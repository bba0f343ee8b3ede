// Every message survives the wire; nothing that is not exactly a frame does.
#include "watch/frames.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/watch/picture.h"

namespace athanor::watch {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes frame_of(const Message& message) {
  Bytes bytes;
  append_frame(message, bytes);
  return bytes;
}

std::optional<Message> read(std::span<const std::uint8_t> frame) {
  if (frame.size() < kHeaderBytes) return std::nullopt;
  const Header header = read_header(frame.first(kHeaderBytes));
  return read_message(header, frame.subspan(kHeaderBytes));
}

Beat sample_beat() {
  Beat beat;
  beat.sent_ns = 123456789;
  beat.activity.phase = Phase::evaluating;
  beat.activity.step = 57;
  beat.activity.progress = 900;
  beat.activity.progress_ns = 123450000;
  beat.activity.newest = testing::call("gradients", 57, true);
  beat.activity.times = {56, 1.5, 1.0, 0.25, 0.125};
  beat.round_trip_s = 0.0002;
  beat.threads = 4;
  beat.shards = 2;
  return beat;
}

std::vector<Message> samples() {
  Hello hello;
  hello.key = random_key();
  hello.rank = 3;
  hello.world_size = 8;
  hello.pid = 4711;
  hello.host = "node3";
  hello.cpus = "0-3,8-11";
  RunAbout about{"fashion", "/runs/fashion", 700, 70, 512, 8, 35, 12.5};
  RunNews news{57, 29184, 1, 0.5, 0.1, 12345.5, 0.91, 50, 0.01, 0.2, 1};
  Rings rings;
  rings.now_ns = 5000;
  rings.ring = {testing::call("agree", 56, false, 4), testing::call("gradients", 57, true)};
  rings.stacks = "thread 4711";
  return {hello,
          sample_beat(),
          About{about},
          News{news},
          rings,
          Welcome{"node0"},
          Pulse{123456789, 30},
          Stop{},
          Gather{true},
          End{6, "rank 2 on node3 is lost"},
          Note{"rank 2 on node3 is silent"},
          GoodBye{75, "stopped on request"}};
}

TEST(Frames, EveryMessageSurvivesTheWire) {
  const std::vector<Message> messages = samples();
  EXPECT_EQ(messages.size(), std::variant_size_v<Message>);
  for (const Message& message : messages) {
    const Bytes bytes = frame_of(message);
    const auto got = read(bytes);
    ASSERT_TRUE(got) << message.index();
    EXPECT_EQ(got->index(), message.index());
    // The bytes hold every field: equal bytes are equal messages.
    EXPECT_EQ(frame_of(*got), bytes) << message.index();
  }
}

TEST(Frames, TheFieldsOfABeatAreWhatWasSent) {
  const auto got = read(frame_of(sample_beat()));
  ASSERT_TRUE(got);
  const Beat& beat = std::get<Beat>(*got);
  EXPECT_EQ(beat.activity.phase, Phase::evaluating);
  EXPECT_EQ(beat.activity.step, 57);
  EXPECT_STREQ(beat.activity.newest.name.data(), "gradients");
  EXPECT_EQ(beat.activity.newest.sequence, 57U);
  EXPECT_EQ(beat.activity.times.data_wait_s, 0.25);
  EXPECT_EQ(beat.shards, 2);
}

TEST(Frames, EveryCutAndEveryFlippedBitIsRefused) {
  for (const Message& message : samples()) {
    const Bytes bytes = frame_of(message);
    for (std::size_t length = 0; length < bytes.size(); ++length) {
      EXPECT_FALSE(read(std::span(bytes).first(length))) << message.index() << " cut to " << length;
    }
    for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
      Bytes flipped = bytes;
      flipped[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
      EXPECT_FALSE(read(flipped)) << message.index() << " with bit " << bit << " flipped";
    }
    Bytes longer = bytes;
    longer.push_back(0);
    EXPECT_FALSE(read(longer)) << message.index();
  }
}

/// A frame of this type around any body, with the checksum that it wants: what only the body's own checks refuse.
Bytes forged(std::uint8_t type, const Bytes& body) {
  Bytes frame = frame_of(Stop{});
  frame.resize(kHeaderBytes);
  const auto length = static_cast<std::uint32_t>(body.size());
  std::memcpy(&frame[8], &length, 4);
  frame[5] = type;
  const std::uint32_t checksum = frame_checksum(type, body);
  std::memcpy(&frame[12], &checksum, 4);
  frame.insert(frame.end(), body.begin(), body.end());
  return frame;
}

TEST(Frames, BodiesThatLieAboutTheirLengthsAreRefused) {
  const auto body_of = [](const Message& message) {
    const Bytes frame = frame_of(message);
    return Bytes(frame.begin() + kHeaderBytes, frame.end());
  };
  const auto type_of = [](const Message& message) { return static_cast<std::uint8_t>(message.index()); };
  for (const Message& message : samples()) {
    const Bytes body = body_of(message);
    ASSERT_TRUE(read(forged(type_of(message), body)));
    for (std::size_t length = 0; length < body.size(); ++length) {
      EXPECT_FALSE(read(forged(type_of(message), Bytes(body.begin(), body.begin() + static_cast<long>(length)))));
    }
    // Any four bytes as a length of 4 billion: read as far as there is something, or refused, never beyond.
    for (std::size_t at = 0; at + 4 <= body.size(); ++at) {
      Bytes lying = body;
      std::fill_n(lying.begin() + static_cast<long>(at), 4, 0xff);
      read(forged(type_of(message), lying));
    }
  }
  Note note{"text"};
  Bytes lying = body_of(note);
  lying[0] = 200;
  EXPECT_FALSE(read(forged(type_of(note), lying)));
  Bytes many = body_of(Rings{});
  many[8] = Activity::kRing + 1;
  EXPECT_FALSE(read(forged(type_of(Rings{}), many)));
}

TEST(Frames, ValuesThatMeanNothingAreRefused) {
  Beat beat = sample_beat();
  beat.activity.times.step_s = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(read(frame_of(beat))) << "is compared with others";
  beat = sample_beat();
  beat.activity.phase = static_cast<Phase>(17);
  EXPECT_FALSE(read(frame_of(beat)));
  EXPECT_TRUE(read(frame_of(News{RunNews{.loss = std::numeric_limits<double>::infinity()}}))) << "a loss may diverge";
}

TEST(Frames, HeadersOfOtherProtocolsAndOversizedBodiesAreToldApart) {
  Bytes frame = frame_of(Stop{});
  const std::uint32_t length = kMostBodyBytes + 1;
  std::memcpy(&frame[8], &length, 4);
  EXPECT_EQ(read_header(std::span(frame).first(kHeaderBytes)).fault, HeaderFault::oversized);
  const std::string http = "GET / HTTP/1.1\r\n";
  const Bytes request(http.begin(), http.end());
  EXPECT_EQ(read_header(request).fault, HeaderFault::malformed);
}

TEST(Frames, TextsThatAreTooLongAreCut) {
  const auto got = read(frame_of(End{6, std::string(200000, 'x')}));
  ASSERT_TRUE(got);
  EXPECT_GT(std::get<End>(*got).text.size(), 10000U);
  EXPECT_LE(std::get<End>(*got).text.size(), kMostBodyBytes);
}

TEST(Invitations, SurviveTheEnvironment) {
  Invitation invitation;
  invitation.key = random_key();
  invitation.port = 40123;
  invitation.addresses = {"10.0.0.1", "192.168.7.3"};
  invitation.by_supervisor = true;
  const std::string text = to_text(invitation);
  EXPECT_EQ(text.find_first_of(" ,;=\"'$"), std::string::npos) << text;
  const Invitation got = invitation_from(text);
  EXPECT_TRUE(is_same(got.key, invitation.key));
  EXPECT_EQ(got.port, invitation.port);
  EXPECT_EQ(got.addresses, invitation.addresses);
  EXPECT_TRUE(got.by_supervisor);
}

TEST(Invitations, AnythingElseIsAUsageErrorThatDoesNotQuoteTheKey) {
  Invitation invitation;
  invitation.key = random_key();
  invitation.port = 40123;
  invitation.addresses = {"10.0.0.1"};
  const std::string text = to_text(invitation);
  for (std::size_t length = 0; length < text.size(); ++length) {
    // A shorter last number is an address too.
    if (length > text.rfind('.') + 1 || length == text.size()) continue;
    EXPECT_THROW(invitation_from(text.substr(0, length)), UsageError) << length;
  }
  try {
    invitation_from(text + "x");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_EQ(std::string(error.what()).find(text.substr(9, 16)), std::string::npos);
  }
}

TEST(Invitations, KeysAreNeverTheSame) {
  EXPECT_FALSE(is_same(random_key(), random_key()));
}

}  // namespace
}  // namespace athanor::watch
