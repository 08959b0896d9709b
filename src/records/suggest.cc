#include "records/suggest.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include <fmt/format.h>

#include "records/suggest_words.h"

namespace verbund::records {
namespace {

using postgres::Connection;

/// A path longer than this tells of a table of its own rather than of a part of the record.
constexpr int kMaxHops = 3;
/// Below, a table is not worth a person's look.
constexpr double kWorthwhile = 3.0;
/// Lists of values are short.
constexpr double kShortList = 200;

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

/// A foreign key from `child` that leads to another table of the snapshot.
struct Edge {
  std::size_t child = 0, parent = 0;
  std::string step;        ///< "schema.table.column", a column that decides which key it is
  bool mandatory = false;  ///< no row without its parent
  bool writer = false;     ///< names who wrote the row
};

std::string quoted_part(std::string_view part) {
  const bool plain = part.find_first_of(".\">") == std::string_view::npos && part.find(' ') == std::string_view::npos;
  return plain ? std::string(part) : Connection::quote_identifier(part);
}

bool not_null(const SnapshotTable& table, const std::string& column) {
  const auto found = std::ranges::find(table.columns, column, &SnapshotColumn::name);
  return found != table.columns.end() && found->not_null;
}

/// A column that no other foreign key of the table to the same parent has; empty: there is none.
std::string deciding_column(const SnapshotTable& table, const ForeignKey& key) {
  for (const auto& column : key.columns) {
    const bool ambiguous = std::ranges::any_of(table.foreign_keys, [&](const ForeignKey& other) {
      return &other != &key && other.parent_schema == key.parent_schema && other.parent_table == key.parent_table &&
             other.columns != key.columns && std::ranges::find(other.columns, column) != other.columns.end();
    });
    if (!ambiguous) return column;
  }
  return {};
}

/// How a row of a table is named to people.
struct Naming {
  std::string family, given, title, number, birth;

  [[nodiscard]] bool person() const { return !family.empty() && !given.empty(); }
  [[nodiscard]] double score() const {
    return (person() ? 3.0 : 0) + (!title.empty() || !family.empty() ? 1.0 : 0) + (birth.empty() ? 0 : 1.5) + (number.empty() ? 0 : 0.5);
  }
};

Naming naming_of(const SnapshotTable& table) {
  Naming naming;
  const auto first = [](std::string& into, const SnapshotColumn& column) {
    if (into.empty()) into = column.name;
  };
  for (const auto& column : table.columns) {
    switch (meaning_of(column)) {
      case Meaning::kFamilyName: first(naming.family, column); break;
      case Meaning::kGivenName: first(naming.given, column); break;
      case Meaning::kTitle: first(naming.title, column); break;
      case Meaning::kNumber: first(naming.number, column); break;
      case Meaning::kBirthDate: first(naming.birth, column); break;
      case Meaning::kNone: break;
    }
  }
  // A natural key: what else is unique names a row as well.
  for (const auto& unique : table.uniques) {
    const auto column = unique.size() == 1 ? std::ranges::find(table.columns, unique[0], &SnapshotColumn::name) : table.columns.end();
    if (naming.number.empty() && column != table.columns.end() && is_text(*column)) naming.number = unique[0];
  }
  // "name, vorname": beside a given name the name is the family's.
  if (naming.family.empty() && !naming.given.empty()) std::swap(naming.family, naming.title);
  return naming;
}

class Ranking {
 public:
  explicit Ranking(const CatalogSnapshot& catalog) : tables_(catalog.tables) {
    for (std::size_t i = 0; i < tables_.size(); ++i) places_[{tables_[i].schema, tables_[i].table}] = i;
    incoming_.resize(tables_.size());
    outgoing_.resize(tables_.size());
    for (std::size_t i = 0; i < tables_.size(); ++i) add_edges(i);
    for (const auto& table : tables_) naming_.push_back(naming_of(table));
    for (std::size_t i = 0; i < tables_.size(); ++i) scores_.push_back(score(i));
  }

  std::vector<SuggestedRecord> best(std::size_t limit) {
    std::vector<std::size_t> roots;
    for (std::size_t i = 0; i < tables_.size(); ++i) {
      if (scores_[i] >= kWorthwhile) roots.push_back(i);
    }
    std::ranges::stable_sort(roots, std::greater{}, [&](std::size_t i) { return scores_[i]; });
    if (roots.size() > limit) roots.resize(limit);
    const auto owners = assign(roots);
    std::vector<SuggestedRecord> found;
    std::set<std::string> taken;
    for (const std::size_t root : roots) found.push_back(record(root, owners, taken));
    return found;
  }

 private:
  struct Owner {
    std::size_t root = kNone;
    std::string path;
    int hops = 0;
  };

  void add_edges(std::size_t child) {
    const SnapshotTable& table = tables_[child];
    for (const ForeignKey& key : table.foreign_keys) {
      const auto parent = places_.find({key.parent_schema, key.parent_table});
      const std::string column = deciding_column(table, key);
      if (parent == places_.end() || parent->second == child || column.empty()) continue;
      Edge edge{child, parent->second,
                fmt::format("{}.{}.{}", quoted_part(table.schema), quoted_part(table.table), quoted_part(column)),
                std::ranges::all_of(key.columns, [&](const std::string& name) { return not_null(table, name); }), names_a_writer(column)};
      outgoing_[child].push_back(edges_.size());
      incoming_[parent->second].push_back(edges_.size());
      edges_.push_back(std::move(edge));
    }
  }

  /// Tables with a foreign key to it that says whose their rows are.
  [[nodiscard]] std::size_t references(std::size_t table) const {
    std::set<std::size_t> children;
    for (const std::size_t edge : incoming_[table]) {
      if (!edges_[edge].writer) children.insert(edges_[edge].child);
    }
    return children.size();
  }

