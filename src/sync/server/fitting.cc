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
};
using Columns = std::vector<Column>;

constexpr std::string_view kColumns = R"sql(
  SELECT a.attname, a.atttypid,
         CASE WHEN a.atttypid = 'bpchar'::regtype THEN format_type(a.atttypid, a.atttypmod) ELSE format_type(a.atttypid, NULL) END,
         (t.oid < 16384 OR t.typtype IN ('e', 'd')),
         (a.attnotnull OR (t.typtype = 'd' AND t.typnotnull)) AND NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = '' AND t.typdefault IS NULL,
         coalesce(a.attnum = ANY (i.indkey), false)
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

  Result<Columns> columns_of(const Subscription& one) {
    auto rows = source_.query(kColumns, {one.schema, one.table});
    if (!rows) return pass(rows, "read the source's catalog");
    Columns columns;
    for (int row = 0; row < rows->size(); ++row) {
      columns.push_back({std::string(rows->text(row, 0)), static_cast<std::uint32_t>(parse_u64(rows->text(row, 1)).value_or(0)), std::string(rows->text(row, 2)),
                         rows->text(row, 3) == "t", rows->text(row, 4) == "t", rows->text(row, 5) == "t"});
    }
    return columns;
  }

  Status fit(Subscription& one) {
    auto columns = columns_of(one);
    if (!columns) return pass(columns);
    if (columns->empty()) {
      fault(phrase("subscription '{}': the source has no table {}.{}", one.name, one.schema, one.table));
      return {};
    }
    if (std::ranges::none_of(*columns, &Column::key)) fault(phrase("subscription '{}': table {}.{} has no primary key", one.name, one.schema, one.table));
    check_columns(one, *columns);
    if (auto fitted = fit_defaults(one, *columns); !fitted) return fitted;
    return fit_filter(one, *columns);
  }

  /// Null: there is none, which is said.
  const Column* find(const Subscription& one, const Columns& columns, const std::string& name) {
    const auto found = std::ranges::find(columns, name, &Column::name);
    if (found != columns.end()) return &*found;
    fault(phrase("subscription '{}': table {}.{} has no column {}", one.name, one.schema, one.table, name));
    return nullptr;
  }

  void check_columns(const Subscription& one, const Columns& columns) {
    if (one.columns.empty()) return;
    for (const auto& name : one.columns) find(one, columns, name);
    for (const auto& column : columns) {
      if (std::ranges::find(one.columns, column.name) != one.columns.end()) continue;
      if (column.key) {
        fault(phrase("subscription '{}': column {} is part of the primary key and left out", one.name, column.name));
      } else if (one.rights.insert && column.needed && !one.defaults.contains(column.name)) {
        fault(phrase("subscription '{}': column {} is left out, must not be NULL and has no default: nobody could insert", one.name, column.name));
      }
    }
  }

  Status fit_defaults(Subscription& one, const Columns& columns) {
    for (auto& [name, value] : one.defaults) {
      const auto* column = find(one, columns, name);
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

  Status fit_filter(Subscription& one, const Columns& columns) {
    for (auto& comparison : one.filter) {
      const auto* column = find(one, columns, comparison.column);
      if (column == nullptr || comparison.op == Comparison::Op::kIsNull || comparison.op == Comparison::Op::kIsNotNull) continue;
      if (!column->supported) {
        fault(phrase("subscription '{}': filters can't compare column {} of type {}, which is not built in", one.name, column->name, column->cast));
      } else if (has_order(comparison.op) && !is_ordered(column->type)) {
        fault(phrase("subscription '{}': filters can't compare column {} of type {} by more or less, only numbers, dates and times", one.name, column->name, column->cast));
      } else if (comparison.with == Comparison::With::kConstant) {
        auto fitted = normal(*column, comparison.operand);
        if (!fitted) return pass(fitted);
        if (*fitted) {
          comparison.operand = std::move(**fitted);
        } else {
          fault(phrase("subscription '{}': the filter's '{}' is no {}, which column {} is, or that has no equality", one.name, comparison.operand, column->cast, column->name));
        }
      } else {
        asked_.emplace_back(comparison.with == Comparison::With::kUser ? std::string() : comparison.operand, Asked{one.name, *column});
      }
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
