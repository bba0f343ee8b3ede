#include "train/recipe.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "base/error.h"
#include "config/field_value.h"
#include "config/override_keys.h"
#include "config/overrides.h"

namespace athanor {
namespace {

const Schema& section_schema(std::string_view name) {
  const Schema* schema = find_schema("section", name);
  ATHANOR_CHECK(schema != nullptr, "no schema of section '{}'", name);
  return *schema;
}

constexpr std::size_t kLongestRunName = 200;

bool is_plain(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
}

bool is_run_name(std::string_view name) {
  return !name.empty() && name.size() <= kLongestRunName && std::isalnum(static_cast<unsigned char>(name.front())) &&
         std::all_of(name.begin(), name.end(), is_plain);
}

/// Reads the sections of one file, in the order of the resolved recipe.
class RecipeReader {
 public:
  RecipeReader(Recipe& recipe, Problems& problems, bool has_model)
      : recipe_(recipe), problems_(problems), has_model_(has_model) {}

  void read(const std::string& file) {
    read_root(file);
    read_data();
    read_model();
    recipe_.loss = named("loss", "cross_entropy");
    recipe_.resolved.set("loss", to_node(recipe_.loss));
    read_train();
    read_optimizer();
    recipe_.schedule = named("schedule", "constant");
    recipe_.resolved.set("schedule", to_node(recipe_.schedule));
    const Values ema = section("ema");
    recipe_.ema = {.decay = ema.get_or(0.0, "decay"), .warmup = ema.flag("warmup")};
    read_eval();
    read_checkpoint();
    read_comm();
    recipe_.cuda.graph = section("cuda").flag("graph");
    recipe_.cuda.overlap = section("cuda").flag("overlap");
    recipe_.resolved.set("device", scalar_node(recipe_.device));
  }

 private:
  /// Values of a section that may lack faulty ones; the problems are thrown before anyone sees the substitute.
  struct Values {
    Attributes attributes;
    template <typename T>
    T get_or(T substitute, std::string_view name) const {
      const AttributeValue* value = attributes.find(name);
      return value == nullptr ? substitute : std::get<T>(*value);
    }
    std::int64_t integer(std::string_view name) const { return get_or<std::int64_t>(0, name); }
    bool flag(std::string_view name) const { return get_or<bool>(false, name); }
    std::string text(std::string_view name) const { return get_or<std::string>("", name); }
  };

  /// The section, or an empty one in the place where it would stand.
  YamlNode source(std::string_view name) const {
    if (const YamlNode* given = recipe_.source.find(name)) return *given;
    YamlNode nothing;
    nothing.place = recipe_.source.place;
    return nothing;
  }

  Values section(std::string_view name) {
    const Values values{validate(source(name), section_schema(name), name, problems_)};
    recipe_.resolved.set(name, to_node(values.attributes));
    return values;
  }

  NamedSettings named(std::string_view kind, std::string_view fallback,
                      const std::vector<std::string>& other_keys = {}) {
    YamlNode given = source(kind);
    if (given.is_null() && !fallback.empty()) given = scalar_node(std::string(fallback));
    return validate_named(given, kind, kind, problems_, {}, other_keys);
  }

  void read_root(const std::string& file) {
    const std::vector<std::string> sections = {"name",      "data",     "model", "loss", "train",
                                               "optimizer", "schedule", "ema",   "eval", "checkpoint",
                                               "comm",      "watchdog", "cuda"};
    ValidateOptions options{.other_keys = sections};
    // A key that is well known but stands outside its section: "epochs" is "train.epochs".
    options.hint = [](const std::string& key) -> std::string {
      const std::optional<std::string> meant = override_key_meant(key);
      return meant && meant->ends_with("." + key) ? fmt::format("; did you mean {}?", *meant) : "";
    };
    const Values values{validate(recipe_.source, section_schema("recipe"), "", problems_, options)};
    read_name(values.text("name"), file);
    recipe_.device = values.text("device");
    recipe_.resolved.set("name", scalar_node(recipe_.name));
  }

  /// The name is that of a folder below runs/: one word, so that no name leads elsewhere.
  void read_name(const std::string& given, const std::string& file) {
    recipe_.name = given;
    if (const YamlNode* name = recipe_.source.find("name")) {
      if (is_run_name(given) || !name->is_scalar()) return;  // what is no text was refused with its type
      problems_.add(
          name->place, "name",
          fmt::format("'{}' names no folder below runs/; wanted letters, digits, '.', '_' and '-', a letter or "
                      "digit first, at most {} of them",
                      given, kLongestRunName));
      return;
    }
    for (const char c : std::filesystem::path(file).stem().string()) recipe_.name += is_plain(c) ? c : '-';
    if (!is_run_name(recipe_.name)) recipe_.name = "run";
  }