  [[nodiscard]] bool value_list(std::size_t table) const {
    const auto& shape = tables_[table];
    if (naming_[table].person() || is_subject(shape.table) == 2) return false;
    if (is_value_list(shape.table)) return true;
    constexpr std::size_t kFewColumns = 4;
    return shape.columns.size() <= kFewColumns && outgoing_[table].empty() && shape.rows >= 0 && shape.rows <= kShortList;
  }

  [[nodiscard]] double score(std::size_t table) const {
    const auto& shape = tables_[table];
    if (shape.key.empty() || is_log(shape.table) || value_list(table)) return 0;
    double sum = naming_[table].score() + 1.5 * std::log2(1.0 + static_cast<double>(references(table))) + 2.0 * is_subject(shape.table);
    // A row that can't be without another one is a part of that one, unless it bears a person's name.
    const bool owned = std::ranges::any_of(outgoing_[table], [&](std::size_t edge) {
      return edges_[edge].mandatory && !edges_[edge].writer && !value_list(edges_[edge].parent);
    });
    if (owned && !naming_[table].person()) sum -= 6;
    return sum;
  }

  /// Nearest root first: by number of steps, mandatory before optional, better root before worse; writers never.
  std::vector<Owner> assign(const std::vector<std::size_t>& roots) const {
    std::vector<Owner> owners(tables_.size());
    std::vector<std::size_t> front = roots;
    for (const std::size_t root : roots) owners[root] = {root, {}, 0};
    for (int hops = 1; hops <= kMaxHops && !front.empty(); ++hops) {
      std::map<std::size_t, std::tuple<bool, double, std::size_t>> offers;  // child → best offer
      for (const std::size_t parent : front) {
        for (const std::size_t edge : incoming_[parent]) {
          if (edges_[edge].writer || owners[edges_[edge].child].root != kNone) continue;
          const std::tuple offer{!edges_[edge].mandatory, -scores_[owners[parent].root], edge};
          const auto [known, added] = offers.try_emplace(edges_[edge].child, offer);
          if (!added) known->second = std::min(known->second, offer);
        }
      }
      front.clear();
      for (const auto& [child, offer] : offers) {
        const Edge& edge = edges_[std::get<2>(offer)];
        const Owner& parent = owners[edge.parent];
        owners[child] = {parent.root, parent.path.empty() ? edge.step : edge.step + " > " + parent.path, hops};
        // Beyond a list of values lies everything that uses it.
        if (!value_list(child)) front.push_back(child);
      }
    }
    return owners;
  }

  SuggestedRecord record(std::size_t root, const std::vector<Owner>& owners, std::set<std::string>& taken) const {
    const auto& table = tables_[root];
    SuggestedRecord record;
    record.schema = table.schema;
    record.table = table.table;
    record.type = folded_name(table.table);
    if (record.type.empty()) record.type = "record";
    if (taken.contains(record.type)) record.type = folded_name(table.schema) + "_" + record.type;
    for (int number = 2; !taken.insert(record.type).second; ++number) record.type = fmt::format("{}_{}", folded_name(table.table), number);
    record.label = table.table;
    if (record.label[0] >= 'a' && record.label[0] <= 'z') record.label[0] = static_cast<char>(record.label[0] - 'a' + 'A');
    record.referenced_by = references(root);
    record.score = scores_[root];
    name(record, naming_[root]);
    std::vector<std::pair<int, std::size_t>> children;
    for (std::size_t i = 0; i < tables_.size(); ++i) {
      if (i != root && owners[i].root == root) children.emplace_back(owners[i].hops, i);
    }
    std::ranges::sort(children);
    for (const auto& [hops, child] : children) record.children.push_back({owners[child].path, tables_[child].key.empty()});
    return record;
  }

  static void name(SuggestedRecord& record, const Naming& naming) {
    const auto part = [](const std::string& column) { return fmt::format("nullif({}::text, '')", Connection::quote_identifier(column)); };
    const std::string& leading = naming.family.empty() ? naming.title : naming.family;
    if (naming.person()) {
      record.label_sql = fmt::format("concat_ws(', ', {}, {})", part(naming.family), part(naming.given));
    } else if (!leading.empty()) {
      record.label_sql = naming.number.empty() ? fmt::format("coalesce({}, '?')", part(leading))
                                               : fmt::format("concat_ws(' ', {}, {})", part(naming.number), part(leading));
    } else if (!naming.number.empty()) {
      record.label_sql = fmt::format("coalesce({}, '?')", part(naming.number));
    }
    if (naming.person() && !naming.birth.empty()) {
      record.label_sql += fmt::format(" || coalesce(' * ' || to_char({}, 'DD.MM.YYYY'), '')", Connection::quote_identifier(naming.birth));
    }
    const std::string& sorted = leading.empty() ? naming.number : leading;
    if (!sorted.empty()) record.group_sql = fmt::format("upper(left(coalesce({}, '?'), 1))", part(sorted));
    for (const std::string* column : {&naming.family, &naming.given, &naming.title, &naming.birth, &naming.number}) {
      if (!column->empty()) record.search.push_back(*column);
    }
  }

  const std::vector<SnapshotTable>& tables_;
  std::map<std::pair<std::string, std::string>, std::size_t> places_;
  std::vector<Edge> edges_;
  std::vector<std::vector<std::size_t>> incoming_, outgoing_;
  std::vector<Naming> naming_;
  std::vector<double> scores_;
};

}  // namespace

std::vector<SuggestedRecord> suggest(const CatalogSnapshot& catalog, std::size_t limit) { return Ranking(catalog).best(limit); }

}  // namespace verbund::records
