#include "sync/server/rules_store.h"

#include <gmock/gmock.h>

#include "access/accounts.h"
#include "access/audit.h"
#include "sync/model/code.h"
#include "sync/server/devices.h"
#include "sync/server/migrations.h"
#include "sync/server/stored_directory.h"
#include "testing/scratch_postgres.h"
#include "testing/sim_clock.h"

namespace verbund::sync::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using postgres::Connection;
using verbund::testing::ScratchPostgres;
using verbund::testing::SimClock;

class NoLog final : public Log {
 public:
  void write(LogLevel, std::string_view, std::initializer_list<LogField>) override {}
};

constexpr std::string_view kNurses = R"([[subscription]]
name = "patients"
table = "patient"
columns = ["id", "name", "region", "active", "born"]
defaults = { status = "draft" }
filter = "region = :region AND active = true AND born >= '1920-1-2' AND nurse = :user"
rights = ["read", "insert", "update"]

[[subscription]]
name = "positions"
kind = "upload"
table = "position"

[[set]]
name = "rounds"
subscriptions = ["patients", "positions"]

[[group]]
name = "nurses"
sets = ["rounds"]
parameters = { region = "007" }

[[user]]
name = "anna"
group = "nurses"

[[user]]
name = "berta"
group = "nurses"
parameters = { region = 8 }
)";

Rules read(std::string_view text) {
  auto rules = read_rules(text, "test.toml");
  EXPECT_TRUE(rules) << rules.error().message;
  return rules ? std::move(*rules) : Rules{};
}

class SyncRules : public ::testing::Test {
 protected:
  void SetUp() override {
    const postgres::MigrationSet sets[] = {access::migrations(), migrations()};
    const auto migrated = postgres::migrate(mid_tier_, sets, log_);
    ASSERT_TRUE(migrated) << migrated.error().message;
    const auto made = source_.execute(
        "CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE DOMAIN nurse_name AS text;"
        "CREATE TABLE patient (id bigint PRIMARY KEY, name text NOT NULL, region integer, active boolean, born date, nurse nurse_name, status text NOT NULL,"
        " level numeric, mood mood, short character(5), note json, made timestamptz NOT NULL DEFAULT now(), code varchar(3), more text NOT NULL DEFAULT 'x');"
        "CREATE TABLE position (id uuid PRIMARY KEY, at point); CREATE TABLE keyless (a integer)");
    ASSERT_TRUE(made) << made.error().message;
  }

  /// What fit_rules says against patients with other lines instead of its own.
  std::vector<std::string> faults(std::string_view lines, std::string_view users = "") {
    auto rules = read(fmt::format("[[subscription]]\nname = \"p\"\n{}\n[[set]]\nname=\"s\"\nsubscriptions=[\"p\"]\n[[group]]\nname=\"g\"\nsets=[\"s\"]\n{}", lines, users));
    auto found = fit_rules(source_, rules);
    EXPECT_TRUE(found) << found.error().message;
    std::vector<std::string> said;
    for (const auto& one : *found) said.push_back(one.english());
    return said;
  }

  std::vector<RuleChange> apply(const Rules& rules, Applying mode = Applying::kInForce) {
    auto changes = apply_rules(mid_tier_, rules, mode, clock_.wall());
    EXPECT_TRUE(changes) << changes.error().message;
    return changes ? std::move(*changes) : std::vector<RuleChange>{};
  }

  std::string one(std::string_view sql) {
    auto rows = mid_tier_.query(sql);
    return rows ? std::string(rows->text(0, 0)) : rows.error().message;
  }

  EnrolReply enrolled(const std::string& user = "anna") {
    auto invitation = invite(mid_tier_, {user, "", std::string(32, 'f'), std::chrono::minutes{60}}, clock_.wall());
    EXPECT_TRUE(invitation) << invitation.error().message;
    auto reply = enrol(mid_tier_, {invitation->code, "tablet"}, clock_.wall());
    EXPECT_TRUE(reply) << reply.error().message;
    return *reply;
  }

  Result<DeviceIdentity> call(const EnrolReply& device) { return authenticate(mid_tier_, "Device " + device.device + ":" + device.secret, "10.0.0.7", clock_.wall()); }

