// read_rules: TOML into rules.
#include <algorithm>
#include <charconv>
#include <limits>
#include <span>

#include <fmt/ranges.h>

#include "base/messages.h"
#include "base/utf8.h"
#include "platform/os/config_file.h"
#include "platform/os/config_texts.h"
#include "sync/model/rules.h"

namespace verbund::sync {
namespace {

using os::ConfigFile;
using Texts = std::map<std::string, std::string>;

/// What an element may have; of those with `inner`, any names below.
struct Field {
  std::string_view name;
  bool inner = false;
};
constexpr Field kSubscription[] = {{"name"},   {"kind"},   {"direction"}, {"table"},    {"columns"},  {"defaults", true},
                                   {"filter"}, {"rights"}, {"conflict"},  {"max_rows"}, {"max_bytes"}, {"folder"}, {"path"}, {"of"}, {"names"}};
constexpr Field kSet[] = {{"name"}, {"subscriptions"}};
constexpr Field kGroup[] = {{"name"}, {"sets"}, {"parameters", true}, {"lease_days"}};
constexpr Field kUser[] = {{"name"}, {"group"}, {"parameters", true}, {"disabled"}};
struct Kind {
  std::string_view name;
  std::span<const Field> fields;
};
constexpr Kind kKinds[] = {{"subscription", kSubscription}, {"set", kSet}, {"group", kGroup}, {"user", kUser}};
constexpr auto kMaxNumber = std::numeric_limits<std::int64_t>::max();

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

/// "subscription.12.defaults.status" in its parts: kind, number, field, the rest.
struct Key {
  std::string_view kind, field, rest;
  std::size_t number = std::numeric_limits<std::size_t>::max();
};
Key parts_of(std::string_view key) {
  Key parts;
  const auto cut = [&key] {
    const auto dot = std::min(key.find('.'), key.size());
    const auto part = key.substr(0, dot);
    key.remove_prefix(std::min(dot + 1, key.size()));
    return part;
  };
  parts.kind = cut();
  const auto number = cut();
  std::from_chars(number.data(), number.data() + number.size(), parts.number);
  parts.field = cut();
  parts.rest = key;
  return parts;
}

/// Whether it may stand there; if not, what may.
std::optional<Phrase> refused(const ConfigFile& file, std::string_view key) {
  const auto parts = parts_of(key);
  const auto kind = std::ranges::find(kKinds, parts.kind, &Kind::name);
  if (kind == std::ranges::end(kKinds) || parts.number >= file.count(std::string(parts.kind))) {
    return phrase("Allowed are [[subscription]], [[set]], [[group]] and [[user]].");
  }
  const auto field = std::ranges::find(kind->fields, parts.field, &Field::name);
  if (field != kind->fields.end() && field->inner == !parts.rest.empty()) return std::nullopt;
  std::vector<std::string_view> names;
  for (const auto& known : kind->fields) names.push_back(known.name);
  return phrase("Allowed in [[{}]]: {}.", kind->name, fmt::format("{}", fmt::join(names, ", ")));
}

Status refuse_unknown(const ConfigFile& file, const Texts& texts) {
  const std::string* first = nullptr;
  std::optional<Phrase> allowed;
  for (const auto& [key, text] : texts) {
    if (first != nullptr && file.line(*first) <= file.line(key)) continue;
    auto hint = refused(file, key);
    if (!hint) continue;
    first = &key;
    allowed = std::move(hint);
  }
  if (first == nullptr) return {};
  return fail(ErrorCode::kBadConfig, phrase("{}:{}: {}: nothing of that name is known here", file.name(), file.line(*first), *first), std::move(*allowed));
}

/// One [[…]] of the file.
class Element {
 public:
  Element(ConfigFile& file, const Texts& texts, std::string_view kind, std::size_t number)
      : file_(file), texts_(texts), kind_(kind), number_(number), at_(fmt::format("{}.{}.", kind, number)) {}

  [[nodiscard]] std::unexpected<Error> refuse(const std::string& field, Phrase why, Phrase hint = {}) const {
    return fail(ErrorCode::kBadConfig, phrase("{}: {}: {}", place(field), field, why), std::move(hint));
  }
  /// The error of somebody who doesn't know where it stands.
  [[nodiscard]] std::unexpected<Error> refuse(const std::string& field, Error error) const {
    return std::unexpected(std::move(error).in(phrase("{}: {}", place(field), field)));
  }
  [[nodiscard]] bool has(const std::string& field) const { return file_.has(at_ + field); }

