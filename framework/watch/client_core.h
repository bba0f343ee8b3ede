// What a rank's end of the heartbeats does on its thread: calls the service, sends beats, hears, and draws the
// conclusions that only this rank can draw. Nothing here waits for a disk or for another thread's work.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "watch/frame_channel.h"
#include "watch/heartbeat_client.h"
#include "watch/service_call.h"

namespace athanor::watch {

class ClientCore : public FrameChannel::Owner {
 public:
  ClientCore(boost::asio::io_context& context, const Invitation& invitation, const ClientOptions& options,
             const Activity& activity);

  // Any thread.
  std::optional<Failure> verdict() const;
  bool is_told_to_all() const { return is_told_to_all_.load(std::memory_order_acquire); }
  double watchdog_timeout_s() const { return watchdog_s_.load(std::memory_order_relaxed); }
  void set_news(const RunNews& news);
  void set_outcome(const Failure& outcome);
  void keep_silent() { is_silent_.store(true, std::memory_order_release); }

  // The client's thread.
  void begin();
  /// `done` is called when the service has answered, or has not in connect_time_s.
  void on_called(std::function<void()> done);
  void set_about(const RunAbout& about);
  void set_crew(int threads, int shards);
  void on_stop(std::function<void()> stop);
  void on_note(std::function<void(const std::string&)> note);
  /// `done` is called when it is sent, or cannot be.
  void say_good_bye(std::function<void()> done);

  void on_message(FrameChannel& channel, Message& message) override;
  void on_end(FrameChannel& channel, ChannelEnd how) override;

 private:
  enum class Line : std::uint8_t { calling, joined, over };

  void join(std::shared_ptr<FrameChannel> channel, const Welcome& welcome);
  void tick();
  void send_beat();
  void send_rings(bool with_stacks);
  void watch_service(double now_s);
  void measure_round_trip(const Pulse& pulse);
  void go_unanswered(bool is_last);
  void go_without(const std::string& why);
  void decide(const Failure& failure, bool told_to_all);
  void end_process();
  void note(const std::string& text);
  std::string own_name() const;
  std::string service_name() const;

  const Invitation invitation_;
  const ClientOptions options_;
  const Activity& activity_;
  boost::asio::steady_timer tick_timer_;
  ServiceCall call_;
  std::shared_ptr<FrameChannel> channel_;
  Line line_ = Line::calling;
  std::string service_host_;
  bool said_unanswered_ = false;

  double tick_due_s_ = 0;
  double beat_due_s_ = 0;
  std::int64_t step_told_ = 0;
  double heard_s_ = 0;          ///< when the service last said anything
  std::uint64_t progress_ = 0;  ///< of the activity, as last seen
  double progress_s_ = 0;       ///< when it was last seen to have grown
  bool said_unheard_ = false;
  std::vector<double> round_trips_s_;  ///< a ring of the newest
  std::size_t next_round_trip_ = 0;
  double round_trip_s_ = 0;

  int threads_ = 0, shards_ = 0;
  std::optional<RunAbout> about_;
  bool is_stop_asked_ = false;
  std::function<void()> stop_;
  std::function<void(const std::string&)> note_;
  std::vector<std::string> early_notes_;
  std::function<void()> called_;   ///< to be called when it is known whether the service answers at once
  std::function<void()> leaving_;  ///< to be called when a good-bye that waits for the connection is sent
  double end_due_s_ = 0;           ///< when this process is ended from here; 0: no verdict

  std::atomic<double> watchdog_s_{0};  ///< as the service last said
  std::atomic<bool> is_silent_{false};
  std::atomic<bool> has_verdict_{false};
  std::atomic<bool> is_told_to_all_{false};
  mutable std::mutex mutex_;  ///< of what follows
  Failure verdict_;
  Failure outcome_;
  std::optional<RunNews> news_;
};

}  // namespace athanor::watch
