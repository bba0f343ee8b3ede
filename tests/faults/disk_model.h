// A disk that loses power. It takes the events of a trace and keeps apart what is safe (a file's writes up to its
// fsync, names up to the fsync of the folder) and what is not: of that, any part may be lost, whatever its order.
#pragma once

#include <cstdint>
#include <filesystem>
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
  /// A power loss: which of the unsafe ones it spares, in the order in which they were made.
  struct Loss {
    std::vector<bool> survives;
    bool grown = false;  ///< files have the length that lost writes would have given them, and zeros there
  };
  /// What it leaves: bytes by name.
  std::map<std::string, std::string> after(const Loss& loss) const;
  /// Equal where what is left is made of the same operations; much cheaper than what is left.
  std::string signature_after(const Loss& loss) const;

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
  /// Of each operation, whether it is lost.
  std::vector<bool> lost_by(const Loss& loss) const;
  std::map<std::string, std::size_t> names_after(const std::vector<bool>& lost) const;

  std::vector<Operation> operations_;
  std::map<std::string, std::size_t> names_;  // as the running program sees them
  std::map<std::uint32_t, std::size_t> open_;
  std::size_t files_ = 0;
};

}  // namespace athanor::faults
