#include "feed/setup.h"

#include <random>

#include "base/messages.h"
#include "feed/catalog.h"
#include "feed/keyless.h"
#include "feed/publication.h"
#include "feed/retake.h"
#include "feed/shadow.h"
#include "feed/slot.h"
#include "feed/table_states.h"
#include "feed/witness.h"

namespace verbund::feed {
namespace {

using postgres::Connection;
using postgres::ReplicationStream;

HistoryId new_history() {
  std::random_device device;
  std::string digits;
  for (int i = 0; i < 4; ++i) digits += fmt::format("{:08x}", device());
  return {digits};
}

/// The error says something about one table, not about the database.
bool is_of_table(const Error& error) {
  using enum ErrorCode;
  return error.code == kForbidden || error.code == kDatabase || error.code == kTimedOut || error.code == kConstraint || error.code == kNotFound;
}

class Setup {
 public:
  Setup(const FeedSettings& settings, Orders& orders, const Clock& clock, Log& log, Prepared& to)
      : settings_(settings), orders_(orders), clock_(clock), log_(log), to_(to) {}

  Status run() {
    auto server = to_.stream.identify();
    if (!server) return pass(server);
    auto position = read_position(to_.mid_tier);
    if (!position) return pass(position);
    auto known = known_tables(to_.mid_tier);
    if (!known) return pass(known);
    known_ = std::move(*known);
    auto slot = read_slot(to_.source, settings_.slot);
    if (!slot) return pass(slot);
    if (*slot && (*slot)->foreign) {
      return fail(ErrorCode::kInUse, phrase("replication slot {} belongs to another database or plugin", settings_.slot),
                  phrase("Choose another slot name for the feed."));
    }
    slot_exists_ = slot->has_value();
    if (*position) {
      if (auto known_loss = find_loss(**position, *server, *slot); !known_loss) return known_loss;
    }
    if (auto loaded = load_tables(); !loaded) return loaded;
    if (auto published = publish(); !published) return published;
    to_.seen = server->flushed;
    to_.position = {server->system_id, server->timeline, settings_.slot, {}, {new_history(), Csn::of(settings_.term, 0)}, {}};
    if (!*position) return begin();
    // No number is given twice.
    to_.position.head.csn = std::max((*position)->head.csn, told_);
    to_.position.lsn = (*position)->lsn;
    if (!loss_ || !loss_->forks) to_.position.head.history = (*position)->head.history;
    return go_on((*position)->slot);
  }

 private:
  Status find_loss(const Position& position, const postgres::SystemIdentity& server, const std::optional<Slot>& slot) {
    auto together = settings_.follows_promotions ? on_same_system(server) : Result<bool>(false);
    if (!together) return pass(together);
    loss_ = loss_of(position, server, slot, settings_.slot, *together);
    if (orders_.new_slot && (!loss_ || (orders_.forked && !loss_->forks))) loss_ = Loss{orders_.rebuild, orders_.forked, false};
    if (auto told = find_told(position); !told) return told;
    if (!loss_) return {};
    if (loss_->needs_person && !orders_.reconcile) {
      return fail(ErrorCode::kFeedStopped, phrase("feed: {}", loss_->reason),
                  phrase("If this is the right server: verbund feed reconcile"));
    }
    if (orders_.on_loss) orders_.on_loss(loss_->reason);
    if (loss_->forks) to_.forked = loss_->reason;
    to_.made_good = loss_->reason;
    return {};
  }

  /// The mid-tier's log is the source's: what of it was kept was kept of the source, too.
  Result<bool> on_same_system(const postgres::SystemIdentity& server) {
    auto rows = to_.mid_tier.query("SELECT system_identifier FROM pg_catalog.pg_control_system()");
    if (!rows) return pass(rows, "ask the mid-tier's server who it is");
    return rows->size() == 1 && rows->text(0, 0) == server.system_id;
  }