  void read_data() {
    recipe_.data.set = named("data", "", {"validation", "normalize", "augment"});
    YamlNode resolved = to_node(recipe_.data.set);
    const YamlNode data = source("data");
    // The section holds the data set's keys too, which are checked above.
    YamlNode own = mapping_node();
    if (const YamlNode* validation = data.find("validation")) own.set("validation", *validation);
    const Values values{validate(own, section_schema("data"), "data", problems_)};
    recipe_.data.validation = values.integer("validation");
    resolved.set("validation", scalar_node(std::to_string(recipe_.data.validation)));
    if (const YamlNode* normalize = data.find("normalize")) resolved.set("normalize", read_normalize(*normalize));
    if (const YamlNode* augment = data.find("augment")) {
      recipe_.data.augment = validate_layers(*augment, "data.augment", problems_, "augment");
      resolved.set("augment", to_node(recipe_.data.augment));
    }
    recipe_.resolved.set("data", std::move(resolved));
  }

  YamlNode read_normalize(const YamlNode& normalize) {
    const Values values{validate(normalize, section_schema("data.normalize"), "data.normalize", problems_)};
    recipe_.data.mean = values.get_or<std::vector<double>>({}, "mean");
    recipe_.data.stddev = values.get_or<std::vector<double>>({}, "std");
    if (recipe_.data.mean.size() != recipe_.data.stddev.size() || recipe_.data.mean.empty()) {
      problems_.add(normalize.place, "data.normalize",
                    fmt::format("mean has {} values and std {}; give both one value, or both one a channel",
                                recipe_.data.mean.size(), recipe_.data.stddev.size()));
    }
    return to_node(values.attributes);
  }

  void read_model() {
    const YamlNode model = source("model");
    if (!has_model_) {
      if (!model.is_null()) problems_.add(model.place, "model", "the program brings the model; remove this section");
      recipe_.resolved.set("model", scalar_node("of a C++ program"));
      return;
    }
    const bool layered = model.find("layers") != nullptr || model.find("input") != nullptr;
    if (!layered) {
      recipe_.model.named = named("model", "", {"reset"});
      set_resolved_model(to_node(recipe_.model.named), model);
      return;
    }
    if (model.find("name") != nullptr) {
      problems_.add(locate(recipe_.source, "model.name"), "model",
                    "has a name and layers; remove one of them (model='{name: …}' replaces the whole section)");
    }
    LayerLists lists;
    const Values values{validate(model, section_schema("model"), "model", problems_, {{"name", "reset"}, &lists})};
    recipe_.model.input = values.get_or<std::vector<std::int64_t>>({}, "input");
    YamlNode resolved = to_node(values.attributes);
    if (!lists.empty()) recipe_.model.layers = std::move(lists.front().second);
    resolved.set("layers", to_node(recipe_.model.layers));
    set_resolved_model(std::move(resolved), model);
  }

  /// With the keys that every model has, where they are given.
  void set_resolved_model(YamlNode resolved, const YamlNode& model) {
    if (const YamlNode* reset = model.find("reset")) {
      YamlNode own = mapping_node();
      own.set("reset", *reset);
      const Values values{validate(own, section_schema("every model"), "model", problems_)};
      recipe_.model.reset = values.get_or<std::vector<std::string>>({}, "reset");
      const YamlNode checked = to_node(values.attributes);
      if (const YamlNode* list = checked.find("reset")) resolved.set("reset", *list);
    }
    recipe_.resolved.set("model", std::move(resolved));
  }

  void read_train() {
    const Values values = section("train");
    TrainSettings& train = recipe_.train;
    train.epochs = values.integer("epochs");
    train.max_steps = values.integer("max_steps");
    train.batch = values.integer("batch");
    train.shards = values.integer("shards");
    train.shard_threads = values.integer("shard_threads");
    train.seed = static_cast<std::uint64_t>(values.integer("seed"));
    train.precision = values.text("precision");
    train.winograd = values.text("winograd");
    train.reduction = values.text("reduction");
    train.deterministic = values.flag("deterministic");
    train.on_nonfinite = values.text("on_nonfinite");
    train.recompute = values.flag("recompute");
    if (train.epochs == 0 && train.max_steps == 0) {
      problems_.add(recipe_.place("train.epochs"), "train.epochs",
                    "epochs and max_steps are both 0, so the run would never end; set one of them");
    }
    const std::string why = batch_problem(train.batch, train.shards);
    if (!why.empty()) problems_.add(recipe_.place("train.batch"), "train.batch", why);
  }

  void read_optimizer() {
    recipe_.optimizer.named = named("optimizer", "", {"groups"});
    YamlNode resolved = to_node(recipe_.optimizer.named);
    const YamlNode optimizer = source("optimizer");
    if (const YamlNode* groups = optimizer.find("groups")) resolved.set("groups", read_groups(*groups));
    recipe_.resolved.set("optimizer", std::move(resolved));
  }