  SimClock clock_;
  NoLog log_;
  postgres::ConnectionSettings settings_ = ScratchPostgres::shared().database("sync_rules");
  Connection mid_tier_ = std::move(Connection::open(settings_).value());
  Connection source_ = std::move(Connection::open(ScratchPostgres::shared().database("sync_rules_source")).value());
};

TEST_F(SyncRules, FitTheSourceInTheFormThatItsTypesPrint) {
  auto rules = read(kNurses);
  const auto found = fit_rules(source_, rules);
  ASSERT_TRUE(found) << found.error().message;
  for (const auto& fault : *found) ADD_FAILURE() << fault.english();
  EXPECT_EQ(to_string(rules.subscriptions[0].filter), "region = :region AND active = 't' AND born >= '1920-01-02' AND nurse = :user");
  EXPECT_EQ(rules.groups[0].parameters.at("region"), "7");
  EXPECT_EQ(rules.users[1].parameters.at("region"), "8");
  auto again = rules;
  EXPECT_THAT(*fit_rules(source_, again), IsEmpty());
  EXPECT_EQ(again, rules);
}

TEST_F(SyncRules, AreRefusedWhereTheyDoNotFitTheSource) {
  EXPECT_THAT(faults("table = \"visit\""), ElementsAre("subscription 'p': the source has no table public.visit"));
  EXPECT_THAT(faults("table = \"keyless\""), ElementsAre("subscription 'p': table public.keyless has no primary key"));
  EXPECT_THAT(faults("table = \"patient\"\ncolumns = [\"name\", \"age\"]"),
              ElementsAre("subscription 'p': table public.patient has no column age", "subscription 'p': column id is part of the primary key and left out"));
  EXPECT_THAT(faults("table = \"patient\"\ncolumns = [\"id\", \"status\"]\nrights = [\"read\", \"insert\"]"),
              ElementsAre("subscription 'p': column name is left out, must not be NULL and has no default: nobody could insert"));
  EXPECT_THAT(faults("table = \"patient\"\ncolumns = [\"id\"]"), IsEmpty());
  EXPECT_THAT(faults("table = \"patient\"\nfilter = \"active = 'perhaps'\""), ElementsAre(HasSubstr("'perhaps' is no boolean")));
  EXPECT_THAT(faults("table = \"patient\"\nfilter = \"name > 'm'\""), ElementsAre(HasSubstr("by more or less")));
  EXPECT_THAT(faults("table = \"patient\"\nfilter = \"note = '{}'\""), ElementsAre(HasSubstr("has no equality")));
  EXPECT_THAT(faults("table = \"patient\"\nfilter = \"note IS NULL AND mood = 'good' AND level >= 1.50 AND short = 'ab' AND code = 'abcdef'\""), IsEmpty());
  EXPECT_THAT(faults("table = \"patient\"\nfilter = \"short = 'abcdef'\""), ElementsAre(HasSubstr("'abcdef' is no character(5)")));
  EXPECT_THAT(faults("table = \"patient\"\ncolumns = [\"id\", \"name\"]\ndefaults = { born = \"soon\" }\nrights = [\"insert\", \"read\"]"),
              ElementsAre(HasSubstr("column status"), "subscription 'p': default 'soon' of column born is no date"));
}

TEST_F(SyncRules, AreRefusedWithTheUserWhoseParameterDoesNotFit) {
  EXPECT_THAT(faults("table = \"patient\"\nfilter = \"region = :r\"", "[[user]]\nname=\"a\"\ngroup=\"g\"\nparameters={r=\"1\"}\n[[user]]\nname=\"b\"\ngroup=\"g\"\nparameters={r=\"north\"}"),
              ElementsAre("user 'b': 'north' is no integer, which the filter of subscription 'p' compares with column region"));
  EXPECT_THAT(faults("table = \"patient\"\nfilter = \"region = :user\"", "[[user]]\nname=\"a\"\ngroup=\"g\""), ElementsAre(HasSubstr("user 'a': 'a' is no integer")));
  EXPECT_THAT(faults("table = \"patient\"\nfilter = \"active = :user\"", "[[user]]\nname=\"true\"\ngroup=\"g\""), ElementsAre(HasSubstr("which writes it 't'")));
  EXPECT_THAT(faults("table = \"patient\"\nfilter = \"active = :p AND name = :p\"", "[[user]]\nname=\"a\"\ngroup=\"g\"\nparameters={p=\"t\"}"), IsEmpty());
  EXPECT_THAT(faults("table = \"patient\"\nfilter = \"level = :p AND region = :p\"", "[[user]]\nname=\"a\"\ngroup=\"g\"\nparameters={p=\"007\"}"), IsEmpty());
}

