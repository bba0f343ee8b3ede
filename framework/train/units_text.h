// Numbers as people read them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace athanor {

/// "269,722".
std::string count_text(std::int64_t count);
/// "1 step", "4,680 steps"; `many` where an s is not enough: "2 batches".
std::string plural(std::int64_t count, std::string_view one, std::string_view many = "");
/// "2.3026"; "1.234e+30" for what would be long, "not finite" for NaN and infinities.
std::string number_text(double value);
/// "512 B", "1.2 MB", "3.4 GB": powers of 1000.
std::string bytes_text(std::uint64_t bytes);
/// "0.8 s", "42 s", "3 min 20 s", "2 h 05 min"; "?" for what is not finite or negative.
std::string duration_text(double seconds);
/// "81.4 M", "2.1 G": a count of operations, powers of 1000.
std::string flops_text(double flops);

}  // namespace athanor
