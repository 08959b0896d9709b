#include "feed/retake.h"

#include "base/messages.h"
#include "feed/catalog.h"
#include "feed/journal_parts.h"
#include "feed/shadow.h"

namespace verbund::feed {
namespace {

using postgres::Connection;

/// As in capture: a chunk is applied earlier when its rows are large.
constexpr std::size_t kChunkBytes = 32 * 1024 * 1024;

std::size_t bytes_of(const Step& step) {
  std::size_t bytes = sizeof(Step);
  if (const auto* change = std::get_if<RowChange>(&step)) {
    for (const auto& value : change->row) bytes += sizeof(value) + (value ? value->size() : 0);
  }
  return bytes;
}

/// Parents first: their rows lead the children's to records.
std::vector<Intake> by_hops(const Tables& tables, std::vector<Intake> intakes) {
  const auto hops = [&](const Intake& intake) {
    std::size_t most = 0;
    for (const Mapping& mapping : tables.all[intake.table].mappings) most = std::max(most, mapping.hops.size());
    return most;
  };
  std::ranges::stable_sort(intakes, {}, hops);
  return intakes;
}

/// A table that is gone, as far as its end has to be told.
CapturedTable gone_table(const Dropped& dropped) {
  CapturedTable gone;
  gone.schema = dropped.known.schema;
  gone.table = dropped.known.table;
  gone.shown = shown_name(gone.schema, gone.table);
  gone.id = dropped.known.id;
  gone.shadow = dropped.known.shadow;
  for (const std::string& type : dropped.root_of) gone.mappings.push_back({type, {}});
  for (const std::string& type : dropped.child_of) gone.mappings.push_back({type, {ResolvedHop{}}});
  // The ways of its rows to records are gone with it.
  const auto layout = dropped.child_of.empty() ? parse_layout(dropped.known.layout) : std::nullopt;
  if (!layout) return gone;
  gone.images = dropped.images;
  for (const Layout::Column& column : layout->columns) gone.columns.push_back({column.name, column.type, column.modifier, column.number, {}});
  for (const int number : layout->key) {
    gone.key.push_back(static_cast<std::size_t>(std::ranges::find(gone.columns, number, &Column::number) - gone.columns.begin()));
  }
  gone.path_columns = gone.key;
  return gone;
}

}  // namespace

Status Retake::run(const std::vector<Intake>& unordered, const std::vector<Dropped>& dropped, const std::string& snapshot, Lsn point,
                   bool new_history) {
  const auto started = clock_.now();
  const std::vector<Intake> intakes = by_hops(to_.tables, unordered);
  if (auto opened = open_snapshot(intakes, snapshot); !opened) return opened;
  auto mid_tier = batch_.writing();
  if (!mid_tier) return pass(mid_tier, "mid-tier");
  if (new_history) {
    if (auto begun = begin_history(**mid_tier, to_.position); !begun) return begun;
  }
  for (const Intake& intake : intakes) {
    if (auto prepared = prepare_shadow(**mid_tier, intake, point); !prepared) return prepared;
  }
  for (const Intake& intake : intakes) {
    if (!intake.silent) continue;
    if (auto filled = fill(intake); !filled) return filled;
  }
  if (auto indexed = index_lookups(**mid_tier, to_.tables); !indexed) return indexed;
  const std::size_t present = to_.tables.all.size();
  for (const Dropped& table : dropped) to_.tables.all.push_back(gone_table(table));
  applier_.emplace(to_.tables, to_.position.head, settings_.term, settings_.listed_changes_per_event,
                   settings_.journal_rows_kept / kJournalParts);
  steps_.emplace_back(Begun{0, to_.position.lsn, clock_.wall()});
  for (std::size_t i = 0; i < dropped.size(); ++i) {
    if (auto forgotten = forget(dropped[i], present + i); !forgotten) return forgotten;
  }
  for (const Intake& intake : intakes) {
    if (auto compared = compare(intake); !compared) return compared;
  }
  if (auto finished = finish(); !finished) return finished;
  to_.tables.all.resize(present);
  to_.report.took = std::chrono::duration_cast<milliseconds>(clock_.now() - started);
  return {};
}

Status Retake::open_snapshot(const std::vector<Intake>& intakes, const std::string& snapshot) {
  if (std::ranges::none_of(intakes, &Intake::reads_source)) return {};
  if (auto begun = to_.source.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT " +
                                      Connection::quote_literal(snapshot));
      !begun) {
    return pass(begun, "snapshot of the new slot");
  }
  return lock_tables(intakes);
}

/// A snapshot does not hold the catalog still, and a table that is rewritten looks empty to it.
Status Retake::lock_tables(const std::vector<Intake>& intakes) {
  for (const Intake& intake : intakes) {
    if (!intake.reads_source()) continue;
    const CapturedTable& table = to_.tables.all[intake.table];
    failed_ = intake.table;
    auto locked = to_.source.execute(fmt::format("LOCK TABLE {}{} IN ACCESS SHARE MODE", table.partitioned ? "" : "ONLY ",
                                                 quoted(table.schema, table.table)));
    if (!locked && to_.source.last_sqlstate() == "55P03") locked.error().code = ErrorCode::kTimedOut;
    if (!locked && to_.source.last_sqlstate() == "42P01") locked.error().code = ErrorCode::kInUse;
    if (!locked) return pass(locked, phrase("lock {}", table.shown));
  }
  failed_.reset();
  auto outside = Connection::open(with_exact_text(settings_.source));
  if (!outside) return pass(outside, "source database");
  for (const Intake& intake : intakes) {
    if (!intake.reads_source()) continue;
    const CapturedTable& table = to_.tables.all[intake.table];
    auto now = find_table(*outside, {table.schema, table.table}, 0);
    if (!now) return pass(now, phrase("table {}", table.shown));
    const CapturedTable& found = now->table;
    if (found.relation != table.relation || found.files != table.files || found.layout() != table.layout()) {
      return fail(ErrorCode::kInUse, phrase("feed: table {} is being changed", table.shown));
    }
  }
  return {};
}