  /// Whether more was handed on than the mid-tier knows of.
  Status find_told(const Position& position) {
    const auto told = settings_.witness.empty() ? std::nullopt : Witness::read(settings_.witness);
    if (!told) return {};
    auto known = has_had(to_.mid_tier, told->history);
    if (!known) return pass(known);
    if (*known && (told->history != position.head.history || told->csn <= position.head.csn)) return {};
    told_ = told->csn;
    if (!loss_ || !loss_->forks) loss_ = Loss{msgid("the mid-tier database is an older one than before: it was restored"), true, false};
    return {};
  }

  Status publish() {
    auto watched = keep_key_trigger(to_.source, settings_.publication, log_);
    if (!watched) return pass(watched);
    to_.keys_watched = *watched;
    auto published = keep_publication(to_.source, settings_.publication, to_.tables, log_);
    if (!published) return pass(published);
    published_ = std::move(*published);
    // What lost its key since the tables were read; the next look at the catalog does the rest.
    if (auto released = release_keyless(to_.source, settings_.publication, log_); !released) {
      log_.warning("feed.keyless_published", {{"reason", released.error().message}});
    }
    auto mark = publication_mark(to_.source, settings_.publication);
    if (!mark) return pass(mark);
    to_.catalog_mark += *mark;
    return {};
  }

  Status load_tables() {
    FormerTables former;
    for (const KnownTable& table : known_) {
      Former& before = former[{table.schema, table.table}];
      before.relation = table.relation;
      before.layout = parse_layout(table.layout);
      const bool again = table.retried || orders_.reconcile || orders_.continued.contains({table.schema, table.table});
      if (!again) before.paused = table.paused;
    }
    for (const auto& [name, error] : orders_.refused) former[name].paused = error.message;
    std::vector<TrackedTable> wanted = settings_.tables;
    // One snapshot for the tables and the mark: what changes later shows in the next mark.
    auto snapshot = to_.source.begin("ISOLATION LEVEL REPEATABLE READ READ ONLY");
    if (!snapshot) return pass(snapshot);
    auto further = tables_like(to_.source, settings_.capture);
    if (!further) return pass(further);
    for (TableName& name : *further) wanted.push_back({name.first, name.second, {}, {}, false});
    auto tables = Tables::load(to_.source, wanted, former);
    if (!tables) return pass(tables);
    to_.tables = std::move(*tables);
    if (auto marked = note_mark(wanted); !marked) return marked;
    return snapshot->commit();
  }

  Status note_mark(const std::vector<TrackedTable>& wanted) {
    CatalogQuestion& question = to_.catalog;
    question.publication = settings_.publication;
    question.every_table = !settings_.capture.empty();
    for (const CapturedTable& table : to_.tables.all) question.relations.push_back(table.relation);
    // Of a table that is paused the partitions count, too.
    for (const KnownTable& table : known_) question.relations.push_back(table.relation);
    for (const TrackedTable& table : wanted) question.names.emplace_back(table.schema, table.table);
    auto mark = table_mark(to_.source, question);
    if (!mark) return pass(mark);
    to_.catalog_mark = *mark + '|';
    return {};
  }

  /// A new slot, and everything as its snapshot has it.
  Status begin() {
    if (slot_exists_) {
      if (auto dropped = drop_slot(to_.source, settings_.slot); !dropped) return dropped;
    }
    auto slot = to_.stream.create_slot(settings_.slot);
    if (!slot) return pass(slot);
    to_.position.lsn = slot->consistent_point;
    std::vector<Intake> intakes;
    for (std::size_t i = 0; i < to_.tables.all.size(); ++i) intakes.push_back({.table = i, .fresh = true, .silent = true});
    std::vector<Dropped> stale;
    for (const KnownTable& table : known_) stale.push_back({table, {}, {}, false, false});
    begins_ = true;
    return take_in(intakes, stale, slot->snapshot, slot->consistent_point);
  }

