// fit_rules: rules against the source's catalog, values into the form that their types print.
#include <algorithm>
#include <set>

#include "base/messages.h"
#include "feed/tables.h"
#include "platform/postgres/arrays.h"
#include "sync/server/rules_store.h"

namespace verbund::sync::server {
namespace {

using postgres::array_literal;
using postgres::Connection;

struct Column {
  std::string name;
  std::uint32_t type = 0;
  std::string cast;     ///< what a text is cast to: without a length, which would cut it silently; character(n) has to have it
  bool supported = false;  ///< built in, an enum or a domain
  bool needed = false;  ///< a new row without it is refused
  bool key = false;
  std::string full;           ///< the type with its length
  std::uint32_t base = 0;     ///< `type`, or what a domain is made of
  bool is_enum = false;
};
using Columns = std::vector<Column>;

constexpr std::string_view kColumns = R"sql(
  SELECT a.attname, a.atttypid,
         CASE WHEN a.atttypid = 'bpchar'::regtype THEN format_type(a.atttypid, a.atttypmod) ELSE format_type(a.atttypid, NULL) END,
         (t.oid < 16384 OR t.typtype IN ('e', 'd')),
         (a.attnotnull OR (t.typtype = 'd' AND t.typnotnull)) AND NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = '' AND t.typdefault IS NULL,
         coalesce(a.attnum = ANY (i.indkey), false), format_type(a.atttypid, a.atttypmod), CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END, t.typtype = 'e'
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
   WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p') ORDER BY a.attnum)sql";

/// Built-in types that have an order of their own and one text for what is equal, or are compared as themselves (bound.cc).
bool is_ordered(std::uint32_t type) {
  static constexpr std::uint32_t kOrdered[] = {20, 21, 23, 700, 701, 1082, 1083, 1114, 1184, 1186, 1700, 2950};
  return std::ranges::find(kOrdered, type) != std::ranges::end(kOrdered);
}

/// Whether values of both columns are equal when their texts are: how memberships are looked for in the shadow.
bool are_alike(const Column& one, const Column& other) {
  static constexpr std::uint32_t kIntegers[] = {20, 21, 23}, kTexts[] = {25, 1043};
  static constexpr std::uint32_t kSame[] = {16, 19, 20, 21, 23, 25, 1042, 1043, 1082, 1083, 1114, 1184, 2950};
  static constexpr std::uint32_t kNumeric = 1700;
  const auto both = [&](const auto& list) { return std::ranges::find(list, one.base) != std::ranges::end(list) && std::ranges::find(list, other.base) != std::ranges::end(list); };
  if (both(kIntegers) || both(kTexts)) return true;
  if (one.base != other.base) return false;
  if (one.base == kNumeric) return one.full == other.full && one.full.find(',') != std::string::npos;  // the same digits behind the point
  if (one.base == 1042) return one.full == other.full;                                                 // filled up to the same length
  return one.is_enum || both(kSame);
}

bool has_order(Comparison::Op op) {
  using Op = Comparison::Op;
  return op == Op::kLess || op == Op::kLessOrEqual || op == Op::kGreater || op == Op::kGreaterOrEqual;
}

class Fitter {
 public:
  Fitter(Connection& source, Rules& rules) : source_(source), rules_(rules) {}

  Result<std::vector<Phrase>> run() {
    auto transaction = source_.begin("READ ONLY");
    if (!transaction) return pass(transaction);
    // The shadow's form (docs/adr/0004-shadow-text.md).
    auto set = source_.execute(
        "SET LOCAL datestyle = 'ISO,YMD'; SET LOCAL intervalstyle = 'postgres'; SET LOCAL extra_float_digits = 3; SET LOCAL timezone = 'UTC'; SET LOCAL bytea_output = 'hex'");
    if (!set) return pass(set);
    for (auto& one : rules_.subscriptions) {
      if (one.kind == SubscriptionKind::kFiles) continue;
      if (auto fitted = fit(one); !fitted) return pass(fitted);
    }
    // Once more: a parameter that two columns want in different forms is another one each time.
    for (const bool again : {false, true}) {
      for (const auto& [parameter, column] : asked_) {
        if (auto fitted = fit_parameter(parameter, column, again); !fitted) return pass(fitted);
      }
    }
    return std::move(faults_);
  }

 private:
  struct Asked {
    std::string subscription;
    Column column;
  };

  void fault(Phrase what) {
    if (std::ranges::none_of(faults_, [&](const Phrase& said) { return said.english() == what.english(); })) faults_.push_back(std::move(what));
  }

  /// A table of the source.
  struct Table {
    std::string schema, name;
    Columns columns;
  };
  Result<Table> table_of(const std::string& schema, const std::string& name) {
    auto columns = columns_of(schema, name);
    if (!columns) return pass(columns);
    return Table{schema, name, std::move(*columns)};
  }