Status Retake::prepare_shadow(Connection& mid_tier, const Intake& intake, Lsn point) {
  CapturedTable& table = to_.tables.all[intake.table];
  if (intake.fresh) return create_shadow(mid_tier, table, point);
  if (auto reshaped = reshape_shadow(mid_tier, table, intake.change); !reshaped) return reshaped;
  if (intake.compare) table.since = point;
  return register_table(mid_tier, table);
}

Status Retake::fill(const Intake& intake) {
  const CapturedTable& table = to_.tables.all[intake.table];
  failed_ = intake.table;
  auto rows = fill_shadow(to_.source, to_.mid_tier, table, to_.position.head.csn);
  if (!rows) return pass(rows);
  failed_.reset();
  if (auto known = to_.mid_tier.execute("ANALYZE " + quoted("feed", table.shadow)); !known) return known;
  log_.info("feed.copied", {{"table", table.shown}, {"rows", *rows}, {"lsn", to_string(table.since)}});
  return {};
}

Status Retake::compare(const Intake& intake) {
  const CapturedTable& table = to_.tables.all[intake.table];
  if (intake.silent) return {};
  if (intake.change.changes_columns() && intake.change.kind == Reshaping::Kind::kFollow) {
    auto rows = to_.mid_tier.query("SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = $1::regclass", {quoted("feed", table.shadow)});
    if (!rows) return pass(rows, phrase("shadow of {}", table.shown));
    log_.info("feed.reshaped", {{"table", table.shown}});
    if (auto told = tell(Reshaped{intake.table, parse_u64(rows->text(0, 0)).value_or(0)}); !told) return told;
  }
  if (intake.change.kind == Reshaping::Kind::kRekey) {
    if (auto told = tell(Truncated{{intake.table}}); !told) return told;
    if (auto flushed = flush(); !flushed) return flushed;
  }
  if (!intake.reads_source()) return {};
  failed_ = intake.table;
  Comparison comparison(to_.source, to_.mid_tier);
  auto found = comparison.run(table, intake.table, [this](RowChange change) { return tell(std::move(change)); });
  if (!found) return pass(found);
  if (auto flushed = flush(); !flushed) return flushed;
  failed_.reset();
  ReconcileReport& report = to_.report;
  ++report.tables;
  report.rows_compared += found->compared;
  report.inserted += found->inserted;
  report.updated += found->updated;
  report.deleted += found->deleted;
  to_.differences[table.configured] = found->inserted + found->updated + found->deleted;
  log_.info("feed.compared", {{"table", table.shown}, {"rows", found->compared}, {"inserted", found->inserted},
                              {"updated", found->updated}, {"deleted", found->deleted}, {"lsn", to_string(table.since)}});
  return {};
}

/// All its rows are gone, as if it had been truncated.
Status Retake::forget(const Dropped& dropped, std::size_t table) {
  if (dropped.told) {
    if (auto told = tell(Truncated{{table}}); !told) return told;
    if (auto flushed = flush(); !flushed) return flushed;
  }
  auto mid_tier = batch_.writing();
  if (!mid_tier) return pass(mid_tier, "mid-tier");
  return drop_shadow(**mid_tier, dropped.known);
}

Status Retake::tell(Step step) {
  step_bytes_ += bytes_of(step);
  steps_.push_back(std::move(step));
  told_ = true;
  return steps_.size() < settings_.batch_changes && step_bytes_ < kChunkBytes ? Status{} : flush();
}

Status Retake::flush() {
  step_bytes_ = 0;
  if (auto applied = applier_->apply(batch_, std::exchange(steps_, {}), std::nullopt); !applied) return pass(applied, "mid-tier");
  // The sink writes while the shadow is read through the same connection: nothing may wait unsent behind the reader.
  auto sent = batch_.writing();
  return sent ? Status{} : pass(sent, "mid-tier");
}

Status Retake::finish() {
  if (std::ranges::any_of(steps_, [](const Step& step) { return !std::holds_alternative<Begun>(step); }) || told_) {
    steps_.emplace_back(Committed{});
    if (auto flushed = flush(); !flushed) return flushed;
  }
  to_.position.head = applier_->head();
  auto mid_tier = batch_.writing();
  if (!mid_tier) return pass(mid_tier, "mid-tier");
  if (auto settled = settle_position(**mid_tier, to_.position); !settled) return settled;
  if (auto committed = batch_.commit(); !committed) return pass(committed, "mid-tier");
  if (to_.source.in_transaction()) return to_.source.execute("COMMIT");
  return {};
}

}  // namespace verbund::feed
