// ConfigFile::parse_toml: toml++ flattened to "table.key".
#include <fmt/format.h>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include "platform/os/config_file.h"

namespace verbund::os {
namespace {

/// Dotted keys nest without bound, and toml++ walks its tables recursively: a long line could exhaust the stack.
constexpr std::size_t kMaxLineBytes = 16 * 1024;
constexpr int kMaxDepth = 16;

class Flattener {
 public:
  Flattener(std::string_view name, std::map<std::string, ConfigValue>& values, std::map<std::string, std::size_t>& arrays)
      : name_(name), values_(values), arrays_(arrays) {}

  Status table(const toml::table& table, const std::string& prefix, int depth) {
    if (depth > kMaxDepth) return refuse(table, prefix, fmt::format("nested deeper than {}", kMaxDepth), {});
    for (const auto& [key, node] : table) {
      const std::string path = prefix.empty() ? std::string(key.str()) : prefix + "." + std::string(key.str());
      if (auto done = add(node, path, depth); !done) return done;
    }
    return {};
  }

 private:
  Status add(const toml::node& node, const std::string& path, int depth) {
    if (const auto* inner = node.as_table()) return table(*inner, path, depth + 1);
    if (const auto* list = node.as_array()) return array(*list, path, depth);
    if (const auto* text = node.as_string()) return put(node, path, text->get());
    if (const auto* number = node.as_integer()) return put(node, path, number->get());
    if (const auto* flag = node.as_boolean()) return put(node, path, flag->get());
    if (const auto* fraction = node.as_floating_point()) return put(node, path, fraction->get());
    return refuse(node, path, "dates and times are not used in this file", "Write it in quotes.");
  }

  Status array(const toml::array& array, const std::string& path, int depth) {
    if (array.is_array_of_tables()) {
      if (!arrays_.try_emplace(path, array.size()).second) return refuse(array, path, "is given twice", {});
      std::size_t index = 0;
      for (const toml::node& element : array) {
        if (auto done = table(*element.as_table(), fmt::format("{}.{}", path, index++), depth + 1); !done) return done;
      }
      return {};
    }
    std::vector<std::string> texts;
    for (const toml::node& element : array) {
      const auto* text = element.as_string();
      if (text == nullptr) return refuse(element, path, "is not a list of texts", R"(Write: ["first", "second"])");
      texts.push_back(text->get());
    }
    return put(array, path, std::move(texts));
  }

  template <typename Value>
  Status put(const toml::node& node, const std::string& path, Value value) {
    const int line = static_cast<int>(node.source().begin.line);
    // "a.b" in quotes and b in table a are two keys to TOML but one to us.
    if (!values_.try_emplace(path, ConfigValue{std::move(value), line}).second) {
      return refuse(node, path, "is given twice", "Remove one of the two lines.");
    }
    return {};
  }

  std::unexpected<Error> refuse(const toml::node& node, const std::string& path, std::string_view cause, std::string hint) {
    return fail(ErrorCode::kBadConfig, fmt::format("{}:{}: {}: {}", name_, node.source().begin.line, path, cause),
                std::move(hint));
  }

  std::string_view name_;
  std::map<std::string, ConfigValue>& values_;
  std::map<std::string, std::size_t>& arrays_;
};

Status check_lines(std::string_view text, std::string_view name) {
  for (int line = 1; !text.empty(); ++line) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (end > kMaxLineBytes) {
      return fail(ErrorCode::kBadConfig, fmt::format("{}:{}: line longer than {} bytes", name, line, kMaxLineBytes));
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return {};
}

}  // namespace

Result<ConfigFile> ConfigFile::parse_toml(std::string_view text, std::string name) {
  ConfigFile file;
  file.name_ = std::move(name);
  if (auto checked = check_lines(text, file.name_); !checked) return pass(checked);
  const toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    return fail(ErrorCode::kBadConfig,
                fmt::format("{}:{}: {}", file.name_, error.source().begin.line, error.description()));
  }
  Flattener flattener(file.name_, file.values_, file.arrays_);
  if (auto done = flattener.table(parsed.table(), "", 0); !done) return pass(done);
  return file;
}

}  // namespace verbund::os