  Status go_on(const std::string& former_slot) {
    match_known();
    std::vector<Intake> intakes;
    for (std::size_t i = 0; i < to_.tables.all.size(); ++i) {
      auto intake = plan(i);
      if (!intake) return pass(intake);
      if (*intake) intakes.push_back(std::move(**intake));
    }
    auto dropped = forsaken();
    if (!dropped) return pass(dropped);
    auto done = loss_ ? renew_slot(intakes, *dropped) : retake_some(intakes, *dropped);
    if (done && loss_ && former_slot != settings_.slot) drop_former_slot(former_slot);
    return done;
  }

  void match_known() {
    matched_.assign(to_.tables.all.size(), nullptr);
    std::set<const KnownTable*> taken;
    const auto match = [&](auto fits) {
      for (std::size_t i = 0; i < matched_.size(); ++i) {
        if (matched_[i] != nullptr) continue;
        const auto found = std::ranges::find_if(known_, [&](const KnownTable& known) { return !taken.contains(&known) && fits(to_.tables.all[i], known); });
        if (found == known_.end()) continue;
        matched_[i] = &*found;
        taken.insert(&*found);
      }
    };
    match([](const CapturedTable& table, const KnownTable& known) { return table.configured == TableName(known.schema, known.table); });
    match([](const CapturedTable& table, const KnownTable& known) { return table.relation == known.relation; });
  }

  /// nullopt: the table is as it was.
  Result<std::optional<Intake>> plan(std::size_t index) {
    CapturedTable& table = to_.tables.all[index];
    const KnownTable* known = matched_[index];
    if (known == nullptr) return Intake{.table = index, .fresh = true, .silent = !orders_.running};
    table.id = known->id;
    table.shadow = known->shadow;
    table.since = known->since;
    auto layout = parse_layout(known->layout);
    if (!layout) {
      auto read = shadow_layout(to_.mid_tier, known->shadow);
      if (!read) return pass(read);
      // Nobody knows of which columns the key was made; it is compared value by value.
      for (const std::size_t column : table.key) {
        const auto same = std::ranges::find(read->columns, table.columns[column].name, &Layout::Column::name);
        read->key.push_back(same == read->columns.end() ? -1 : 0);
      }
      layout = std::move(*read);
    }
    Intake intake{.table = index};
    const bool same_relation = known->relation == table.relation;
    intake.change = reshape(*layout, table, {same_relation, known->files == table.files});
    using enum Reshaping::Kind;
    const bool same_columns = reshape(*layout, table, {same_relation, true}).kind == kNone;
    // Where the catalog explains what the log said, there is no doubt.
    const bool doubtful = same_columns && orders_.doubtful.contains(table.relation);
    intake.compare = doubtful || must_compare(table, *known);
    const bool renamed = TableName(known->schema, known->table) != TableName(table.schema, table.table);
    if (!intake.compare && !renamed && same_columns) {
      if (intake.change.kind == kNone && known->truncated) {
        if (auto forgotten = forget_truncation(to_.mid_tier, known->id); !forgotten) return pass(forgotten);
      }
      const bool told = known->truncated || orders_.truncated.contains(table.relation);
      if (intake.change.kind == kNone || (!told && await_truncation(table))) return std::nullopt;
      intake.compare = !told;
      intake.change.kind = kNone;
      return intake;
    }
    for (const auto& [was, now] : intake.change.renamed) table.former[was] = place_of(table, now);
    for (const std::string& was : intake.change.dropped) table.former.try_emplace(was, std::nullopt);
    intake.compare = intake.compare || intake.change.kind == kReread || intake.change.kind == kRekey;
    return intake;
  }

  /// Only its files are others: if it was truncated, the log will tell; if it was rewritten, it never will.
  bool await_truncation(const CapturedTable& table) {
    if (orders_.settled.contains(table.relation)) return false;
    to_.unconfirmed.insert(table.relation);
    return true;
  }