  YamlNode read_groups(const YamlNode& groups) {
    YamlNode resolved = sequence_node();
    if (!groups.is_sequence()) {
      problems_.add(groups.place, "optimizer.groups",
                    fmt::format("wanted a list such as [{{match: [\"*.bias\"], weight_decay: 0}}], found {}",
                                found_text(groups)));
      return resolved;
    }
    for (std::size_t i = 0; i < groups.items.size(); ++i) {
      const YamlNode& item = groups.items[i];
      const std::string path = fmt::format("optimizer.groups.{}", i);
      Values values{validate(item, section_schema("optimizer.groups"), path, problems_)};
      ParameterGroup group;
      group.match = values.get_or<std::vector<std::string>>({}, "match");
      if (item.find("weight_decay")) group.weight_decay = values.get_or(0.0, "weight_decay");
      if (item.find("lr_scale")) group.lr_scale = values.get_or(1.0, "lr_scale");
      YamlNode given = to_node(values.attributes);
      for (const char* key : {"weight_decay", "lr_scale"}) {
        if (item.find(key) == nullptr) given.erase(key);
      }
      resolved.items.push_back(std::move(given));
      recipe_.optimizer.groups.push_back(std::move(group));
    }
    return resolved;
  }

  void read_eval() {
    const Values values = section("eval");
    recipe_.eval = {.every_epochs = values.integer("every_epochs"), .batch = values.integer("batch")};
  }

  void read_checkpoint() {
    const Values values = section("checkpoint");
    recipe_.checkpoint = {.every_epochs = values.integer("every_epochs"),
                          .every_steps = values.integer("every_steps"),
                          .keep = values.integer("keep"),
                          .keep_every = values.integer("keep_every"),
                          .best = values.flag("best"),
                          .required = values.flag("required")};
  }

  void read_comm() {
    const Values values = section("comm");
    recipe_.comm.bucket_mb = automatic_or_positive(values, "comm", "bucket_mb");
    recipe_.comm.wire = values.text("wire");
    if (recipe_.comm.wire != "fp32" && recipe_.train.reduction != "fast") {
      problems_.add(
          recipe_.place("comm.wire"), "comm.wire",
          fmt::format("{} would round where ranks meet, so that the number of ranks changed the bits; it needs "
                      "train.reduction=fast",
                      recipe_.comm.wire));
    }
    recipe_.comm.verify_every = values.integer("verify_every");
    recipe_.comm.timeout_s = automatic_or_positive(values, "comm", "timeout_s");
    recipe_.watchdog.timeout_s = automatic_or_positive(section("watchdog"), "watchdog", "timeout_s");
  }

  std::optional<double> automatic_or_positive(const Values& values, const char* section, const std::string& key) {
    const std::string text = values.text(key);
    if (text == "auto" || text.empty()) return std::nullopt;
    const std::optional<double> number = parse_real(text);
    if (number && *number > 0) return number;
    const std::string path = join_path(section, key);
    problems_.add(recipe_.place(path), path, fmt::format("wanted auto or a number above 0, found '{}'", text));
    return std::nullopt;
  }

  Recipe& recipe_;
  Problems& problems_;
  const bool has_model_;  ///< false: a C++ program brings it
};

Recipe make_recipe(std::optional<YamlNode> source, const std::string& file, std::span<const std::string> overrides,
                   Problems& problems, bool has_model = true) {
  if (!source) problems.throw_if_any();
  Recipe recipe;
  recipe.source = std::move(*source);
  if (!recipe.source.is_mapping() && !recipe.source.is_null()) {
    problems.add(recipe.source.place,
                 fmt::format("wanted the sections of a recipe, such as 'train:', found {}", found_text(recipe.source)));
    problems.throw_if_any();
  }
  apply_overrides(recipe.source, overrides, problems);
  RecipeReader(recipe, problems, has_model).read(file);
  problems.throw_if_any();
  return recipe;
}

}  // namespace

Recipe read_recipe(const std::string& path, std::span<const std::string> overrides) {
  Problems problems;
  std::optional<YamlNode> source = load_yaml(path, problems);
  return make_recipe(std::move(source), path, overrides, problems);
}

Recipe parse_recipe(std::string_view text, const std::string& file, std::span<const std::string> overrides) {
  Problems problems;
  std::optional<YamlNode> source = parse_yaml(text, file, problems);
  return make_recipe(std::move(source), file, overrides, problems);
}

Recipe parse_recipe_without_model(std::string_view text, const std::string& file) {
  Problems problems;
  std::optional<YamlNode> source = parse_yaml(text, file, problems);
  return make_recipe(std::move(source), file, {}, problems, false);
}

}  // namespace athanor
