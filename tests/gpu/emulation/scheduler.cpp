#include "gpu/emulation/scheduler.h"

#include <algorithm>
#include <chrono>
#include <exception>

#include "base/error.h"

namespace athanor::testing {
namespace {

using namespace std::chrono_literals;

/// Without any progress for so long a host that waits gives up: streams wait for each other.
constexpr auto kStuck = 60s;
/// How long the host may be silent before its work begins.
constexpr auto kIdle = 300us;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::size_t index_of(cuda::Stream stream) {
  return static_cast<std::size_t>(stream);
}

}  // namespace

Scheduler::Scheduler(std::uint64_t seed) : random_(seed), thread_([this] { run(); }) {}

Scheduler::~Scheduler() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
  for (EmulatedEvent* event : events_) delete event;
}

void Scheduler::check_alive(const char* call) const {
  if (!failure_.empty()) throw DeviceError("{}: an earlier call failed: {}", call, failure_);
}

void Scheduler::check_known(const EmulatedEvent* event) const {
  if (!events_.contains(const_cast<EmulatedEvent*>(event))) throw DeviceError("an event that does not exist");
}

void Scheduler::refuse_during_capture(const char* call) {
  const std::lock_guard lock(mutex_);
  check_alive(call);
  if (capture_) throw DeviceError("{} while a stream is being captured", call);
}

std::optional<std::set<std::size_t>>* Scheduler::tail_of(cuda::Stream stream) {
  return capture_ ? &capture_->tails[index_of(stream)] : nullptr;
}

void Scheduler::push(cuda::Stream stream, Item item) {
  streams_[index_of(stream)].push_back(std::move(item));
  ++pending_;
  ++enqueued_;
  changed_.notify_one();
}

void Scheduler::enqueue(cuda::Stream stream, Work work) {
  const std::lock_guard lock(mutex_);
  check_alive(work.name.c_str());
  if (auto* tail = tail_of(stream); tail != nullptr && tail->has_value()) {
    capture_->graph->nodes.push_back({std::move(work), **tail});
    *tail = {capture_->graph->nodes.size() - 1};
    return;
  }
  push(stream, {.kind = Item::Kind::work, .work = std::move(work)});
}

EmulatedEvent* Scheduler::make_event(bool timed) {
  const std::lock_guard lock(mutex_);
  auto* event = new EmulatedEvent;
  event->is_timed = timed;
  events_.insert(event);
  return event;
}

void Scheduler::release(EmulatedEvent* event) {
  std::unique_lock lock(mutex_);
  if (event == nullptr) return;
  check_known(event);
  // CUDA keeps what still refers to the event; here it is forgotten when nothing does.
  if (failure_.empty()) {
    wait_until(lock, [&] { return event->completed >= event->recorded || event->capture != 0; });
    const auto refers = [event](const Item& item) { return item.event == event; };
    wait_until(lock, [&] {
      return std::none_of(std::begin(streams_), std::end(streams_),
                          [&](const auto& queue) { return std::any_of(queue.begin(), queue.end(), refers); });
    });
  }
  events_.erase(event);
  delete event;
}

void Scheduler::record(EmulatedEvent* event, cuda::Stream stream) {
  const std::lock_guard lock(mutex_);
  check_alive("record");
  check_known(event);
  if (auto* tail = tail_of(stream); tail != nullptr && tail->has_value()) {
    event->capture = capture_->id;
    event->captured_after = **tail;
    return;
  }
  event->capture = 0;
  push(stream, {.kind = Item::Kind::record, .event = event, .count = ++event->recorded});
}

void Scheduler::wait(cuda::Stream stream, EmulatedEvent* event) {
  const std::lock_guard lock(mutex_);
  check_alive("wait");
  check_known(event);
  auto* tail = tail_of(stream);
  if (event->capture != 0) {
    if (!capture_ || event->capture != capture_->id) throw DeviceError("wait: the event was recorded in a capture");
    if (!tail->has_value()) *tail = std::set<std::size_t>{};
    (*tail)->insert(event->captured_after.begin(), event->captured_after.end());
    return;
  }
  if (tail != nullptr && tail->has_value()) {
    throw DeviceError("wait: a stream that is captured waits for an event from outside");
  }
  if (event->recorded > 0) push(stream, {.kind = Item::Kind::wait, .event = event, .count = event->recorded});
}

bool Scheduler::is_done(EmulatedEvent* event) {
  refuse_during_capture("is_done");
  const std::lock_guard lock(mutex_);
  check_known(event);
  if (event->capture != 0) throw DeviceError("is_done: the event was recorded in a capture");
  changed_.notify_one();
  return event->completed >= event->recorded;
}