  [[nodiscard]] bool must_compare(const CapturedTable& table, const KnownTable& known) const {
    return loss_ || orders_.reconcile || !orders_.rebuild.empty() || !known.paused.empty() || orders_.continued.contains(table.configured) ||
           published_.contains(quoted(table.schema, table.table));
  }

  static std::optional<std::size_t> place_of(const CapturedTable& table, const std::string& name) {
    const auto found = std::ranges::find(table.columns, name, &Column::name);
    return found == table.columns.end() ? std::nullopt : std::optional(static_cast<std::size_t>(found - table.columns.begin()));
  }

  /// Known tables that are not captured now: paused where something is in the way, gone otherwise.
  Result<std::vector<Dropped>> forsaken() {
    std::vector<Dropped> dropped;
    for (const KnownTable& known : known_) {
      if (std::ranges::find(matched_, &known) != matched_.end()) continue;
      const TableName name(known.schema, known.table);
      const auto out = std::ranges::find(to_.tables.left_out, name, &LeftOut::name);
      if (out != to_.tables.left_out.end() && out->paused) {
        if (!known.paused.empty() && !known.retried) continue;
        if (known.paused != out->reason) log_.warning("feed.paused", {{"table", shown_name(known.schema, known.table)}, {"reason", out->reason}});
        if (auto paused = pause_table(to_.mid_tier, known.id, out->reason, true); !paused) return pass(paused);
        continue;
      }
      Dropped gone{known, {}, {}, false, false};
      for (const TrackedTable& table : settings_.tables) {
        if (name != TableName(table.schema, table.table)) continue;
        gone.told = true;
        gone.images |= table.images;
        if (!table.record_type.empty()) (table.path.empty() ? gone.root_of : gone.child_of).push_back(table.record_type);
      }
      dropped.push_back(std::move(gone));
    }
    return dropped;
  }

  /// From here on no change can be missed; what was missed is found by comparing. What is interrupted begins again: the loss
  /// is noted before the slot goes.
  Status renew_slot(const std::vector<Intake>& intakes, const std::vector<Dropped>& dropped) {
    if (auto noted = note_loss(to_.mid_tier, *loss_); !noted) return noted;
    if (slot_exists_) {
      if (auto gone = drop_slot(to_.source, settings_.slot); !gone) return gone;
    }
    auto slot = to_.stream.create_slot(settings_.slot);
    if (!slot) return pass(slot);
    to_.position.lsn = slot->consistent_point;
    return take_in(intakes, dropped, slot->snapshot, slot->consistent_point);
  }

  /// Some tables as of a snapshot whose position in the log is known, from a slot of its own that goes at once. The stream's
  /// changes of these tables count from there on (CapturedTable::since).
  Status retake_some(const std::vector<Intake>& intakes, const std::vector<Dropped>& dropped) {
    if (std::ranges::none_of(intakes, &Intake::reads_source)) return take_in(intakes, dropped, {}, {});
    const std::string name = settings_.slot + "_copy";
    auto stale = read_slot(to_.source, name);
    if (!stale) return pass(stale);
    if (*stale) {
      if (auto gone = drop_slot(to_.source, name); !gone) return gone;
    }
    auto stream = ReplicationStream::open(with_exact_text(settings_.source));
    if (!stream) return pass(stream);
    auto slot = stream->create_slot(name);
    if (!slot && slot.error().code == ErrorCode::kTimedOut) return put_off(intakes, std::move(slot.error()));
    if (!slot) return pass(slot);
    auto done = take_in(intakes, dropped, slot->snapshot, slot->consistent_point);
    auto gone = stream->drop_slot(name);
    return done ? gone : done;
  }

  Status take_in(const std::vector<Intake>& intakes, const std::vector<Dropped>& dropped, const std::string& snapshot, Lsn point) {
    if (intakes.empty() && dropped.empty() && !loss_ && !begins_) return {};
    Retake retake(settings_, to_, clock_, log_);
    auto done = retake.run(intakes, dropped, snapshot, point, begins_ || (loss_ && loss_->forks));
    if (done || !retake.failed() || !is_of_table(done.error())) return done;
    return refuse(*retake.failed(), std::move(done.error()));
  }