  Status name(const std::string& field, std::string& into) {
    if (auto done = text(field, into, kMaxRuleNameBytes); !done) return done;
    if (into.empty()) return refuse(field, phrase("is missing"));
    return sound(field, into);
  }

  Status text(const std::string& field, std::string& into, std::size_t max_bytes) {
    auto value = file_.text(at_ + field, into);
    if (!value) return pass(value);
    if (value->size() > max_bytes) return refuse(field, phrase("longer than {} bytes", max_bytes));
    into = std::move(*value);
    return {};
  }

  Status names(const std::string& field, std::vector<std::string>& into) {
    if (!has(field)) return {};
    auto value = file_.list(at_ + field, {});
    if (!value) return pass(value);
    if (value->empty()) return refuse(field, phrase("names nothing"));
    for (const auto& one : *value) {
      if (auto valid = sound(field, one); !valid) return valid;
      if (std::ranges::count(*value, one) > 1) return refuse(field, phrase("has '{}' twice", one));
    }
    into = std::move(*value);
    return {};
  }

  Status choice(const std::string& field, std::string& into, const std::vector<std::string>& allowed) {
    auto value = file_.choice(at_ + field, into, allowed);
    if (!value) return pass(value);
    into = std::move(*value);
    return {};
  }

  Status flag(const std::string& field, bool& into) {
    auto value = file_.boolean(at_ + field, into);
    if (!value) return pass(value);
    into = *value;
    return {};
  }

  Status number(const std::string& field, std::uint64_t& into) {
    auto value = file_.integer(at_ + field, 0, 0, kMaxNumber);
    if (!value) return pass(value);
    into = static_cast<std::uint64_t>(*value);
    return {};
  }

  /// A number, or "10 MB".
  Status size(const std::string& field, std::uint64_t& into) {
    std::string given;
    if (!file_.text(at_ + field, "")) return number(field, into);
    if (auto done = text(field, given, kMaxRuleNameBytes); !done) return done;
    if (given.empty() && !has(field)) return {};
    const auto* end = given.data() + given.size();
    const auto [at, error] = std::from_chars(given.data(), end, into);
    std::string_view unit(at, static_cast<std::size_t>(end - at));
    while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
    std::uint64_t factor = 1;
    for (const std::string_view known : {"kB", "MB", "GB", "TB"}) {
      factor *= 1000;
      if (unit == known && error == std::errc{} && into <= static_cast<std::uint64_t>(kMaxNumber) / factor) {
        into *= factor;
        return {};
      }
    }
    return refuse(field, phrase("'{}' is no size", given), phrase("A number of bytes, or a text: \"500 kB\", \"10 MB\", \"2 GB\"."));
  }

  /// `field` = { name = value, … }. `identifiers`: the names are those of parameters.
  Status values(const std::string& field, std::map<std::string, std::string>& into, bool identifiers) {
    const auto prefix = at_ + field + ".";
    for (auto at = texts_.lower_bound(prefix); at != texts_.end() && at->first.starts_with(prefix); ++at) {
      const auto name = at->first.substr(prefix.size());
      const auto inner = field + "." + name;
      if (identifiers ? !is_identifier(name) : !sound(inner, name)) return refuse(inner, phrase("is not a name that can stand here"));
      if (name == "user" && identifiers) return refuse(inner, phrase("':user' is the user's own name"));
      if (!is_scalar(at->first)) return pass(file_.text(at->first, ""));
      const auto odd = [](char c) { return is_control(c) && c != '\t' && c != '\n' && c != '\r'; };
      if (at->second.size() > kMaxRuleValueBytes) return refuse(inner, phrase("longer than {} bytes", kMaxRuleValueBytes));
      if (std::ranges::any_of(at->second, odd)) return refuse(inner, phrase("has control characters"));
      into.emplace(name, at->second);
    }
    return {};
  }

 private:
  [[nodiscard]] Phrase place(const std::string& field) const {
    if (const int line = file_.line(at_ + field); line != 0) return verbatim(fmt::format("{}:{}", file_.name(), line));
    if (const int line = file_.line(at_ + "name"); line != 0) return verbatim(fmt::format("{}:{}", file_.name(), line));
    return phrase("{}: [[{}]] number {}", file_.name(), kind_, number_ + 1);
  }