  Result<Columns> columns_of(const std::string& schema, const std::string& name) {
    auto rows = source_.query(kColumns, {schema, name});
    if (!rows) return pass(rows, "read the source's catalog");
    Columns columns;
    for (int row = 0; row < rows->size(); ++row) {
      columns.push_back({std::string(rows->text(row, 0)), static_cast<std::uint32_t>(parse_u64(rows->text(row, 1)).value_or(0)), std::string(rows->text(row, 2)),
                         rows->text(row, 3) == "t", rows->text(row, 4) == "t", rows->text(row, 5) == "t", std::string(rows->text(row, 6)),
                         static_cast<std::uint32_t>(parse_u64(rows->text(row, 7)).value_or(0)), rows->text(row, 8) == "t"});
    }
    return columns;
  }

  Status fit(Subscription& one) {
    auto table = table_of(one.schema, one.table);
    if (!table) return pass(table);
    if (table->columns.empty()) {
      fault(phrase("subscription '{}': the source has no table {}.{}", one.name, one.schema, one.table));
      return {};
    }
    if (std::ranges::none_of(table->columns, &Column::key)) fault(phrase("subscription '{}': table {}.{} has no primary key", one.name, one.schema, one.table));
    check_columns(one, *table);
    if (auto fitted = fit_defaults(one, *table); !fitted) return fitted;
    std::set<std::pair<std::string, std::string>> tables{{one.schema, one.table}};
    return fit_filter(one, one.filter, *table, tables);
  }

  /// Null: there is none, which is said.
  const Column* find(const Subscription& one, const Table& table, const std::string& name) {
    const auto found = std::ranges::find(table.columns, name, &Column::name);
    if (found != table.columns.end()) return &*found;
    fault(phrase("subscription '{}': table {}.{} has no column {}", one.name, table.schema, table.name, name));
    return nullptr;
  }

  void check_columns(const Subscription& one, const Table& table) {
    if (one.columns.empty()) return;
    for (const auto& name : one.columns) find(one, table, name);
    for (const auto& column : table.columns) {
      if (std::ranges::find(one.columns, column.name) != one.columns.end()) continue;
      if (column.key) {
        fault(phrase("subscription '{}': column {} is part of the primary key and left out", one.name, column.name));
      } else if (one.rights.insert && column.needed && !one.defaults.contains(column.name)) {
        fault(phrase("subscription '{}': column {} is left out, must not be NULL and has no default: nobody could insert", one.name, column.name));
      }
    }
  }

  Status fit_defaults(Subscription& one, const Table& table) {
    for (auto& [name, value] : one.defaults) {
      const auto* column = find(one, table, name);
      if (column == nullptr) continue;
      auto fitted = normal(*column, value);
      if (!fitted) return pass(fitted);
      if (*fitted) {
        value = std::move(**fitted);
      } else {
        fault(phrase("subscription '{}': default '{}' of column {} is no {}", one.name, value, name, column->cast));
      }
    }
    return {};
  }

  /// `tables`: those that the filter has so far, its own among them.
  Status fit_filter(const Subscription& one, Filter& filter, const Table& table, std::set<std::pair<std::string, std::string>>& tables) {
    for (auto& comparison : filter) {
      const auto* column = find(one, table, comparison.column);
      if (comparison.op == Comparison::Op::kIn) {
        if (auto fitted = fit_membership(one, comparison.in.front(), column, tables); !fitted) return fitted;
      } else if (column != nullptr) {
        if (auto fitted = fit_comparison(one, comparison, *column); !fitted) return fitted;
      }
    }
    return {};
  }

  Status fit_membership(const Subscription& one, Membership& in, const Column* outer, std::set<std::pair<std::string, std::string>>& tables) {
    if (!tables.emplace(in.schema, in.table).second) {
      fault(phrase("subscription '{}': its filter has table {}.{} twice", one.name, in.schema, in.table));
      return {};
    }
    auto table = table_of(in.schema, in.table);
    if (!table) return pass(table);
    if (table->columns.empty()) {
      fault(phrase("subscription '{}': the source has no table {}.{}", one.name, in.schema, in.table));
      return {};
    }
    const auto* inner = find(one, *table, in.column);
    if (outer != nullptr && inner != nullptr && !are_alike(*outer, *inner)) {
      fault(phrase("subscription '{}': filters can't compare column {} of type {} with column {} of type {} by IN", one.name, outer->name, outer->full, inner->name, inner->full));
    }
    return fit_filter(one, in.filter, *table, tables);
  }