  /// Transactions that stay open keep a snapshot from being made: the tables that need one have to wait, not the others.
  Status put_off(const std::vector<Intake>& intakes, Error why) {
    for (const Intake& intake : intakes) {
      if (!intake.reads_source()) continue;
      const CapturedTable& table = to_.tables.all[intake.table];
      // Asked for by a person, who is told; otherwise the shadow is not right until then.
      const bool asked = orders_.reconcile || orders_.continued.contains(table.configured);
      if (asked) return std::unexpected(std::move(why));
    }
    for (const Intake& intake : intakes) {
      if (!intake.reads_source()) continue;
      if (auto refused = refuse(intake.table, why); refused.error().code != ErrorCode::kInUse) return refused;
    }
    return fail(ErrorCode::kInUse, phrase("feed: tables have to wait until open transactions have ended"));
  }

  /// The table stays out; the preparation is to be begun again without it.
  Status refuse(std::size_t index, Error error) {
    const CapturedTable& table = to_.tables.all[index];
    log_.warning("feed.paused", {{"table", table.shown}, {"reason", error.message}});
    const KnownTable* known = begins_ ? nullptr : matched_[index];
    if (known != nullptr) {
      if (auto paused = pause_table(to_.mid_tier, known->id, error.message, error.code == ErrorCode::kTimedOut); !paused) return paused;
    }
    orders_.continued.erase(table.configured);
    orders_.refused.insert_or_assign(table.configured, std::move(error));
    return fail(ErrorCode::kInUse, phrase("feed: table {} can't be taken in", table.shown));
  }

  void drop_former_slot(const std::string& name) {
    auto slot = read_slot(to_.source, name);
    if (!slot || !*slot || (*slot)->foreign) return;
    auto dropped = drop_slot(to_.source, name);
    log_.info("feed.former_slot", {{"slot", name}, {"dropped", dropped ? "yes" : dropped.error().message}});
  }

  const FeedSettings& settings_;
  Orders& orders_;
  const Clock& clock_;
  Log& log_;
  Prepared& to_;
  std::vector<KnownTable> known_;
  std::vector<const KnownTable*> matched_;  // by table; nullptr: new
  std::set<std::string> published_;         // not until now
  std::optional<Loss> loss_;
  Csn told_;  // handed on, though the mid-tier does not know of it
  bool slot_exists_ = false;
  bool begins_ = false;
};

}  // namespace

postgres::ConnectionSettings with_exact_text(postgres::ConnectionSettings settings) {
  settings.options +=
      " options='-c datestyle=ISO,YMD -c intervalstyle=postgres -c extra_float_digits=3 -c timezone=UTC -c bytea_output=hex"
      " -c search_path=pg_catalog -c statement_timeout=0 -c lock_timeout=10s -c idle_in_transaction_session_timeout=0'";
  return settings;
}

Result<Prepared> prepare(const FeedSettings& settings, Orders& orders, const Clock& clock, Log& log) {
  const auto exact = with_exact_text(settings.source);
  auto source = Connection::open(exact);
  if (!source) return pass(source, "source database");
  if (auto checked = check_server(*source); !checked) return pass(checked);
  auto mid_tier = Connection::open(settings.mid_tier);
  if (!mid_tier) return pass(mid_tier, "mid-tier database");
  auto stream = ReplicationStream::open(exact);
  if (!stream) return pass(stream);
  Prepared prepared{std::move(*source), std::move(*mid_tier), std::move(*stream), {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, false};
  if (auto done = Setup(settings, orders, clock, log, prepared).run(); !done) return pass(done);
  prepared.states = table_states(prepared.tables);
  return prepared;
}

}  // namespace verbund::feed
