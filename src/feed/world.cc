#include "feed/world.h"

namespace verbund::feed {
namespace {

std::string column_list(const CapturedTable& table, std::span<const std::size_t> columns) {
  std::string list;
  for (const std::size_t column : columns) {
    list += ", " + postgres::Connection::quote_identifier(table.columns[column].name);
  }
  return list;
}

std::vector<std::size_t> every_column(const CapturedTable& table) {
  std::vector<std::size_t> columns(table.columns.size());
  for (std::size_t i = 0; i < columns.size(); ++i) columns[i] = i;
  return columns;
}

/// Values from `first` on, each in its column's place; the others stay NULL.
Row row_of(const postgres::Rows& rows, int row, int first, const CapturedTable& table, std::span<const std::size_t> columns) {
  Row image(table.columns.size());
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const int place = first + static_cast<int>(i);
    if (!rows.null(row, place)) image[columns[i]] = std::string(rows.text(row, place));
  }
  return image;
}

/// The lookup's last hop ends at the root's primary key: its values are the record's id, no row is needed.
bool is_direct(const Tables& tables, const Mapping& mapping, std::size_t hop) {
  return hop + 1 == mapping.hops.size() && tables.lookups[mapping.hops[hop].lookup].by_key;
}

bool needs_parents(const Tables& tables, const Mapping& mapping) {
  return !mapping.hops.empty() && !is_direct(tables, mapping, 0);
}

}  // namespace

std::optional<std::string> joined_values(const Row& row, std::span<const std::size_t> columns) {
  std::vector<std::string_view> parts;
  parts.reserve(columns.size());
  for (const std::size_t column : columns) {
    if (column >= row.size() || !row[column]) return std::nullopt;
    parts.push_back(*row[column]);
  }
  return join_key(parts);
}

Status World::prefetch(BatchWriter& mid_tier, std::span<const Step> steps) {
  if (auto old = fetch_old(mid_tier, steps); !old) return pass(old, "old rows from the shadow");
  if (auto parents = fetch_parents(mid_tier, steps); !parents) return pass(parents, "parents from the shadow");
  return {};
}

Status World::fetch_old(BatchWriter& mid_tier, std::span<const Step> steps) {
  Wanted images(tables_.all.size());
  Wanted whole(tables_.all.size());
  for (const Step& step : steps) {
    const auto* change = std::get_if<RowChange>(&step);
    if (change == nullptr || change->op == RowOp::kInsert) continue;
    const CapturedTable& table = tables_.all[change->table];
    if (!change->unchanged.empty() || table.images) {
      whole[change->table].insert(change->old_key());
    } else if (table.has_parents || !table.lookups.empty()) {
      images[change->table].insert(change->old_key());
    }
  }
  for (std::size_t table = 0; table < tables_.all.size(); ++table) {
    if (auto done = fetch_keys(mid_tier, table, images[table], false); !done) return done;
    if (auto done = fetch_keys(mid_tier, table, whole[table], true); !done) return done;
  }
  return {};
}

Status World::fetch_keys(BatchWriter& mid_tier, std::size_t index, const std::unordered_set<std::string>& keys,
                         bool whole) {
  if (keys.empty()) return {};
  const CapturedTable& table = tables_.all[index];
  const std::vector<std::size_t> columns = whole ? every_column(table) : table.path_columns;
  TextArray wanted;
  for (const std::string& key : keys) {
    wanted.add(key);
    fetched_[index].insert_or_assign(key, Row{});
  }
  auto connection = mid_tier.reading();
  if (!connection) return pass(connection);
  auto rows = (*connection)->query(fmt::format("SELECT verbund_key{} FROM {} WHERE verbund_key = ANY($1::text[])",
                                         column_list(table, columns), quoted("feed", table.shadow)),
                             {wanted.take()});
  if (!rows) return pass(rows);
  for (int row = 0; row < rows->size(); ++row) {
    Row image = row_of(*rows, row, 1, table, columns);
    if (whole) {
      ++fetched_whole_[index].rows;
      for (const auto& value : image) fetched_whole_[index].bytes += sizeof(value) + (value ? value->size() : 0);
    }
    fetched_[index].insert_or_assign(std::string(rows->text(row, 0)), std::move(image));
  }
  return {};
}

Status World::fetch_lookup(BatchWriter& mid_tier, std::size_t index, const std::unordered_set<std::string>& values) {
  if (values.empty()) return {};
  const Lookup& lookup = tables_.lookups[index];
  if (lookup.by_key) return fetch_keys(mid_tier, lookup.table, values, false);
  const CapturedTable& table = tables_.all[lookup.table];
  TextArray wanted;
  for (const std::string& value : values) {
    wanted.add(value);
    fetched_by_[index].insert_or_assign(value, Row{});
  }
  auto connection = mid_tier.reading();
  if (!connection) return pass(connection);
  // The expression is that of the index that Shadow makes for this lookup.
  auto rows = (*connection)->query(fmt::format("SELECT verbund_key{} FROM {} WHERE {} = ANY($1::text[])",
                                         column_list(table, table.path_columns), quoted("feed", table.shadow),
                                         lookup_expression(table, lookup.columns)),
                             {wanted.take()});
  if (!rows) return pass(rows);
  for (int row = 0; row < rows->size(); ++row) {
    Row image = row_of(*rows, row, 1, table, table.path_columns);
    if (auto joined = joined_values(image, lookup.columns)) fetched_by_[index].insert_or_assign(*joined, std::move(image));
  }
  return {};
}

