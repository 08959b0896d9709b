// The way back to TOML, and what two sets of rules differ in: both by the same fields.
#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "base/messages.h"
#include "sync/model/rules.h"

namespace verbund::sync {
namespace {

/// A field's name as a key of TOML (`defaults.status`), its value as TOML has it. What is as if it were left out is not among them.
using Fields = std::vector<std::pair<std::string, std::string>>;
constexpr std::size_t kLineBytes = 100;

std::string literal(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      result += fmt::format("\\u{:04X}", static_cast<unsigned char>(c));
    } else {
      result += c;
    }
  }
  return result + '"';
}

std::string literal(const std::vector<std::string>& list) {
  std::size_t bytes = 0;
  for (const auto& one : list) bytes += one.size() + 4;
  const std::string_view between = bytes > kLineBytes ? ",\n  " : ", ";
  std::string result = bytes > kLineBytes ? "[\n  " : "[";
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (i > 0) result += between;
    result += literal(list[i]);
  }
  return result + (bytes > kLineBytes ? ",\n]" : "]");
}

void add(Fields& fields, const std::string& name, const std::map<std::string, std::string>& values) {
  for (const auto& [key, value] : values) {
    const bool bare = !key.empty() && std::ranges::all_of(key, [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; });
    fields.emplace_back(name + "." + (bare ? key : literal(key)), literal(value));
  }
}

std::string table_text(const Subscription& one) {
  const auto part = [](const std::string& name) { return name.find('.') == std::string::npos ? name : '"' + name + '"'; };
  return part(one.schema) + "." + part(one.table);
}

std::vector<std::string> words(const Rights& rights) {
  std::vector<std::string> list;
  if (rights.read) list.emplace_back("read");
  if (rights.insert) list.emplace_back("insert");
  if (rights.update) list.emplace_back("update");
  if (rights.remove) list.emplace_back("delete");
  return list;
}

void add_limits(Fields& fields, const Subscription& one) {
  if (one.max_rows != 0) fields.emplace_back("max_rows", std::to_string(one.max_rows));
  if (one.max_bytes != 0) fields.emplace_back("max_bytes", std::to_string(one.max_bytes));
}

Fields fields_of_files(const Subscription& one) {
  Fields fields{{"kind", literal(to_wire(one.kind))}, {"direction", literal(to_wire(one.direction))}, {"folder", literal(one.files.folder)}};
  if (!one.files.path.empty()) fields.emplace_back("path", literal(one.files.path));
  if (!one.files.of.empty()) fields.emplace_back("of", literal(one.files.of));
  if (!one.files.names.empty()) fields.emplace_back("names", literal(one.files.names));
  add_limits(fields, one);
  return fields;
}

Fields fields_of(const Subscription& one) {
  if (one.kind == SubscriptionKind::kFiles) return fields_of_files(one);
  Fields fields{{"kind", literal(to_wire(one.kind))}};
  if (one.kind == SubscriptionKind::kReplication) fields.emplace_back("direction", literal(to_wire(one.direction)));
  fields.emplace_back("table", literal(table_text(one)));
  if (!one.columns.empty()) fields.emplace_back("columns", literal(one.columns));
  add(fields, "defaults", one.defaults);
  if (!one.filter.empty()) fields.emplace_back("filter", literal(to_string(one.filter)));
  fields.emplace_back("rights", literal(words(one.rights)));
  if (one.conflict.kind == ConflictPolicy::Kind::kMerge) fields.emplace_back("conflict", literal("merge"));
  if (one.conflict.kind == ConflictPolicy::Kind::kFunction) fields.emplace_back("conflict", literal("function:" + one.conflict.function));
  add_limits(fields, one);
  return fields;
}

Fields fields_of(const SubscriptionSet& one) {
  if (one.subscriptions.empty()) return {};
  return {{"subscriptions", literal(one.subscriptions)}};
}

Fields fields_of(const Group& one) {
  Fields fields;
  if (!one.sets.empty()) fields.emplace_back("sets", literal(one.sets));
  add(fields, "parameters", one.parameters);
  if (one.lease_days != 0) fields.emplace_back("lease_days", std::to_string(one.lease_days));
  return fields;
}

Fields fields_of(const SyncUser& one) {
  Fields fields{{"group", literal(one.group)}};
  add(fields, "parameters", one.parameters);
  if (one.disabled) fields.emplace_back("disabled", "true");
  return fields;
}

template <typename T>
void write(std::string& to, std::string_view kind, const std::vector<T>& list) {
  for (const auto& one : list) {
    if (!to.empty()) to += '\n';
    to += fmt::format("[[{}]]\nname = {}\n", kind, literal(one.name));
    for (const auto& [name, value] : fields_of(one)) to += fmt::format("{} = {}\n", name, value);
  }
}

/// "name: before → after" for each field in which they differ.
std::vector<std::string> changes(const Fields& before, const Fields& after) {
  std::vector<std::string> found;
  const auto value = [](const Fields& fields, const std::string& name) -> std::string {
    const auto at = std::ranges::find(fields, name, &Fields::value_type::first);
    return at == fields.end() ? "-" : at->second;
  };
  std::set<std::string> seen;
  for (const auto* side : {&before, &after}) {
    for (const auto& [name, text] : *side) {
      if (!seen.insert(name).second || value(before, name) == value(after, name)) continue;
      found.push_back(fmt::format("{}: {} → {}", name, value(before, name), value(after, name)));
    }
  }
  return found;
}

template <typename T>
void compare(std::vector<RuleChange>& to, const std::string& kind, const std::vector<T>& before, const std::vector<T>& after) {
  // Rules with faults may have a name twice: the first stands for the first.
  std::map<std::string_view, std::deque<const T*>> old;
  for (const auto& one : before) old[one.name].push_back(&one);
  for (const auto& one : after) {
    auto& was = old[one.name];
    if (was.empty()) {
      to.push_back({RuleChange::What::kAdded, kind, one.name, {}});
      continue;
    }
    if (!(*was.front() == one)) to.push_back({RuleChange::What::kChanged, kind, one.name, changes(fields_of(*was.front()), fields_of(one))});
    was.pop_front();
  }
  for (const auto& one : before) {
    const auto& left = old[one.name];
    if (std::ranges::find(left, &one) != left.end()) to.push_back({RuleChange::What::kRemoved, kind, one.name, {}});
  }
}

}  // namespace

std::string write_rules(const Rules& rules) {
  std::string text;
  write(text, "subscription", rules.subscriptions);
  write(text, "set", rules.sets);
  write(text, "group", rules.groups);
  write(text, "user", rules.users);
  return text;
}

std::string_view to_wire(RuleChange::What what) {
  switch (what) {
    case RuleChange::What::kAdded: return "added";
    case RuleChange::What::kChanged: return "changed";
    case RuleChange::What::kRemoved: return "removed";
  }
  return "changed";
}

std::vector<RuleChange> difference(const Rules& before, const Rules& after) {
  std::vector<RuleChange> found;
  compare(found, "subscription", before.subscriptions, after.subscriptions);
  compare(found, "set", before.sets, after.sets);
  compare(found, "group", before.groups, after.groups);
  compare(found, "user", before.users, after.users);
  return found;
}

}  // namespace verbund::sync