  Status fit_comparison(const Subscription& one, Comparison& comparison, const Column& column) {
    if (comparison.op == Comparison::Op::kIsNull || comparison.op == Comparison::Op::kIsNotNull) return {};
    if (!column.supported) {
      fault(phrase("subscription '{}': filters can't compare column {} of type {}, which is not built in", one.name, column.name, column.cast));
    } else if (has_order(comparison.op) && !is_ordered(column.type)) {
      fault(phrase("subscription '{}': filters can't compare column {} of type {} by more or less, only numbers, dates and times", one.name, column.name, column.cast));
    } else if (comparison.with == Comparison::With::kConstant) {
      auto fitted = normal(column, comparison.operand);
      if (!fitted) return pass(fitted);
      if (*fitted) {
        comparison.operand = std::move(**fitted);
      } else {
        fault(phrase("subscription '{}': the filter's '{}' is no {}, which column {} is, or that has no equality", one.name, comparison.operand, column.cast, column.name));
      }
    } else {
      asked_.emplace_back(comparison.with == Comparison::With::kUser ? std::string() : comparison.operand, Asked{one.name, column});
    }
    return {};
  }

  /// The values as the type prints them. nullopt: one of them is none.
  Result<std::optional<std::vector<std::string>>> printed(const Column& column, const std::vector<std::string>& values) {
    if (auto saved = source_.execute("SAVEPOINT fit"); !saved) return pass(saved);
    // format() calls the type's own output; a cast to text is another thing for some (true and t, character).
    auto rows = source_.query(
        fmt::format("SELECT array_agg(format('%s', v::{0}) ORDER BY n)::text, bool_and(v::{0} = v::{0}) FROM unnest($1::text[]) WITH ORDINALITY u(v, n)", column.cast),
        {array_literal(values)});
    if (!rows) {
      if (rows.error().code == ErrorCode::kDatabaseDown) return pass(rows);
      if (auto back = source_.execute("ROLLBACK TO SAVEPOINT fit"); !back) return pass(back);
      return std::nullopt;
    }
    auto list = feed::read_array(rows->text(0, 0));
    if (!list) return pass(list);
    std::vector<std::string> texts;
    for (auto& text : *list) texts.push_back(std::move(text).value_or(""));
    return texts;
  }

  Result<std::optional<std::string>> normal(const Column& column, const std::string& value) {
    auto texts = printed(column, {value});
    if (!texts) return pass(texts);
    if (!*texts || (*texts)->size() != 1) return std::nullopt;
    auto& text = (**texts)[0];
    // character(n) cuts what is too long without a word.
    const auto trimmed = [](std::string_view given) { return given.substr(0, given.find_last_not_of(' ') + 1); };
    if (column.type == 1042 && trimmed(text) != trimmed(value)) return std::nullopt;
    return std::move(text);
  }

  /// All values of a parameter, of groups and users, or (no name) all users' names.
  std::vector<std::pair<Phrase, std::string*>> values_of(const std::string& parameter) {
    std::vector<std::pair<Phrase, std::string*>> values;
    const auto add = [&](Phrase whose, std::map<std::string, std::string>& from) {
      if (const auto found = from.find(parameter); found != from.end()) values.emplace_back(std::move(whose), &found->second);
    };
    for (auto& group : rules_.groups) add(phrase("group '{}'", group.name), group.parameters);
    for (auto& user : rules_.users) {
      if (parameter.empty()) {
        values.emplace_back(phrase("user '{}'", user.name), &user.name);
      } else {
        add(phrase("user '{}'", user.name), user.parameters);
      }
    }
    return values;
  }

  Status fit_parameter(const std::string& parameter, const Asked& asked, bool again) {
    auto values = values_of(parameter);
    std::vector<std::string> given;
    for (const auto& [whose, value] : values) given.push_back(*value);
    if (given.empty()) return {};
    auto texts = printed(asked.column, given);
    if (!texts) return pass(texts);
    for (std::size_t i = 0; i < values.size(); ++i) {
      auto text = *texts ? std::optional((**texts)[i]) : std::nullopt;
      if (!text || asked.column.type == 1042) {  // which one it is that is none, or is cut
        auto one = normal(asked.column, given[i]);
        if (!one) return pass(one);
        text = std::move(*one);
      }
      take(parameter, asked, values[i], std::move(text), again);
    }
    return {};
  }

  void take(const std::string& parameter, const Asked& asked, const std::pair<Phrase, std::string*>& value, std::optional<std::string> text, bool again) {
    if (!text) {
      fault(phrase("{}: '{}' is no {}, which the filter of subscription '{}' compares with column {}", value.first, *value.second, asked.column.cast, asked.subscription, asked.column.name));
    } else if (parameter.empty() && *text != *value.second) {
      fault(phrase("{}: the filter of subscription '{}' compares the name with column {}, which writes it '{}'", value.first, asked.subscription, asked.column.name, *text));
    } else if (again && *text != *value.second) {
      fault(phrase("{}: parameter '{}' is compared with columns of several types that write '{}' differently", value.first, parameter, *value.second));
    } else {
      *value.second = std::move(*text);
    }
  }

  Connection& source_;
  Rules& rules_;
  std::vector<Phrase> faults_;
  std::vector<std::pair<std::string, Asked>> asked_;  ///< parameter (empty: the user) → who compares it
};

}  // namespace

Result<std::vector<Phrase>> fit_rules(Connection& source, Rules& rules) { return Fitter(source, rules).run(); }

}  // namespace verbund::sync::server
