// What the heartbeat service does on its thread: keeps the picture up to date with what the ranks say, has it judged,
// and ends the job. Everything but the copies of the picture happens on that thread.
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

#include "watch/caller_gate.h"
#include "watch/frame_channel.h"
#include "watch/judge.h"
#include "watch/rank_history.h"

namespace athanor::watch {

class ServiceCore : public FrameChannel::Owner {
 public:
  ServiceCore(boost::asio::io_context& context, const ServiceOptions& options,
              std::function<void(const Event&)> on_event);

  void begin();
  JobPicture picture() const;  ///< any thread
  std::uint16_t port() const { return gate_.port(); }
  const Key& key() const { return key_; }

  /// Whether no more ranks have to call.
  bool are_all_here() const { return joined_ == options_.world_size; }
  std::uint64_t beats() const { return beats_.load(std::memory_order_relaxed); }  ///< any thread

  void request_stop();
  void end_job(ExitCode code, const std::string& why);
  void say_good_bye();
  /// Whether all that was said is on its way.
  bool is_sent() const;

  void on_message(FrameChannel& channel, Message& message) override;
  void on_end(FrameChannel& channel, ChannelEnd how) override;

 private:
  struct Peer {
    std::shared_ptr<FrameChannel> channel;
    double beat_s = 0;  ///< when its newest beat came, on this process's clock
    std::uint32_t beats = 0;
    double progress_s = 0;  ///< when a beat last said that it got on
    RankHistory history;
  };
  enum class Ending : std::uint8_t { no, failed, gathering, told };

  bool admit(const std::shared_ptr<FrameChannel>& channel, const Hello& hello);
  void on_beat(std::size_t rank, FrameChannel& channel, const Beat& beat);
  void on_good_bye(std::size_t rank, const GoodBye& good_bye);
  void look();
  void schedule_look(double seconds);
  void update_ages(double now_s);
  void act_on(const Finding& finding);
  void lose(std::size_t rank, ChannelEnd how);
  void begin_end(const Finding& finding);
  void count_answer(std::size_t rank);
  void finish_gathering();
  void report_and_end(const std::string& sentence);
  void tell_end(int code, const std::string& text);
  void after(boost::asio::steady_timer& timer, double seconds, void (ServiceCore::*act)());
  void failed_for_long();
  void send_note(const std::string& text);
  void event(EventKind kind, const std::vector<int>& ranks, const std::string& text);

  const ServiceOptions options_;
  const std::function<void(const Event&)> on_event_;
  const Key key_;
  const std::uint32_t answer_every_;  ///< beats of a rank
  CallerGate gate_;
  boost::asio::steady_timer look_timer_;
  boost::asio::steady_timer end_timer_;
  std::vector<Peer> peers_;
  Judge judge_;
  double look_due_s_ = 0;
  std::atomic<std::uint64_t> beats_{0};
  int joined_ = 0;
  bool has_stepped_ = false;
  bool stop_requested_ = false;

  Ending ending_ = Ending::no;
  EventKind end_kind_ = EventKind::lost;
  std::vector<int> culprits_;
  End end_;  ///< what all are told, or will be
  bool is_failure_told_ = false;
  std::vector<std::optional<Rings>> gathered_;  ///< by rank
  std::vector<bool> is_asked_;                  ///< by rank: has yet to answer
  std::size_t answers_missing_ = 0;

  mutable std::mutex mutex_;  ///< of the picture
  JobPicture picture_;
};

}  // namespace athanor::watch