Status World::fetch_parents(BatchWriter& mid_tier, std::span<const Step> steps) {
  ChunkRows chunk(tables_.lookups.size());
  std::vector<std::pair<const Mapping*, const Row*>> starts;
  for (const Step& step : steps) {
    const auto* change = std::get_if<RowChange>(&step);
    if (change == nullptr) continue;
    const CapturedTable& table = tables_.all[change->table];
    for (const std::size_t lookup : table.lookups) {
      if (const auto joined = joined_values(change->row, tables_.lookups[lookup].columns)) chunk[lookup].emplace(*joined, &change->row);
    }
    for (const Mapping& mapping : table.mappings) {
      if (!needs_parents(tables_, mapping)) continue;
      if (!change->row.empty()) starts.emplace_back(&mapping, &change->row);
      const auto old = fetched_[change->table].find(change->old_key());
      if (old != fetched_[change->table].end()) starts.emplace_back(&mapping, &old->second);
    }
  }
  // One round per hop at most: each finds the parents that the next one starts from.
  while (!starts.empty()) {
    Wanted wanted(tables_.lookups.size());
    for (const auto& [mapping, row] : starts) explore(*mapping, 0, *row, chunk, wanted);
    if (std::ranges::all_of(wanted, [](const auto& values) { return values.empty(); })) break;
    // References into fetched_ stay valid: it is a node-based map that only grows here.
    for (std::size_t lookup = 0; lookup < wanted.size(); ++lookup) {
      if (auto done = fetch_lookup(mid_tier, lookup, wanted[lookup]); !done) return done;
    }
  }
  return {};
}

void World::explore(const Mapping& mapping, std::size_t hop, const Row& row, const ChunkRows& chunk, Wanted& wanted) const {
  if (hop == mapping.hops.size() || is_direct(tables_, mapping, hop)) return;
  const std::size_t lookup = mapping.hops[hop].lookup;
  const auto joined = joined_values(row, mapping.hops[hop].columns);
  if (!joined) return;
  const auto [first, last] = chunk[lookup].equal_range(*joined);
  for (auto at = first; at != last; ++at) explore(mapping, hop + 1, *at->second, chunk, wanted);
  if (const Row* parent = fetched(lookup, *joined)) {
    if (!parent->empty()) explore(mapping, hop + 1, *parent, chunk, wanted);
  } else {
    wanted[lookup].insert(*joined);
  }
  if (const Row* parent = gone_.find(lookup, *joined)) explore(mapping, hop + 1, *parent, chunk, wanted);
}

const Row* World::fetched(std::size_t lookup, const std::string& joined) const {
  const bool by_key = tables_.lookups[lookup].by_key;
  const auto& rows = by_key ? fetched_[tables_.lookups[lookup].table] : fetched_by_[lookup];
  const auto found = rows.find(joined);
  return found == rows.end() ? nullptr : &found->second;
}

const Row* World::find(std::size_t lookup, const std::string& joined) const {
  const Lookup& how = tables_.lookups[lookup];
  const std::string* key = &joined;
  if (!how.by_key) {
    const auto indexed = index_[lookup].find(joined);
    key = indexed == index_[lookup].end() ? nullptr : &indexed->second;
  }
  if (key != nullptr) {
    const auto entry = entries_[how.table].find(*key);
    if (entry != entries_[how.table].end() && !entry->second.row.empty()) return &entry->second.row;
  }
  const Row* row = fetched(lookup, joined);
  if (row == nullptr || row->empty()) row = gone_.find(lookup, joined);
  return row;
}

const Row* World::before(std::size_t table, const std::string& key) const {
  if (const auto entry = entries_[table].find(key); entry != entries_[table].end()) {
    return entry->second.live ? &entry->second.row : nullptr;
  }
  const auto found = fetched_[table].find(key);
  return found == fetched_[table].end() || found->second.empty() ? nullptr : &found->second;
}

std::optional<std::string> World::record_of(const Mapping& mapping, const Row& row) const {
  const Row* at = &row;
  for (std::size_t hop = 0; hop < mapping.hops.size(); ++hop) {
    auto joined = joined_values(*at, mapping.hops[hop].columns);
    if (!joined || is_direct(tables_, mapping, hop)) return joined;
    at = find(mapping.hops[hop].lookup, *joined);
    if (at == nullptr) return std::nullopt;
    if (hop + 1 == mapping.hops.size()) return tables_.all[tables_.lookups[mapping.hops[hop].lookup].table].key_of(*at);
  }
  return std::nullopt;
}

void World::put(std::size_t table, const std::string& key, Row row, Csn csn, bool is_new) {
  for (const std::size_t lookup : tables_.all[table].lookups) {
    if (tables_.lookups[lookup].by_key) continue;
    if (const auto joined = joined_values(row, tables_.lookups[lookup].columns)) index_[lookup][*joined] = key;
  }
  const auto [place, made] = entries_[table].try_emplace(key);
  if (made) place->second.in_shadow = !is_new;
  place->second.row = std::move(row);
  place->second.live = true;
  place->second.csn = csn;
}

void World::remove(std::size_t table, const std::string& key) {
  const Row* last = before(table, key);
  Row image = last == nullptr ? Row{} : *last;
  const auto [place, made] = entries_[table].try_emplace(key);
  if (made) place->second.in_shadow = true;
  place->second.row = std::move(image);
  place->second.live = false;
}

void World::remember_gone(Gone& gone) const {
  for (std::size_t lookup = 0; lookup < tables_.lookups.size(); ++lookup) {
    for (const auto& [key, entry] : entries_[tables_.lookups[lookup].table]) {
      if (entry.live || entry.row.empty()) continue;
      if (auto joined = joined_values(entry.row, tables_.lookups[lookup].columns)) gone.add(lookup, *joined, entry.row);
    }
  }
}

}  // namespace verbund::feed
