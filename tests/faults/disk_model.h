// A disk that loses power. It takes the events of a trace and keeps apart what is safe (a file's writes up to its
// fsync, names up to the fsync of the folder) and what is not: of that, any part may be lost, whatever its order.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "faults/saver.h"

namespace athanor::faults {

class DiskModel {
 public:
  /// A file that was there before, safely.
  void add(const std::string& name, std::string bytes);
  void apply(const Event& event);

  /// How many writes and changes of names a power loss could take now.
  std::size_t unsafe_count() const;
  /// What a power loss leaves: `survives(i)` says which of the unsafe ones, in the order in which they were made, it
  /// spares. `grown`: files have the length that lost writes would have given them, and zeros there.
  /// By name, bytes.
  std::map<std::string, std::string> after_power_loss(const std::function<bool(std::size_t)>& survives,
                                                      bool grown) const;

 private:
  struct Operation {
    enum Kind { write, truncate, link, rename, unlink } kind;
    std::size_t file;  // index in the order of creation
    std::uint64_t offset = 0;
    std::string bytes;  // of a write; else the name
    std::string old_name;
    bool safe = false;
  };

  void change_name(Operation operation);

  std::vector<Operation> operations_;
  std::map<std::string, std::size_t> names_;  // as the running program sees them
  std::map<std::uint32_t, std::size_t> open_;
  std::size_t files_ = 0;
};

}  // namespace athanor::faults