TEST_F(SyncRules, OfMembershipsAreHeldAgainstTheirTablesToo) {
  ASSERT_TRUE(source_.execute("CREATE SCHEMA tours; CREATE TABLE tours.care (patient_id integer, nurse text, since date, price numeric, code character(5), note json);"
                              "CREATE TABLE visit (id bigint PRIMARY KEY, care_nurse nurse_name, code character(6), price numeric(8,2), note json)"));
  const auto of = [&](std::string_view filter, std::string_view users = "") { return faults(fmt::format("table = \"patient\"\nfilter = \"{}\"", filter), users); };
  EXPECT_THAT(of("id IN (SELECT patient_id FROM tours.care WHERE nurse IN (SELECT care_nurse FROM visit))"), IsEmpty());  // integers of two sizes; a domain and its type
  EXPECT_THAT(of("id IN (SELECT patient_id FROM care)"), ElementsAre("subscription 'p': the source has no table public.care"));
  EXPECT_THAT(of("id IN (SELECT patient FROM tours.care)"), ElementsAre("subscription 'p': table tours.care has no column patient"));
  EXPECT_THAT(of("idd IN (SELECT patient_id FROM tours.care)"), ElementsAre("subscription 'p': table public.patient has no column idd"));
  EXPECT_THAT(of("name IN (SELECT patient_id FROM tours.care)"), ElementsAre("subscription 'p': filters can't compare column name of type text with column patient_id of type integer by IN"));
  EXPECT_THAT(of("short IN (SELECT code FROM visit)"), ElementsAre(HasSubstr("character(5) with column code of type character(6)")));
  EXPECT_THAT(of("level IN (SELECT price FROM tours.care)"), ElementsAre(HasSubstr("by IN")));  // 1 and 1.0 are equal, their texts are not
  EXPECT_THAT(of("note IN (SELECT note FROM visit)"), ElementsAre(HasSubstr("by IN")));
  EXPECT_THAT(of("id IN (SELECT patient_id FROM tours.care WHERE since >= 'soon')"), ElementsAre(HasSubstr("'soon' is no date, which column since is")));
  EXPECT_THAT(of("id IN (SELECT id FROM patient)"), ElementsAre("subscription 'p': its filter has table public.patient twice"));
  EXPECT_THAT(of("id IN (SELECT patient_id FROM tours.care) AND name IN (SELECT nurse FROM tours.care)"), ElementsAre(HasSubstr("tours.care twice")));
  const std::string_view users = "[[user]]\nname=\"a\"\ngroup=\"g\"\nparameters={p=\"x\"}";
  EXPECT_THAT(of("id IN (SELECT patient_id FROM tours.care WHERE patient_id = :p)", users), ElementsAre(HasSubstr("user 'a': 'x' is no integer")));
  auto rules = read("[[subscription]]\nname = \"p\"\ntable = \"patient\"\nfilter = \"id IN (SELECT patient_id FROM tours.care WHERE since >= '2026-1-2')\"\n");
  EXPECT_THAT(fit_rules(source_, rules).value(), IsEmpty());
  EXPECT_EQ(to_string(rules.subscriptions[0].filter), "id IN (SELECT patient_id FROM tours.care WHERE since >= '2026-01-02')");
  EXPECT_THAT(faults_of(read("[[subscription]]\nname = \"p\"\ntable = \"patient\"\nfilter = \"id IN (SELECT patient_id FROM tours.care WHERE nurse = :who)\"\n[[set]]\nname=\"s\"\nsubscriptions=[\"p\"]\n"
                             "[[group]]\nname=\"g\"\nsets=[\"s\"]\n[[user]]\nname=\"a\"\ngroup=\"g\"\n")).back().english(), HasSubstr("user 'a' has no parameter 'who'"));
}

