#include "launcher/supervisor/status_file.h"

#include <unistd.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/host_name.h"
#include "launcher/supervisor/status_json.h"

namespace athanor {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uintmax_t kMostBytes = std::uintmax_t{64} << 20;

}  // namespace

bool write_status_file(const std::filesystem::path& run_folder, const JobStatus& status) {
  Json json{
      {"written_unix_s", std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count()},
      {"supervisor", {{"host", host_name()}, {"pid", ::getpid()}}}};
  json.update(to_json(status));
  try {
    // A message may quote a file name that is no UTF-8.
    write_atomically(run_folder / "status.json", json.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n');
  } catch (const StorageError&) {
    return false;
  }
  return true;
}

std::optional<StatusFile> read_status_file(const std::filesystem::path& run_folder) {
  const std::filesystem::path file = run_folder / "status.json";
  std::error_code error;
  const std::uintmax_t bytes = std::filesystem::file_size(file, error);
  if (error) return std::nullopt;
  if (bytes > kMostBytes) throw DataError("{} is no job's status: it has {} bytes", file.string(), bytes);
  std::ifstream in(file, std::ios::binary);
  const Json json = Json::parse(in, nullptr, false);
  if (!json.is_object()) throw DataError("{} is no job's status: it is not JSON", file.string());
  StatusFile result;
  try {
    result.status = job_status_from(json);
    result.written_unix_s = json.value("written_unix_s", 0.0);
    const Json supervisor = json.value("supervisor", Json::object());
    result.host = supervisor.value("host", "");
    result.pid = supervisor.value("pid", std::int64_t{0});
  } catch (const std::exception& wrong) {
    throw DataError("{} is no job's status: {}", file.string(), wrong.what());
  }
  return result;
}

}  // namespace athanor