void Scheduler::wait_until(std::unique_lock<std::mutex>& lock, const std::function<bool()>& is_reached) {
  ++hurry_;
  changed_.notify_one();
  std::uint64_t seen = executed_;
  while (!is_reached() && failure_.empty()) {
    const bool moved = progressed_.wait_for(lock, kStuck) == std::cv_status::no_timeout;
    if (!moved && executed_ == seen && !is_reached()) {
      failure_ = "nothing moves: " + describe();
      break;
    }
    seen = executed_;
  }
  --hurry_;
}

void Scheduler::synchronize(EmulatedEvent* event) {
  refuse_during_capture("synchronize");
  std::unique_lock lock(mutex_);
  check_known(event);
  if (event->capture != 0) throw DeviceError("synchronize: the event was recorded in a capture");
  const std::uint64_t wanted = event->recorded;
  wait_until(lock, [&] { return event->completed >= wanted; });
  check_alive("synchronize");
}

void Scheduler::synchronize() {
  refuse_during_capture("synchronize");
  std::unique_lock lock(mutex_);
  wait_until(lock, [&] { return pending_ == 0; });
  check_alive("synchronize");
}

double Scheduler::seconds_between(EmulatedEvent* start, EmulatedEvent* end) {
  synchronize(end);
  const std::lock_guard lock(mutex_);
  check_known(start);
  if (!start->is_timed || !end->is_timed) throw DeviceError("seconds_between: an event without time");
  return end->completed_at - start->completed_at;
}

void Scheduler::begin_capture(cuda::Stream stream) {
  refuse_during_capture("begin_capture");
  const std::lock_guard lock(mutex_);
  capture_.emplace();
  capture_->id = ++captures_;
  capture_->origin = stream;
  capture_->graph = std::make_shared<WorkGraph>();
  capture_->tails[index_of(stream)].emplace();
}

std::shared_ptr<WorkGraph> Scheduler::end_capture(cuda::Stream stream) {
  const std::lock_guard lock(mutex_);
  check_alive("end_capture");
  if (!capture_ || capture_->origin != stream) throw DeviceError("end_capture: the capture began elsewhere");
  const Capture capture = std::move(*capture_);
  capture_.reset();
  const auto& nodes = capture.graph->nodes;
  std::set<std::size_t> joined;
  std::vector<std::size_t> next(capture.tails[index_of(stream)]->begin(), capture.tails[index_of(stream)]->end());
  while (!next.empty()) {
    const std::size_t node = next.back();
    next.pop_back();
    if (joined.insert(node).second) next.insert(next.end(), nodes[node].after.begin(), nodes[node].after.end());
  }
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (!joined.contains(i)) throw DeviceError("end_capture: the stream was not joined behind {}", nodes[i].work.name);
    for (const std::size_t before : nodes[i].after) capture.graph->nodes[before].before.push_back(i);
  }
  return capture.graph;
}

void Scheduler::launch(std::shared_ptr<WorkGraph> graph, cuda::Stream stream) {
  refuse_during_capture("launch of a graph");
  const std::lock_guard lock(mutex_);
  Item item{.kind = Item::Kind::graph};
  item.left = graph->nodes.size();
  for (std::size_t n = 0; n < graph->nodes.size(); ++n) {
    item.missing.push_back(graph->nodes[n].after.size());
    if (item.missing.back() == 0) item.ready.push_back(n);
  }
  item.graph = std::move(graph);
  push(stream, std::move(item));
}

std::uint64_t Scheduler::executed() const {
  const std::lock_guard lock(mutex_);
  return executed_;
}

bool Scheduler::is_due() const {
  return hurry_ > 0 || pending_ >= burst_;
}

/// Takes off what costs no time: records, waits that are over, graphs that are done. Returns whether there was any.
bool Scheduler::settle() {
  bool any = false, again = true;
  while (again) {
    again = false;
    for (auto& queue : streams_) {
      if (queue.empty()) continue;
      Item& item = queue.front();
      using Kind = Item::Kind;
      const bool is_over = item.kind == Kind::record ||
                           (item.kind == Kind::wait && item.event->completed >= item.count) ||
                           (item.kind == Kind::graph && item.left == 0);
      if (!is_over && failure_.empty()) continue;
      if (item.kind == Kind::record) {
        item.event->completed = item.count;
        item.event->completed_at = now();
      }
      if (item.kind == Kind::graph) item.graph->is_running = false;
      queue.pop_front();
      --pending_;
      any = again = true;
    }
  }
  return any;
}