TEST_F(SyncRules, AreAppliedOnceAndStandInTables) {
  auto rules = read(kNurses);
  ASSERT_TRUE(fit_rules(source_, rules));
  EXPECT_EQ(apply(rules, Applying::kDryRun).size(), 6U);
  EXPECT_EQ(rules_version(mid_tier_).value(), 0U);
  EXPECT_EQ(apply(rules).size(), 6U);
  EXPECT_THAT(apply(rules), IsEmpty());
  EXPECT_EQ(rules_version(mid_tier_).value(), 1U);
  EXPECT_EQ(load_rules(mid_tier_)->rules, rules);
  EXPECT_EQ(one("SELECT definition->>'filter' FROM sync.subscription WHERE name = 'patients' AND columns @> '{born}' AND rights = '{read,insert,update}'"),
            to_string(rules.subscriptions[0].filter));
  EXPECT_EQ(one("SELECT string_agg(user_name || group_name || parameters::text, ' ' ORDER BY user_name) FROM sync.member"), "annanurses{} bertanurses{\"region\": \"8\"}");
  EXPECT_EQ(one("SELECT sets::text || (SELECT subscriptions::text FROM sync.subscription_set) FROM sync.user_group"), "{rounds}{patients,positions}");
}

TEST_F(SyncRules, GiveASubscriptionAnotherVersionWhenItsRowsAreOthers) {
  auto rules = read(kNurses);
  ASSERT_TRUE(fit_rules(source_, rules));
  apply(rules);
  rules.subscriptions[0].rights.update = false;
  rules.subscriptions[0].max_rows = 7;
  EXPECT_EQ(apply(rules).size(), 1U);
  EXPECT_EQ(load_rules(mid_tier_)->versions.at("patients"), 1U);
  rules.subscriptions[0].filter.pop_back();
  apply(rules);
  const auto loaded = load_rules(mid_tier_);
  EXPECT_EQ(loaded->versions.at("patients"), 3U);
  EXPECT_EQ(loaded->versions.at("positions"), 1U);
  auto without = rules;
  without.subscriptions.erase(without.subscriptions.begin());
  without.sets[0].subscriptions.erase(without.sets[0].subscriptions.begin());
  apply(without);
  apply(rules);
  EXPECT_EQ(load_rules(mid_tier_)->versions.at("patients"), 5U);
}

TEST_F(SyncRules, AreRefusedWithoutEffectWhenTheyContradictThemselves) {
  auto rules = read(kNurses);
  apply(rules);
  rules.users[0].group = "doctors";
  rules.subscriptions[0].conflict = {ConflictPolicy::Kind::kFunction, "public.merge"};
  EXPECT_THAT(apply_rules(mid_tier_, rules, Applying::kInForce, clock_.wall()).error().message, HasSubstr("there is no group 'doctors'"));
  rules.users[0].group = "nurses";
  EXPECT_THAT(apply_rules(mid_tier_, rules, Applying::kInForce, clock_.wall()).error().message, HasSubstr("has no function \"public\".\"merge\""));
  EXPECT_EQ(rules_version(mid_tier_).value(), 1U);
  ASSERT_TRUE(mid_tier_.execute("CREATE FUNCTION public.merge(jsonb, jsonb, jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $2'"));
  EXPECT_EQ(apply(rules).size(), 1U);
}

