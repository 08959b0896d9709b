#include "protocol/sample_messages.h"

namespace verbund::protocol {
namespace {

const std::string kSecretHex(64, 'a');
const Cursor kCursor{{"00112233445566778899aabbccddeeff"}, Csn::of({1}, 14)};
const RecordKey kPatient{"patient", "4711"};
const RecordKey kLetter{"letter", R"(99,Größe\,1/2)"};
const WallTime kTime{microseconds{1'795'316'645'123'456}};

SessionView session() {
  return {
      {17}, "Empfang 1", "anna", "192.0.2.7", "mein-programm 1.0", SessionKind::kWorkstation, SessionState::kSuspect,
      kTime};
}

LockView lock() {
  return {kPatient,         FencingToken::of({{1}, 3}, 1), {17}, "Empfang 1", "anna", "2001:db8::7", kTime,
          "Befund \"neu\"", LockState::kReleasing,         2};
}

Watch some_watch() { return {{"patient", "letter"}, false, true}; }

Welcome welcome(bool resumed) {
  Welcome welcome;
  welcome.more = resumed;
  welcome.session = {17};
  welcome.secret = kSecretHex;
  welcome.resumed = resumed;
  welcome.node = "praxis-server";
  welcome.version = "0.1.0";
  welcome.epoch = {{1}, 3};
  welcome.mode = Mode::kClientServer;
  welcome.user = "anna";
  welcome.role = "staff";
  welcome.cursor = kCursor;
  welcome.lease = milliseconds{1500};
  welcome.servers = {"praxis-server:2222", "[2001:db8::1]:2222"};
  welcome.types = {"patient", "letter"};
  welcome.term_proof = "5.0123";
  welcome.sessions = {session()};
  welcome.locks = {lock()};
  if (resumed) {
    welcome.held = {{kPatient, FencingToken::of({{1}, 3}, 1)}};
    welcome.lost = {{kLetter, LockLostReason::kRefused}, {{"patient", "1"}, LockLostReason::kBroken}};
  }
  return welcome;
}

std::vector<RequestBody> session_requests() {
  Register by_password{.user = "anna",
                       .password = "geheim\"\\\n",
                       .token = {},
                       .ticket = {},
                       .workstation = "Empfang 1",
                       .app = "mein-programm 1.0",
                       .kind = SessionKind::kTool,
                       .language = Language::kGerman,
                       .watch = some_watch(),
                       .cursor = kCursor,
                       .term_proof = "5.0123"};
  Register by_token;
  by_token.token = kSecretHex;
  by_token.workstation = "Konsole";
  by_token.language = Language::kEnglish;
  by_token.watch.types = {};
  Register by_ticket;
  by_ticket.ticket = "t-1";
  Register shortest;
  shortest.workstation = "W";
  Resume resume{{17}, kSecretHex, "t-2", kCursor, some_watch(), {{kPatient, {281479271677953}}, {kLetter, {1}}}, "5.0123"};
  Resume shortest_resume{{18446744073709551615ULL}, kSecretHex, {}, {}, {}, {}};
  Resume ticket_resume{{}, {}, "t-3", {}, Watch{}, {}};
  return {by_password, by_token, by_ticket, shortest, resume, shortest_resume, ticket_resume, Beat{}, Goodbye{}};
}

std::vector<RequestBody> work_requests() {
  std::vector<RecordKey> most;
  for (std::size_t i = 0; i < kMaxKeysPerRequest; ++i) {
    most.push_back({"patient", std::to_string(i)});
  }
  return {Lock{{kPatient}, milliseconds{0}, {}, {}},
          Lock{{kPatient, kLetter}, kMaxWait, "r-1", "Befund \u2028 schreiben"},
          Lock{most, milliseconds{1}, {}, {}},
          Unlock{{kPatient, kLetter}, {}, Lsn{0x16B3748}, false, "r-2"},
          Unlock{{}, {281479271677953}, {}, true, {}},
          Cancel{"r-1"},
          Break{{kPatient}, "Rechner steht,\nAnna ist in Urlaub"},
          Break{{kPatient}, {}},
          Tell{"*", "Grüße 🙂\tund\r\nmehr", "r-3"},
          Tell{"17", "kurz", {}},
          Who{},
          Locks{"patient/"},
          Locks{},
          StatusQuery{},
          SetWatch{some_watch(), kCursor},
          SetWatch{},
          Changed{{{kLetter, ChangeOp::kInsert}, {kPatient, ChangeOp::kUpdate}, {kPatient, ChangeOp::kDelete}}, "r-4"},
          Changed{{{kLetter, ChangeOp::kDelete}}, {}}};
}

}  // namespace

std::vector<Request> sample_requests() {
  const std::vector<std::string> ids{"1", R"("a-\"1\"")", "", "-5", "18446744073709551615"};
  std::vector<Request> out;
  for (auto* part : {&session_requests, &work_requests}) {
    for (auto& body : part()) {
      out.push_back({{ids[out.size() % ids.size()]}, std::move(body)});
    }
  }
  return out;
}

std::vector<Reply> sample_replies() {
  const FencingToken token = FencingToken::of({{1}, 3}, 9);
  std::vector<ReplyBody> bodies{
      welcome(false),
      welcome(true),
      Redirect{2301, "t-1", milliseconds{10'000}},
      Granted{token, {{kPatient, token}, {kLetter, FencingToken::of({{1}, 3}, 2)}}, milliseconds{30'000}},
      Done{},
      BeatReply{kCursor},
      BeatReply{},
      Broken{{lock()}},
      Broken{},
      Delivered{2},
      SessionList{{session(), session()}, true},
      SessionList{},
      LockList{{lock()}, false},
      LockList{{}, true},
      StatusReply{R"({"node":"praxis-server","feed":{"state":"running","lag_bytes":0}})"}};
  Refused held{{ErrorCode::kHeld, "lock: patient/4711: Anna holds it", "Ask her."}, lock(), {}};
  Refused limited{{ErrorCode::kRateLimited, "register: too many attempts", {}}, {}, milliseconds{2000}};
  bodies.emplace_back(held);
  bodies.emplace_back(limited);
  bodies.emplace_back(Refused{{ErrorCode::kInternal, "x", "y"}, {}, {}});
  std::vector<Reply> out;
  for (auto& body : bodies) {
    out.push_back({{out.size() % 3 == 2 ? "" : out.size() % 3 == 1 ? R"("a-1")" : "7"}, std::move(body)});
  }
  return out;
}

std::vector<Event> sample_events() {
  Changes changes;
  changes.cursor = kCursor;
  changes.lsn = {0x16B3748};
  changes.time = kTime;
  Changes full = changes;
  full.by = {ChangeAuthor::How::kLock, {17}, "Empfang 1", "anna"};
  full.changes = {{kPatient, ChangeOp::kUpdate, RecordKey{"patient", "4710"}, {"observation", "address"}},
                  {kLetter, ChangeOp::kInsert, {}, {}},
                  {{"letter", "1"}, ChangeOp::kDelete, {}, {}}};
  full.bulk = {{"patient", 250'000}};
  full.truncated = {"letter"};
  full.by.how = ChangeAuthor::How::kMessage;
  std::vector<Event> out{SessionJoined{session()},
                         LockGranted{{lock()}},
                         LockReleased{{kPatient, kLetter}, {17}, true},
                         LockReleased{{kPatient}, {17}, false},
                         LockLost{{kPatient}, LockLostReason::kBroken, "chef", "Rechner steht"},
                         LockLost{{kPatient}, LockLostReason::kExpired, {}, {}},
                         changes,
                         full,
                         Snapshot{"cursor_too_old", kCursor},
                         MessageFrom{session(), "*", "Grüße 🙂", kTime},
                         Ping{},
                         FeedState{"running", {}},
                         FeedState{"stopped", "slot lost"},
                         FeedState{"running", {}, "the server keeps 1200 MB of WAL for the slot"},
                         FeedState{"behind", "slot lost", "disk", "Slot verloren", "Platte"}};
  for (const auto state : {SessionState::kActive, SessionState::kSuspect, SessionState::kReconnecting}) {
    out.emplace_back(SessionStateChanged{{17}, state});
  }
  for (const auto reason : {LeftReason::kGoodbye, LeftReason::kLost, LeftReason::kReplaced, LeftReason::kRemoved}) {
    out.emplace_back(SessionLeft{{17}, "Empfang 1", "anna", reason});
  }
  for (const auto reason :
       {ClosingReason::kSuperseded, ClosingReason::kTooSlow, ClosingReason::kShutdown, ClosingReason::kRemoved}) {
    out.emplace_back(Closing{reason, milliseconds{500}});
  }
  return out;
}

}  // namespace verbund::protocol