std::vector<Scheduler::Choice> Scheduler::choices() const {
  std::vector<Choice> found;
  for (std::size_t s = 0; s < cuda::kStreams; ++s) {
    if (streams_[s].empty()) continue;
    const Item& item = streams_[s].front();
    if (item.kind == Item::Kind::work) found.push_back({s});
    if (item.kind != Item::Kind::graph) continue;
    if (item.graph->is_running && !item.has_begun) continue;
    for (const std::size_t node : item.ready) found.push_back({s, node});
  }
  return found;
}

/// Now any, now only the favoured stream's as long as it has work: a stream that is far ahead or far behind shows what
/// uniform draws do not.
Scheduler::Choice Scheduler::pick(const std::vector<Choice>& from) {
  if (until_new_favourites_ == 0) {
    std::shuffle(std::begin(favourites_), std::end(favourites_), random_);
    is_strict_ = draw(2) == 0;
    until_new_favourites_ = 1 + draw(draw(2) == 0 ? 100 : 5000);
  }
  --until_new_favourites_;
  if (!is_strict_ && draw(4) == 0) return from[draw(from.size())];
  std::vector<Choice> best;
  for (const std::size_t stream : favourites_) {
    for (const Choice& choice : from) {
      if (choice.stream == stream) best.push_back(choice);
    }
    if (!best.empty()) break;
  }
  // Within a graph the branches take the place of streams: its first ready node or its last, or any.
  const std::uint64_t place = until_new_favourites_ % 3;
  return place == 0 ? best.front() : place == 1 ? best.back() : best[draw(best.size())];
}

bool Scheduler::attempt(std::unique_lock<std::mutex>& lock, const Choice& choice) {
  Item& item = streams_[choice.stream].front();
  if (item.graph) item.graph->is_running = item.has_begun = true;
  Work& work = choice.node ? item.graph->nodes[*choice.node].work : item.work;
  bool is_done = true;
  std::string failure;
  // The host only appends: what stands in front stays where it is.
  lock.unlock();
  try {
    is_done = work.attempt();
  } catch (const std::exception& error) {
    failure = work.name + ": " + error.what();
  }
  lock.lock();
  if (!failure.empty() && failure_.empty()) failure_ = failure;
  return is_done;
}

void Scheduler::finish(const Choice& choice) {
  Item& item = streams_[choice.stream].front();
  ++executed_;
  if (choice.node) {
    std::erase(item.ready, *choice.node);
    --item.left;
    for (const std::size_t next : item.graph->nodes[*choice.node].before) {
      if (--item.missing[next] == 0) item.ready.push_back(next);
    }
  } else {
    streams_[choice.stream].pop_front();
    --pending_;
  }
}

void Scheduler::run() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    const std::uint64_t seen = enqueued_;
    if (pending_ == 0) {
      changed_.wait(lock);
      burst_ = 1 + draw(draw(2) == 0 ? 8 : 512);
    } else if (!is_due()) {
      changed_.wait_for(lock, kIdle);
    }
    // A host that goes on enqueueing is left to run ahead.
    if (stop_ || pending_ == 0 || (!is_due() && enqueued_ != seen)) continue;
    burst_ = 1 + draw(draw(2) == 0 ? 8 : 512);
    for (std::uint64_t quota = 1 + draw(64); quota > 0 && !stop_; --quota) {
      if (settle()) progressed_.notify_all();
      std::vector<Choice> ready = choices();
      bool is_blocked = true;
      while (!ready.empty() && is_blocked) {
        const Choice choice = pick(ready);
        if (attempt(lock, choice)) {
          finish(choice);
          is_blocked = false;
        }
        std::erase_if(ready, [&](const Choice& c) { return c.stream == choice.stream && c.node == choice.node; });
      }
      if (settle() || !is_blocked) progressed_.notify_all();
      if (is_blocked) {
        if (pending_ > 0) changed_.wait_for(lock, 50us);
        break;
      }
    }
  }
}

std::string Scheduler::describe() const {
  std::string text;
  for (std::size_t s = 0; s < cuda::kStreams; ++s) {
    const auto& queue = streams_[s];
    text += fmt::format("stream {} has {} items", s, queue.size());
    if (!queue.empty()) {
      const Item& item = queue.front();
      const char* const kinds[] = {"work", "a graph", "a record", "a wait"};
      text += fmt::format(", first {} {}", kinds[static_cast<int>(item.kind)], item.work.name);
    }
    text += "; ";
  }
  return text;
}

}  // namespace athanor::testing
