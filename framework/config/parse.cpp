// From YAML text to located nodes, with yaml-cpp's event interface: its own tree drops duplicate keys silently.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <unordered_map>

#include "base/error.h"
#include "base/tilde.h"
#include "config/document.h"
#include "config/text_checks.h"

namespace athanor {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/// Ends the parse; the problem has been noted.
struct Stop {};

class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(std::string_view text, const std::string& file, Problems& problems)
      : text_(text), file_(file), problems_(problems) {}

  YamlNode take_root() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (started_) stop(place(mark), "a second document starts here; keep one recipe in a file and remove the '---'");
    started_ = true;
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse_anchor(mark, anchor);
    YamlNode node;
    node.place = place(mark);
    attach(std::move(node));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    stop(place(mark),
         "aliases (*name) are not supported; write the value out, or put a text that begins with * in quotes");
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    YamlNode node = scalar_node(value);
    node.quoted = tag == "!";
    node.place = place(mark);
    // yaml-cpp takes a quote that is still open at the end of the file for a closed one when a line break comes last.
    if (node.quoted && !closes_quote(text_, static_cast<std::size_t>(mark.pos))) {
      stop(node.place, "the quote that opens here is never closed");
    }
    attach(std::move(node));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override {
    open(sequence_node(), mark, tag, anchor, style);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {
    open(mapping_node(), mark, tag, anchor, style);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

 private:
  /// A list or mapping that is being read, with the key that waits for its value.
  struct Frame {
    YamlNode node;
    bool has_key = false;
    std::string key;
    Location key_place;
    std::unordered_map<std::string, int> lines;  // of the keys so far
  };

  [[noreturn]] void stop(Location at, std::string message) {
    problems_.add(std::move(at), std::move(message));
    throw Stop{};
  }

  Location place(const YAML::Mark& mark) const { return {file_, mark.line + 1, mark.column + 1}; }

  void refuse_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor == YAML::NullAnchor) return;
    stop(place(mark), "anchors (&name) are not supported; write the value out where it is used");
  }

  void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "!" || tag == "?") return;
    stop(place(mark), fmt::format("tags ({}) are not supported; remove it, or put the text in quotes", tag));
  }

  void open(YamlNode node, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
            YAML::EmitterStyle::value style) {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    node.place = place(mark);
    const bool waits_for_key = !stack_.empty() && stack_.back().node.is_mapping() && !stack_.back().has_key;
    if (waits_for_key)
      stop(node.place, "a list or mapping stands where a key is wanted; put a text with braces in quotes");
    if (stack_.size() == kMaxDepth) stop(node.place, fmt::format("nested more than {} deep; flatten it", kMaxDepth));
    // A section that starts on the next line is best named by its key.
    const bool block = style == YAML::EmitterStyle::Block;
    if (block && !stack_.empty() && stack_.back().has_key) node.place = stack_.back().key_place;
    stack_.push_back({std::move(node), false, {}, {}, {}});
  }

  void close() {
    YamlNode node = std::move(stack_.back().node);
    stack_.pop_back();
    attach(std::move(node));
  }

  void attach(YamlNode node) {
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& parent = stack_.back();
    if (parent.node.is_sequence()) {
      parent.node.items.push_back(std::move(node));
    } else if (!parent.has_key) {
      if (node.is_null()) stop(node.place, "a key is missing in front of ':'");
      parent.has_key = true;
      parent.key = std::move(node.text);
      parent.key_place = std::move(node.place);
    } else {
      add_entry(parent, std::move(node));
    }
  }

  void add_entry(Frame& parent, YamlNode value) {
    parent.has_key = false;
    if (value.is_null()) value.place = parent.key_place;
    const auto [first, fresh] = parent.lines.try_emplace(parent.key, parent.key_place.line);
    if (!fresh) {
      problems_.add(parent.key_place, fmt::format("'{}' is given twice, first in line {}; remove one of them",
                                                  parent.key, first->second));
      return;
    }
    parent.node.entries.push_back({std::move(parent.key), std::move(parent.key_place), std::move(value)});
  }

  std::string_view text_;
  const std::string& file_;
  Problems& problems_;
  std::vector<Frame> stack_;
  YamlNode root_;
  bool started_ = false;
};

/// What to do about a message of yaml-cpp.
std::string advice(const std::string& message) {
  const auto says = [&](const char* part) { return message.find(part) != std::string::npos; };
  if (says("flow not found")) return "is a ']', a '}' or a ',' missing here or above?";
  if (says("end of map") || says("end of sequence"))
    return "does this line begin in the same column as its neighbours?";
  if (says("illegal map value")) return "is there a ': ' inside a text? put the text in quotes";
  if (says("EOF in scalar")) return "is a closing quote missing?";
  if (says("escape")) return "use single quotes for a text with backslashes";
  return "check the indentation, quotes and brackets near here";
}

std::string working_directory() {
  std::error_code ignored;
  return std::filesystem::current_path(ignored).string();
}

}  // namespace

std::optional<YamlNode> parse_yaml(std::string_view text, std::string file, Problems& problems) {
  if (text.size() > kMaxBytes) {
    problems.add({file, 0, 0}, fmt::format("is larger than {} bytes; is it a recipe?", kMaxBytes));
    return std::nullopt;
  }
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  if (!check_text(text, file, problems)) return std::nullopt;
  TreeBuilder builder(text, file, problems);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Stop&) {
    return std::nullopt;
  } catch (const YAML::Exception& error) {
    const bool unknown = error.mark.is_null();
    problems.add({file, unknown ? 1 : error.mark.line + 1, unknown ? 1 : error.mark.column + 1},
                 fmt::format("is not valid YAML: {}; {}", error.msg, advice(error.msg)));
    return std::nullopt;
  }
  YamlNode root = builder.take_root();
  if (root.place.line == 0) root.place = {file, 1, 1};
  return root;
}

YamlNode parse_yaml(std::string_view text, std::string file) {
  Problems problems;
  std::optional<YamlNode> root = parse_yaml(text, std::move(file), problems);
  problems.throw_if_any();
  ATHANOR_CHECK(root.has_value(), "neither a tree nor a problem");
  return std::move(*root);
}

std::optional<YamlNode> load_yaml(const std::string& path, Problems& problems) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    throw UsageError("cannot read {}: it is a folder; name the recipe file in it", path);
  }
  errno = 0;
  std::ifstream stream(path, std::ios::binary);
  if (!stream) {
    throw UsageError("cannot read {}: {}; check the path (the working directory is {}){}", path, std::strerror(errno),
                     working_directory(), tilde_hint(path));
  }
  std::string text(kMaxBytes + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad()) throw UsageError("cannot read {}: {}", path, std::strerror(errno));
  text.resize(static_cast<std::size_t>(stream.gcount()));
  return parse_yaml(text, path, problems);
}

YamlNode load_yaml(const std::string& path) {
  Problems problems;
  std::optional<YamlNode> root = load_yaml(path, problems);
  problems.throw_if_any();
  ATHANOR_CHECK(root.has_value(), "neither a tree nor a problem");
  return std::move(*root);
}

}  // namespace athanor
