#include "preflight/data_on_hosts.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "train/hardware.h"
#include "train/units_text.h"

namespace athanor {
namespace {

struct ReadFile {
  std::string name, bytes, hash, path;
  std::string content() const { return name + ' ' + bytes + ' ' + hash; }
};

std::vector<ReadFile> files_in(const std::string& text) {
  std::vector<ReadFile> files;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    ReadFile& file = files.emplace_back();
    for (std::string* field : {&file.name, &file.bytes, &file.hash, &file.path}) std::getline(words, *field, '\t');
  }
  return files;
}

/// Without the paths, which may differ.
std::string content_of(const std::string& text) {
  std::string content;
  for (const ReadFile& file : files_in(text)) content += file.content() + '\n';
  return content;
}

/// "FILE has 12 bytes, hash ab…, and on node1 13 bytes, hash cd…".
std::string first_difference(const std::string& mine, const std::string& theirs, const std::string& their_host) {
  const std::vector<ReadFile> own = files_in(mine), other = files_in(theirs);
  for (const ReadFile& file : own) {
    const auto same = std::find_if(other.begin(), other.end(), [&](const ReadFile& f) { return f.name == file.name; });
    if (same == other.end()) return fmt::format("{} is not there on {}", file.path, their_host);
    if (same->content() == file.content()) continue;
    constexpr std::size_t kEnough = 12;
    return fmt::format("{} ({} bytes, hash {}…) differs from {} of {} ({} bytes, hash {}…)", file.path, file.bytes,
                       file.hash.substr(0, kEnough), same->path, their_host, same->bytes,
                       same->hash.substr(0, kEnough));
  }
  for (const ReadFile& file : other) {
    const auto same = std::find_if(own.begin(), own.end(), [&](const ReadFile& f) { return f.name == file.name; });
    if (same == own.end()) return fmt::format("{} of {} is not there", file.path, their_host);
  }
  return "";
}

}  // namespace

std::string text_of_files(const std::vector<SourceFile>& files, const std::string& fingerprint) {
  std::string text;
  for (const SourceFile& file : files) {
    text += fmt::format("{}\t{}\t{}\t{}\n", file.name(), file.bytes, file.content_hash, file.path);
  }
  return text.empty() ? fmt::format("-\t0\t{}\t-\n", fingerprint) : text;
}

Finding judge_data(std::span<const std::string> texts, std::span<const std::string> hosts) {
  std::vector<std::string> contents;
  std::map<std::string, int> votes;
  for (const std::string& text : texts) {
    if (text.empty()) return {"not compared: a rank could not open its data", CheckStatus::skipped};
    ++votes[contents.emplace_back(content_of(text))];
  }
  std::size_t model = 0;
  for (std::size_t rank = 1; rank < contents.size(); ++rank) {
    if (votes[contents[rank]] > votes[contents[model]]) model = rank;
  }
  std::vector<int> others;
  for (std::size_t rank = 0; rank < contents.size(); ++rank) {
    if (contents[rank] != contents[model]) others.push_back(static_cast<int>(rank));
  }
  if (others.empty()) {
    const std::vector<ReadFile> files = files_in(texts[0]);
    const bool made = files.size() == 1 && files[0].path == "-";
    return {made ? "made by a procedure, which is the same on all ranks"
                 : fmt::format("{}, read whole: the same content (XXH3-128) on {}",
                               plural(static_cast<std::int64_t>(files.size()), "file"),
                               texts.size() == 1 ? "the one rank there is"
                                                 : "all " + plural(static_cast<std::int64_t>(texts.size()), "rank"))};
  }
  const auto first = static_cast<std::size_t>(others[0]);
  return {fmt::format("on {} ({} {}) {}: copy the right one there, say with `rsync --checksum`", hosts[first],
                      others.size() == 1 ? "rank" : "ranks", cpu_list_text(others),
                      first_difference(texts[first], texts[model], hosts[model])),
          CheckStatus::failed, ExitCode::data};
}

}  // namespace athanor