TEST_F(SyncRules, LetADeviceEnrolOnceWithinTheTime) {
  apply(read(kNurses));
  const auto invitation = invite(mid_tier_, {"anna", "Anna's tablet", std::string(32, 'f'), std::chrono::minutes{60}}, clock_.wall());
  ASSERT_TRUE(invitation) << invitation.error().message;
  EXPECT_EQ(parse_enrol_code(invitation->code)->fingerprint, std::string(kEnrolFingerprintBytes, 'f'));
  const auto device = enrol(mid_tier_, {invitation->code, "android-7"}, clock_.wall());
  ASSERT_TRUE(device) << device.error().message;
  EXPECT_EQ(device->user, "anna");
  EXPECT_EQ(enrol(mid_tier_, {invitation->code, "android-7"}, clock_.wall()).error().code, ErrorCode::kUnauthenticated);
  const auto late = invite(mid_tier_, {"anna", "", "", std::chrono::minutes{60}}, clock_.wall());
  EXPECT_EQ(enrol(mid_tier_, {late->code, "x"}, clock_.wall() + std::chrono::minutes{61}).error().code, ErrorCode::kUnauthenticated);
  EXPECT_TRUE(enrol(mid_tier_, {late->code, "x"}, clock_.wall() + std::chrono::minutes{59}));
  EXPECT_EQ(invite(mid_tier_, {"carla", "", "", std::chrono::minutes{60}}, clock_.wall()).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(invite(mid_tier_, {"anna", "", "", std::chrono::minutes{0}}, clock_.wall()).error().code, ErrorCode::kUsage);
  EXPECT_EQ(invite(mid_tier_, {"anna", "a\nb", "", std::chrono::minutes{60}}, clock_.wall()).error().code, ErrorCode::kUsage);
  EXPECT_EQ(list_devices(mid_tier_)->front().name, "Anna's tablet");
  EXPECT_EQ(one(fmt::format("SELECT count(*) FROM sync.device WHERE secret_hash = '{}'", device->secret)), "0");
}

TEST_F(SyncRules, KnowADeviceByItsSecretAlone) {
  apply(read(kNurses));
  const auto device = enrolled();
  const auto identity = call(device);
  ASSERT_TRUE(identity) << identity.error().message;
  EXPECT_EQ(identity->user, "anna");
  EXPECT_EQ(identity->name, "tablet");
  const auto listed = list_devices(mid_tier_);
  EXPECT_EQ(listed->front().last_sync, clock_.wall());
  EXPECT_EQ(listed->front().last_address, "10.0.0.7");
  for (const auto& wrong : {"Device " + device.device + ":" + std::string(64, '0'), "Device 99:" + device.secret, "Bearer " + device.secret, std::string(),
                                  "Device x:" + device.secret, "Device " + device.device + ":"}) {
    EXPECT_EQ(authenticate(mid_tier_, wrong, "10.0.0.7", clock_.wall()).error().code, ErrorCode::kUnauthenticated) << wrong;
  }
}

TEST_F(SyncRules, RefuseADeviceThatIsDisabledOrRevokedAtOnce) {
  auto rules = read(kNurses);
  apply(rules);
  const auto device = enrolled();
  const auto id = parse_u64(device.device).value();
  ASSERT_TRUE(set_state(mid_tier_, id, DeviceState::kDisabled));
  EXPECT_EQ(call(device).error().code, ErrorCode::kForbidden);
  ASSERT_TRUE(set_state(mid_tier_, id, DeviceState::kActive));
  EXPECT_TRUE(call(device));
  rules.users[0].disabled = true;
  apply(rules);
  EXPECT_THAT(call(device).error().message, HasSubstr("user 'anna' is disabled"));
  EXPECT_EQ(invite(mid_tier_, {"anna", "", "", std::chrono::minutes{60}}, clock_.wall()).error().code, ErrorCode::kForbidden);
  rules.users.erase(rules.users.begin());
  apply(rules);
  EXPECT_THAT(call(device).error().message, HasSubstr("know no user 'anna'"));
  ASSERT_TRUE(set_state(mid_tier_, id, DeviceState::kRevoked));
  EXPECT_EQ(call(device).error().code, ErrorCode::kRevoked) << "the device removes its data when it hears this";
  EXPECT_THAT(call(device).error().message, HasSubstr("revoked"));
  EXPECT_EQ(set_state(mid_tier_, id, DeviceState::kActive).error().code, ErrorCode::kForbidden);
  EXPECT_EQ(set_state(mid_tier_, 99, DeviceState::kActive).error().code, ErrorCode::kNotFound);
}

TEST_F(SyncRules, ResetDevicesOfAUserAGroupOrAll) {
  apply(read(kNurses));
  const auto anna = enrolled("anna"), berta = enrolled("berta");
  EXPECT_EQ(reset(mid_tier_, {Whose::By::kUser, "anna"}).value(), 1U);
  EXPECT_EQ(call(anna)->generation, 2U);
  EXPECT_EQ(call(berta)->generation, 1U);
  EXPECT_EQ(reset(mid_tier_, {Whose::By::kGroup, "nurses"}).value(), 2U);
  EXPECT_EQ(reset(mid_tier_, {Whose::By::kDevice, berta.device}).value(), 1U);
  EXPECT_EQ(reset(mid_tier_, {Whose::By::kAll, ""}).value(), 2U);
  EXPECT_EQ(call(berta)->generation, 4U);
  EXPECT_EQ(reset(mid_tier_, {Whose::By::kUser, "carla"}).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(reset(mid_tier_, {Whose::By::kDevice, "x"}).error().code, ErrorCode::kNotFound);
}

TEST_F(SyncRules, AreHandedOutAsTheyAreNowAndEnrolmentsAreAudited) {
  postgres::Pool pool(settings_, 2, clock_);
  StoredDirectory directory(pool, clock_, log_);
  EXPECT_THAT((*directory.rules())->rules.users, IsEmpty());
  auto rules = read(kNurses);
  apply(rules);
  const auto first = *directory.rules();
  EXPECT_EQ(first->rules, rules);
  EXPECT_EQ(*directory.rules(), first);
  const auto invitation = invite(mid_tier_, {"anna", "", "", std::chrono::minutes{60}}, clock_.wall());
  const auto device = directory.enrol({invitation->code, "tablet"}, "10.0.0.9");
  ASSERT_TRUE(device) << device.error().message;
  EXPECT_TRUE(directory.authenticate("Device " + device->device + ":" + device->secret, "10.0.0.9"));
  const auto audit = access::list_audit(pool, clock_, 10, "anna", "sync.device");
  ASSERT_EQ(audit->size(), 1U);
  EXPECT_EQ(audit->front().object, device->device);
}

TEST_F(SyncRules, ACopyOfADeviceIsOneOfItsOwnOnce) {
  apply(read(kNurses));
  const auto anna = call(enrolled("anna")).value();
  const auto copy = split(mid_tier_, anna, "the call", clock_.wall());
  ASSERT_TRUE(copy) << copy.error().message;
  // The answer was lost, and it calls again.
  const auto again = split(mid_tier_, anna, "the call", clock_.wall());
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->device, copy->device);
  EXPECT_FALSE(call(*copy)) << "who has read the lost answer has nothing";
  EXPECT_EQ(call(*again).value_or(DeviceIdentity{}).split_from, anna.id);
  // It has called: whoever comes with that now is another one.
  const auto third = split(mid_tier_, anna, "the call", clock_.wall());
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, ErrorCode::kForbidden);
}

