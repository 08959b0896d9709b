// The model behind pair_engine_simtest: what machines, network and PostgreSQL do.
#include <algorithm>

#include "mirror/pair_journal.h"
#include "mirror/pair_world_model.h"

namespace verbund::mirror {

std::string to_string(const PairWorld::Counts& counts) {
  return fmt::format(
      "{} commits, {} lost as announced, {} kills, {} switchovers, {} of them failed, promotions {} none {} bounded {} "
      "unknown, {} without a person, {} fences, {} rejoins, {} mirrors copied anew, {} logs salvaged, {} leases lapsed, {} calls to the witness for production, it was killed {} times",
      counts.commits, counts.lost, counts.kills, counts.switchovers + counts.switchovers_failed, counts.switchovers_failed,
      counts.promotions_none, counts.promotions_bounded, counts.promotions_unknown, counts.promotions_within, counts.fences, counts.rejoins, counts.copied_anew, counts.salvaged, counts.lapses,
      counts.asks, counts.witness_kills);
}

PairWorld::PairWorld(std::uint64_t seed, Counts& counts) : random_(seed), counts_(counts) {
  smooth_ = std::array<std::uint64_t, 3>{1, 5, 25}[random_() % 3];
  set_up_witness();
  for (std::size_t i = 0; i < 2; ++i) {
    PairRecord& record = machines_[i].record;
    record.member = i + 1;
    record.stage = i == 0 ? Stage::kServing : Stage::kFollowing;
    record.term = record.seen = Term{1};
    record.alone = i == 0;  // as after `mirror invite`: until the mirror has been heard following
    machines_[i].server.standby = i == 1;
    boot(i);
  }
}

void PairWorld::tell(std::string line) {
  const double at = std::chrono::duration<double>(now_.time_since_epoch()).count() - 1000;
  story_.push_back(fmt::format("{:9.3f} {}", at, line));
  if (story_.size() > 120) story_.pop_front();
}

std::string PairWorld::story() const {
  std::string text;
  for (const std::string& line : story_) text += line + '\n';
  return text;
}

std::uint64_t PairWorld::commits(const Server& server) {
  return static_cast<std::uint64_t>(std::ranges::count_if(server.wal, [](const Entry& entry) { return entry.commit != 0; }));
}

bool PairWorld::prefix(const Server& shorter, const Server& longer) const {
  if (shorter.wal.size() > longer.wal.size()) return false;
  return shorter.wal.empty() || shorter.wal.back().written == longer.wal[shorter.wal.size() - 1].written;
}

ServerFacts PairWorld::facts(std::size_t index) const {
  const Server& server = machines_[index].server;
  const Server& other = machines_[1 - index].server;
  ServerFacts facts;
  facts.running = server.running;
  facts.standby = server.standby;
  const bool connected = !cut_[0] && !cut_[1] && other.running && !other.standby;
  facts.diverged = server.running && server.standby && connected && !prefix(server, other);
  const std::uint64_t number = commits(server) + 1;
  if (server.running || server.clean) facts.beat = {Lsn{position(server)}, number, number};
  return facts;
}

void PairWorld::step() {
  now_ += trouble(40) ? random_span(2'000, 20'000) : random_span(20, 400);
  disturb();
  disturb_network();
  if (has_witness_) disturb_witness();
  person();
  write();
  stream();
  advance();
}

/// Whoever has its disk in the hand has said that it stays off until the other one has gone on; few do not wait.
bool PairWorld::stays_off(std::size_t index) {
  Machine& machine = machines_[index];
  if (!machine.disk_out || machines_[1 - index].record.term > machine.record.term) return machine.disk_out = false;
  if (!calm_ && random_() % 20 != 0) return true;
  lied_ = true;
  return machine.disk_out = false;
}

void PairWorld::disturb() {
  for (std::size_t i = 0; i < 2; ++i) {
    Machine& machine = machines_[i];
    // Where only one of the two may go on, trouble comes oftener.
    const Stage stage = machine.record.stage;
    const std::uint64_t often = stage == Stage::kPromoting || stage == Stage::kHandedOver ? 12 : 1;
    if (machine.off && chance(40) && !stays_off(i)) {
      machine.off = false;
      machine.down_until = now_;
    } else if (!machine.off && trouble(400 / often)) {
      tell(fmt::format("machine {} loses power", i + 1));
      kill(i);
      machine.off = true;
      machine.server.clean = machine.server.clean && !machine.server.running;
      machine.server.running = machine.server.accepting = false;
    }
    if (!machine.off && machine.engine && trouble(120 / often)) kill(i);
    if (machine.engine && trouble(200 / often)) {
      machine.frozen_until = now_ + random_span(1'000, 40'000);
      machine.server_frozen = chance(2);
      tell(fmt::format("machine {} freezes, its server {}", i + 1, machine.server_frozen ? "too" : "not"));
    }
    if (!machine.off && machine.server.running && trouble(300)) {
      machine.server.running = machine.server.accepting = machine.server.clean = false;
      tell(fmt::format("server {} crashes", i + 1));
    }
    if (!machine.off && !machine.engine && now_ >= machine.down_until) boot(i);
  }
}

void PairWorld::disturb_network() {
  for (std::size_t i = 0; i < 2; ++i) {
    if (!cut_[i] && trouble(machines_[i].record.stage == Stage::kPromoting ? 20 : 200)) cut_[i] = true, tell(fmt::format("from {} nothing gets through", i + 1));
    if (cut_[i] && chance(30)) cut_[i] = false, tell(fmt::format("from {} all gets through", i + 1));
  }
}

void PairWorld::person() {
  // Somebody looks after an office whose other machine is off.
  const std::size_t i = random_() % 2;
  if (!chance(machines_[1 - i].off ? 8 : 25)) return;
  Machine& machine = machines_[i];
  if (!awake(machine)) return;
  const bool lies = chance(60);
  const bool off = machines_[1 - i].off || lies;
  const pair::Claim claim = off ? pair::Claim::kPeerIsOff : pair::Claim::kNothing;
  accepted_ = false;
  switch (random_() % 8) {
    case 0: {
      const std::string token = token_of(machine.engine->report(local(i)));
      if (chance(4)) stream();  // what was read may be old when it is confirmed
      forced_ = true;
      hand_in(i, pair::PromoteRequested{token, claim});
      break;
    }
    case 1:
      if (!chance(3)) break;
      forced_ = true;
      hand_in(i, pair::FenceRequested{});
      if (accepted_) ++counts_.fences, tell(fmt::format("a person fences from {}", i + 1));
      break;
    case 2:
      forced_ = true;
      hand_in(i, pair::OpenRequested{claim});
      opened_by_hand_ = opened_by_hand_ || (accepted_ && off);
      if (accepted_ && off) (void)write_off(machine.server);
      if (accepted_) tell(fmt::format("a person opens {}{}", i + 1, lies ? ", with a lie" : ""));
      break;
    case 3: {
      const bool mirror = machine.record.stage == Stage::kFollowing;
      hand_in(i, pair::RejoinRequested{.anew = chance(4)});
      if (accepted_ && mirror) ++counts_.copied_anew;
      break;
    }
    case 4: {
      // Its disk in a person's hand.
      const Server& other = machines_[1 - i].server;
      if (machines_[1 - i].off && machine.record.stage == Stage::kFollowing && machine.server.standby && machine.server.running && prefix(machine.server, other)) {
        machine.server.wal = other.wal;
        hand_in(i, pair::Observed{facts(i)});
        hand_in(i, pair::Salvaged{facts(i).beat, claim});
        if (accepted_) ++counts_.salvaged, machines_[1 - i].disk_out = true;
        break;
      }
      [[fallthrough]];
    }
    default: hand_in(i, pair::SwitchoverRequested{}); break;
  }
  if (accepted_ && lies && !machines_[1 - i].off) lied_ = true;
}

void PairWorld::write() {
  for (int n = 0; n < 3; ++n) {
    const std::size_t client = random_() % client_terms_.size();
    const std::size_t i = random_() % 2;
    Machine& machine = machines_[i];
    // The first two speak through the node and carry the highest term they have met; the third only knows SQL.
    if (client < 2) {
      if (!awake(machine) || (cut_[i] && random_() % 2 == 0)) continue;
      hand_in(i, pair::TermSeen{client_terms_[client]});
      if (!machine.engine || !machine.engine->open()) continue;
      if (machine.record.term < client_terms_[client]) fail("a client is served in an older term than it carries");
      client_terms_[client] = machine.record.term;
    }
    if (writable(machine)) append(i, next_commit_++);  // acknowledged at once
  }
}

void PairWorld::append(std::size_t index, std::uint64_t commit) {
  Server& server = machines_[index].server;
  server.wal.push_back({commit, next_entry_++});
  const auto [term, fresh] = terms_.try_emplace(server.term.value, TermLog{index, server.wal});
  if (term->second.writer != index) return fail(fmt::format("two writers in term {}", server.term.value));
  if (!fresh) term->second.entries.push_back(server.wal.back());
  if (commit == 0) return;
  ++counts_.commits;
  committed_at_[commit] = now_;
  if (server.term < given_term_) fail(fmt::format("acknowledged in term {} after the mirror has taken over by itself in {}", server.term.value, given_term_.value));
}

void PairWorld::stream() {
  for (std::size_t i = 0; i < 2; ++i) {
    Machine& mirror = machines_[i];
    const Machine& other = machines_[1 - i];
    const bool frozen = now_ < mirror.frozen_until || (other.server_frozen && now_ < other.frozen_until);
    if (!mirror.server.running || !mirror.server.standby || !other.server.running || other.server.standby) continue;
    if (cut_[0] || cut_[1] || frozen || mirror.off || other.off || !prefix(mirror.server, other.server)) continue;
    const std::size_t missing = other.server.wal.size() - mirror.server.wal.size();
    const std::size_t count = calm_ ? missing : std::min<std::size_t>(missing, random_() % 12);
    for (std::size_t n = 0; n < count; ++n) mirror.server.wal.push_back(other.server.wal[mirror.server.wal.size()]);
  }
}

void PairWorld::advance() {
  std::vector<Flight> due;
  std::erase_if(flights_, [&](const Flight& flight) {
    if (flight.due > now_ || !(machines_[flight.to].off || !machines_[flight.to].engine || awake(machines_[flight.to]))) return false;
    due.push_back(flight);
    return true;
  });
  for (const Flight& flight : due) {
    Machine& machine = machines_[flight.to];
    if (!awake(machine)) continue;
    machine.answered = machine.answered || flight.status.heard_boots == machine.record.boots;
    hand_in(flight.to, pair::Heard{flight.status});
  }
  if (has_witness_) advance_witness();
  for (std::size_t i = 0; i < 2; ++i) {
    if (!awake(machines_[i])) continue;
    if (machines_[i].work && machines_[i].work->due <= now_) finish(i);
    if (!awake(machines_[i])) continue;
    hand_in(i, pair::Observed{facts(i)});
    hand_in(i, pair::Tick{});
  }
}

void PairWorld::boot(std::size_t index) {
  Machine& machine = machines_[index];
  machine.engine.emplace(machine.tuning);
  machine.answered = false;
  tell(fmt::format("agent {} begins: {} in {}", index + 1, to_string(machine.record.stage), machine.record.term.value));
  const nanoseconds age = chance(20) ? nanoseconds{-1} : seconds{chance(10) ? 10'000 : 5};
  // Now and then production was restored from a set meanwhile.
  if (machine.record.stage == Stage::kServing && !machine.server.running && chance(5)) {
    machine.begun = next_term(index + 1, Term{std::max(machine.begun, machine.record.term).value + 300});
  }
  hand_in(index, pair::Booted{machine.record, age, facts(index), false, machine.begun});
}

void PairWorld::kill(std::size_t index) {
  Machine& machine = machines_[index];
  if (!machine.engine) return;
  ++counts_.kills;
  tell(fmt::format("agent {} is killed", index + 1));
  const std::optional<Work> half = machine.work;
  machine.engine.reset();
  machine.work.reset();
  machine.frozen_until = {};
  machine.down_until = now_ + random_span(0, chance(5) ? 60'000 : 2'000);
  if (half && random_() % 2 == 0) (void)work(index, *half);  // done, but nobody was left to write it
}

void PairWorld::hand_in(std::size_t index, const pair::Event& event) {
  Machine& machine = machines_[index];
  if (!machine.engine || !broken_.empty()) return;
  for (const pair::Action& action : machine.engine->handle(event, local(index))) {
    if (trouble(1500)) return kill(index);
    std::visit([&](const auto& which) { carry_out(index, which); }, action);
  }
}

void PairWorld::carry_out(std::size_t index, const pair::Record& record) {
  const PairRecord& before = machines_[index].record;
  if (record.record.term < before.term) fail("a term goes back");
  if (record.record.seen < before.seen || record.record.declined < before.declined) fail("something is forgotten");
  if (before.stage != record.record.stage) {
    tell(fmt::format("{}: {} in {}, seen {}: {}", index + 1, to_string(record.record.stage), record.record.term.value,
                     record.record.seen.value, record.why));
  }
  machines_[index].record = record.record;
  if (const auto read = parse_pair_line(to_line({1, "2026-11-23T12:00:00.000000Z", record.record, record.why})); !read) fail("a record is written that can't be read: " + read.error().message);
}

void PairWorld::carry_out(std::size_t index, const pair::Send& send) {
  if (cut_[index] || trouble(30)) return;
  for (int copies = trouble(50) ? 2 : 1; copies > 0; --copies) {
    const nanoseconds delay = trouble(40) ? random_span(1'000, 60'000) : random_span(1, calm_ ? 20 : 300);
    flights_.push_back({1 - index, send.status, now_ + delay});
  }
}

void PairWorld::carry_out(std::size_t index, const pair::Do& task) {
  Machine& machine = machines_[index];
  if (machine.work) fail("two tasks at once");
  machine.work = Work{task.task, task.term, now_ + random_span(5, calm_ ? 50 : 900)};
}

void PairWorld::carry_out(std::size_t index, const pair::Close&) { machines_[index].server.accepting = false; }

void PairWorld::carry_out(std::size_t, const pair::Reply& reply) { accepted_ = reply.accepted; }

void PairWorld::carry_out(std::size_t index, const pair::Tell& tell_of) {
  tell(fmt::format("{}: {} {}", index + 1, tell_of.what, tell_of.reason));
  if (tell_of.what == "lease") ++counts_.lapses;
  if (tell_of.what == "automatic") forced_ = true;  // when it then does not come to its end a person decides
  if (tell_of.what == "switchover") ++(tell_of.reason.empty() ? counts_.switchovers : counts_.switchovers_failed);
}

void PairWorld::finish(std::size_t index) {
  const Work what = *machines_[index].work;
  machines_[index].work.reset();
  const bool done = work(index, what);
  if (trouble(30)) return kill(index);
  if (done) return hand_in(index, pair::Done{what.task, facts(index)});
  hand_in(index, pair::Failed{what.task, "bad luck", facts(index)});
}

bool PairWorld::work(std::size_t index, const Work& work) {
  Server& server = machines_[index].server;
  switch (work.task) {
    case Task::kCheckpoint: return !trouble(10);
    case Task::kDrain: server.accepting = false; return !trouble(10);
    case Task::kStop: return stop(index);
    case Task::kOpen:
      if (server.standby) fail("a mirror is opened as production");
      if (!machines_[index].answered && !machines_[index].record.alone) fail("opened at a start without an answer");
      if (trouble(10)) return false;
      server.running = server.accepting = server.clean = true;
      server.term = work.term;
      append(index, 0);
      return true;
    case Task::kFollow:
      if (server.running && !server.standby) fail("production that runs is made a mirror");
      if (trouble(10)) return false;
      server.standby = server.running = server.clean = true;
      return true;
    case Task::kPromote: return promote(index, work.term);
    case Task::kRejoin: return rejoin(index);
  }
  return false;
}

bool PairWorld::stop(std::size_t index) {
  Server& server = machines_[index].server;
  if (!server.running) return true;
  if (!server.standby) server.wal.push_back({0, next_entry_++});
  if (!server.standby && terms_.contains(server.term.value)) terms_.at(server.term.value).entries.push_back(server.wal.back());
  if (random_() % 4 != 0) {
    for (int i = 0; i < 20; ++i) stream();  // a fast shutdown waits for who is connected
  }
  server.clean = !trouble(15);
  server.running = server.accepting = false;
  return true;
}

bool PairWorld::promote(std::size_t index, Term term) {
  Server& server = machines_[index].server;
  if (!server.standby) return true;
  if (trouble(10)) return false;
  const PairRecord& record = machines_[index].record;
  Promotion promotion;
  promotion.report = record.report.value_or(LossReport{});
  promotion.believed_lies = lied_;
  promotion.forked_at = position(server);
  promotion.on_word = !record.peer_asks;
  promotion.written = next_entry_;
  for (const Entry& entry : server.wal) promotion.kept.insert(entry.commit);
  const std::size_t missing = write_off(server);
  if (record.given) check_given(index, term);
  std::uint64_t announced = 0;
  if (promotion.report.kind == LossKind::kBounded) announced = promotion.report.commits.value_or(missing);
  const bool counted = promotion.report.kind == LossKind::kNone || promotion.report.kind == LossKind::kBounded;
  if (counted && !lied_ && missing > announced) {
    fail(fmt::format("{} are missing at a promotion that announced {}", missing, to_string(promotion.report.kind)));
  }
  promotions_.push_back(std::move(promotion));
  switch (promotions_.back().report.kind) {
    case LossKind::kNone: ++counts_.promotions_none; break;
    case LossKind::kBounded: ++counts_.promotions_bounded; break;
    case LossKind::kWithin: ++counts_.promotions_within; break;
    case LossKind::kUnknown: ++counts_.promotions_unknown; break;
  }
  tell(fmt::format("{} is promoted to {}: {}", index + 1, term.value, to_string(promotions_.back().report.kind)));
  machines_[index].answered = true;
  server.standby = false;
  server.running = server.accepting = server.clean = true;
  server.term = term;
  append(index, 0);
  return true;
}

bool PairWorld::rejoin(std::size_t index) {
  Server& server = machines_[index].server;
  const Machine& other = machines_[1 - index];
  if (server.running) fail("data under a running server are replaced");
  if (chance(5) || cut_[0] || cut_[1] || other.off || !other.server.running || other.server.standby) return false;
  (void)write_off(other.server);
  server.wal = other.server.wal;
  server.standby = server.clean = true;
  ++counts_.rejoins;
  return true;
}

}  // namespace verbund::mirror