  Status sound(const std::string& field, const std::string& name) const {
    const bool odd = name.empty() || name.size() > kMaxRuleNameBytes || name.front() == ' ' || name.back() == ' ' || !is_utf8(name) ||
                     std::ranges::any_of(name, [](char c) { return is_control(c) || c == '/'; });
    if (!odd) return {};
    return refuse(field, phrase("a name has 1 to {} bytes without '/', control characters and blanks at its ends", kMaxRuleNameBytes));
  }

  static bool is_identifier(std::string_view name) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
    return !name.empty() && name.size() <= kMaxRuleNameBytes && letter(name[0]) &&
           std::ranges::all_of(name, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
  }

  bool is_scalar(const std::string& key) {
    return file_.text(key, "") || file_.integer(key, 0, std::numeric_limits<std::int64_t>::min(), kMaxNumber) || file_.boolean(key, false);
  }

  ConfigFile& file_;
  const Texts& texts_;
  std::string_view kind_;
  std::size_t number_;
  std::string at_;
};

Status read_table(Element& from, Subscription& into) {
  std::string given;
  if (auto done = from.text("table", given, 2 * kMaxRuleNameBytes + 5); !done) return done;
  std::vector<std::string> parts(1);
  bool inside = false;
  for (const char c : given) {
    if (c == '"') inside = !inside;
    if (c == '.' && !inside) {
      parts.emplace_back();
    } else if (c != '"') {
      parts.back() += c;
    }
  }
  const auto odd = [](const std::string& part) { return part.empty() || part.size() >= kMaxRuleNameBytes || std::ranges::any_of(part, is_control); };
  if (inside || parts.size() > 2 || std::ranges::any_of(parts, odd)) {
    return from.refuse("table", given.empty() ? phrase("is missing") : phrase("'{}' is not of the form schema.table", given));
  }
  into.table = std::move(parts.back());
  if (parts.size() == 2) into.schema = std::move(parts.front());
  return {};
}

Status read_rights(Element& from, Subscription& into) {
  if (!from.has("rights")) {
    if (into.kind == SubscriptionKind::kUpload) into.rights = {false, true, false, false};
    return {};
  }
  std::vector<std::string> given;
  if (auto done = from.names("rights", given); !done) return done;
  into.rights = {false, false, false, false};
  for (const auto& right : given) {
    bool* flag = right == "read"     ? &into.rights.read
                 : right == "insert" ? &into.rights.insert
                 : right == "update" ? &into.rights.update
                 : right == "delete" ? &into.rights.remove
                                     : nullptr;
    if (flag == nullptr) return from.refuse("rights", phrase("there is no right '{}'", right), phrase("One of: {}.", "read, insert, update, delete"));
    *flag = true;
  }
  return {};
}

Status read_conflict(Element& from, ConflictPolicy& into) {
  std::string given = "reject";
  if (auto done = from.text("conflict", given, 2 * kMaxRuleNameBytes + 16); !done) return done;
  constexpr std::string_view kFunction = "function:";
  if (given == "merge") {
    into.kind = ConflictPolicy::Kind::kMerge;
  } else if (given.starts_with(kFunction)) {
    into.kind = ConflictPolicy::Kind::kFunction;
    into.function = given.substr(kFunction.size());
    const auto dot = into.function.find('.');
    const bool odd = std::ranges::any_of(into.function, [](char c) { return is_control(c) || c == '"' || c == '('; });
    if (odd || dot == std::string::npos || dot == 0 || dot + 1 == into.function.size() || into.function.find('.', dot + 1) != std::string::npos) {
      return from.refuse("conflict", phrase("'{}' is not of the form function:schema.name", given));
    }
  } else if (given != "reject") {
    return from.refuse("conflict", phrase("there is no policy '{}'", given), phrase("One of: {}.", "reject, merge, function:schema.name"));
  }
  return {};
}

/// What only the other kinds have.
Status refuse_all(Element& from, std::initializer_list<const char*> fields, const Phrase& why) {
  for (const auto* field : fields) {
    if (from.has(field)) return from.refuse(field, why);
  }
  return {};
}

Status read_files(Element& from, Subscription& into) {
  auto& files = into.files;
  std::string direction = "down";
  for (auto& step : {refuse_all(from, {"table", "columns", "defaults", "filter", "rights", "conflict"}, phrase("a subscription of files has none")), from.name("folder", files.folder),
                     from.text("path", files.path, kMaxRuleValueBytes), from.text("of", files.of, kMaxRuleNameBytes), from.names("names", files.names),
                     from.choice("direction", direction, {"down", "up"}), from.number("max_rows", into.max_rows), from.size("max_bytes", into.max_bytes)}) {
    if (!step) return step;
  }
  into.direction = direction == "up" ? Direction::kUp : Direction::kDown;
  into.rights = {direction == "down", direction == "up", false, false};
  return {};
}

Status read_shape(Element& from, Subscription& into, const std::string& kind) {
  if (kind == "upload") {
    into.kind = SubscriptionKind::kUpload;
    into.direction = Direction::kUp;
    if (from.has("direction")) return from.refuse("direction", phrase("an upload has none: it goes up"));
  }
  std::string direction(to_wire(into.direction));
  if (auto done = from.choice("direction", direction, {"both", "down", "up"}); !done) return done;
  if (direction == "down") into.direction = Direction::kDown;
  if (direction == "up") into.direction = Direction::kUp;
  return read_rights(from, into);
}

Status read(Element& from, Subscription& into) {
  std::string filter, kind = "replication";
  if (auto done = from.name("name", into.name); !done) return done;
  if (auto done = from.choice("kind", kind, {"replication", "upload", "files"}); !done) return done;
  if (kind == "files") {
    into.kind = SubscriptionKind::kFiles;
    return read_files(from, into);
  }
  for (auto& step : {refuse_all(from, {"folder", "path", "of", "names"}, phrase("only a subscription of files has one")), read_table(from, into), read_shape(from, into, kind), from.names("columns", into.columns),
                     from.values("defaults", into.defaults, false), from.text("filter", filter, kMaxFilterBytes), read_conflict(from, into.conflict),
                     from.number("max_rows", into.max_rows), from.size("max_bytes", into.max_bytes)}) {
    if (!step) return step;
  }
  auto parsed = parse_filter(filter);
  if (!parsed) return from.refuse("filter", std::move(parsed.error()));
  into.filter = std::move(*parsed);
  return {};
}

Status read(Element& from, SubscriptionSet& into) {
  if (auto done = from.name("name", into.name); !done) return done;
  return from.names("subscriptions", into.subscriptions);
}

Status read(Element& from, Group& into) {
  if (auto done = from.name("name", into.name); !done) return done;
  if (auto done = from.names("sets", into.sets); !done) return done;
  if (auto done = from.number("lease_days", into.lease_days); !done) return done;
  return from.values("parameters", into.parameters, true);
}

Status read(Element& from, SyncUser& into) {
  if (auto done = from.name("name", into.name); !done) return done;
  if (auto done = from.name("group", into.group); !done) return done;
  if (auto done = from.flag("disabled", into.disabled); !done) return done;
  return from.values("parameters", into.parameters, true);
}

template <typename T>
Status read_all(ConfigFile& file, const Texts& texts, std::string_view kind, std::vector<T>& into) {
  for (std::size_t i = 0; i < file.count(std::string(kind)); ++i) {
    Element from(file, texts, kind, i);
    if (auto done = read(from, into.emplace_back()); !done) return done;
  }
  return {};
}

}  // namespace

Result<Rules> read_rules(std::string_view toml, std::string_view file_name) {
  if (toml.size() > kMaxRulesBytes) return fail(ErrorCode::kBadConfig, phrase("{}: longer than {} bytes", file_name, kMaxRulesBytes));
  auto file = ConfigFile::parse_toml(toml, std::string(file_name));
  if (!file) return pass(file);
  const auto texts = os::toml_texts(toml, std::string(file_name));
  if (!texts) return std::unexpected(texts.error());
  if (auto known = refuse_unknown(*file, *texts); !known) return pass(known);
  Rules rules;
  if (auto done = read_all(*file, *texts, "subscription", rules.subscriptions); !done) return pass(done);
  if (auto done = read_all(*file, *texts, "set", rules.sets); !done) return pass(done);
  if (auto done = read_all(*file, *texts, "group", rules.groups); !done) return pass(done);
  if (auto done = read_all(*file, *texts, "user", rules.users); !done) return pass(done);
  return rules;
}

}  // namespace verbund::sync
