#include "base/failure.h"

#include <exception>
#include <filesystem>
#include <new>

namespace athanor {

Failure current_failure() {
  try {
    throw;
  } catch (const Error& error) {
    return {error.code(), error.what()};
  } catch (const std::bad_alloc&) {
    return {ExitCode::device, "out of memory; use a smaller batch"};
  } catch (const std::filesystem::filesystem_error& error) {
    return {ExitCode::storage, error.what()};
  } catch (const std::exception& error) {
    // Threads that cannot be started, primitives that cannot be made: the machine does not give what the run needs.
    return {ExitCode::device, fmt::format("{}; does this process have enough memory and threads?", error.what())};
  }
}

}  // namespace athanor