TEST_F(SyncRules, CopiesOfADeviceAreMadeTenTimesADay) {
  apply(read(kNurses));
  const auto anna = call(enrolled("anna")).value();
  for (int number = 0; number < 10; ++number) EXPECT_TRUE(split(mid_tier_, anna, fmt::format("call {}", number), clock_.wall()));
  const auto refused = split(mid_tier_, anna, "one more", clock_.wall());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kRateLimited);
  EXPECT_TRUE(split(mid_tier_, anna, "one more", clock_.wall() + std::chrono::hours{25}));
}

TEST_F(SyncRules, WhoIsWrongAgainAndAgainWaitsAndNobodyElseDoes) {
  postgres::Pool pool(settings_, 2, clock_);
  StoredDirectory directory(pool, clock_, log_);
  apply(read(kNurses));
  const auto anna = enrolled("anna"), berta = enrolled("berta");
  const auto code_of = [](const auto& tried) { return tried ? ErrorCode::kInternal : tried.error().code; };
  const auto unknown = to_text(EnrolCode{std::string(kEnrolSecretBytes, 'x'), std::string(kEnrolFingerprintBytes, 'f')});
  for (int tries = 0; tries < 20; ++tries) {
    EXPECT_EQ(code_of(directory.authenticate("Device " + anna.device + ":wrong", "10.0.0.9")), ErrorCode::kUnauthenticated);
    EXPECT_EQ(code_of(directory.enrol({unknown, "tablet"}, "10.0.0.10")), ErrorCode::kUnauthenticated);
  }
  EXPECT_EQ(code_of(directory.authenticate("Device " + anna.device + ":" + anna.secret, "10.0.0.9")), ErrorCode::kRateLimited);
  EXPECT_TRUE(directory.authenticate("Device " + berta.device + ":" + berta.secret, "10.0.0.9")) << "another device behind the same address";
  EXPECT_TRUE(directory.authenticate("Device " + anna.device + ":" + anna.secret, "10.0.0.11")) << "the same from elsewhere";
  EXPECT_EQ(code_of(directory.enrol({unknown, "tablet"}, "10.0.0.10")), ErrorCode::kRateLimited);
}

}  // namespace
}  // namespace verbund::sync::server
