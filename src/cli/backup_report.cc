/// verbund backup report list, show, print, mail, deliver, test
#include <boost/json.hpp>

#include "backup/report/test_mail.h"
#include "cli/backup_publish.h"
#include "platform/os/file.h"

namespace verbund::cli {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

struct Options {
  std::string id, html, pdf;
  std::vector<std::string> to;
};

int list(const Globals& globals, const Options&) {
  auto at_hand = office_at_hand(globals);
  if (!at_hand) return report(globals, at_hand.error());
  auto all = backup::ReportStore(at_hand->office.directory).list();
  if (!all) return report(globals, all.error());
  if (globals.json) {
    json::array out;
    for (const auto& each : *all) {
      out.push_back(json::object{{"id", each.id}, {"outcome", each.outcome}, {"begun", each.begun}, {"night", each.night}, {"medium", each.medium}, {"unseen", each.unseen}});
    }
    fmt::print("{}\n", json::serialize(out));
    return 0;
  }
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  std::vector<std::vector<std::string>> rows;
  for (const auto& each : *all) {
    std::string outcome = each.outcome;
    for (const auto known : {backup::Report::Outcome::kOk, backup::Report::Outcome::kIncomplete, backup::Report::Outcome::kFailed, backup::Report::Outcome::kMissed}) {
      if (each.outcome == backup::outcome_name(known)) outcome = text(backup::outcome_msgid(known));
    }
    rows.push_back({each.id, outcome, local_time(each.begun), each.medium, each.unseen ? text("not seen yet") : ""});
  }
  print_table({text("REPORT"), text("OUTCOME"), text("BEGUN"), text("MEDIUM"), ""}, rows);
  return 0;
}

Status copy_form(const Globals& globals, const backup::ReportStore& store, const std::string& id, const char* form, const std::string& to) {
  auto content = os::read_file(store.file(id, form), backup::ReportStore::kMaxBytes);
  if (!content) return pass(content);
  if (auto written = os::write_file_atomically(fs::absolute(to), *content, 0600); !written) return written;
  if (!globals.json) fmt::print("{}\n", translated(globals.language, "written: {}", to));
  return {};
}

int show(const Globals& globals, const Options& options) {
  auto at_hand = office_at_hand(globals);
  if (!at_hand) return report(globals, at_hand.error());
  const backup::ReportStore store(at_hand->office.directory);
  auto found = store.find(options.id);
  if (!found) return report(globals, found.error());
  for (const auto& [form, to] : {std::pair{"html", options.html}, {"pdf", options.pdf}}) {
    if (to.empty()) continue;
    if (auto copied = copy_form(globals, store, found->id, form, to); !copied) return report(globals, copied.error());
  }
  if (options.html.empty() && options.pdf.empty()) {
    auto content = os::read_file(store.file(found->id, globals.json ? "json" : "txt"), backup::ReportStore::kMaxBytes);
    if (!content) return report(globals, content.error());
    fmt::print("{}", *content);
  }
  store.seen(found->id);
  return 0;
}

int print(const Globals& globals, const Options& options) {
  auto desk = desk_at_hand(globals);
  if (!desk) return report(globals, desk.error());
  const backup::ReportStore store(desk->at_hand.office.directory);
  auto found = store.find(options.id);
  if (!found) return report(globals, found.error());
  const auto& printer = desk->alarm.config().printer;
  if (printer.empty()) {
    return report(globals, make_error(ErrorCode::kNotFound, phrase("no printer is configured"), phrase("Name a queue as `printer` in [alarm] of config/verbund.toml.")));
  }
  const os::SystemClock clock;
  if (auto done = desk->alarm.print(store.file(found->id, "pdf"), "Verbund " + found->id, clock); !done) return report(globals, done.error());
  if (!globals.json) fmt::print("{}\n", translated(globals.language, "printed on {}", printer));
  return 0;
}

/// Tries the post now; what is left the node goes on with.
int deliver_now(const Globals& globals, alarm::Alarm& alarm) {
  const os::SystemClock clock;
  auto left = alarm.deliver(clock);
  if (!left) return report(globals, left.error());
  const auto troubles = alarm.current(alarm::kMailSource);
  if (globals.json) fmt::print("{{\"waiting\":{}}}\n", *left);
  else if (*left == 0) fmt::print("{}\n", translate(globals.language, "delivered"));
  else fmt::print("{}\n", translated(globals.language, "{} mails wait for delivery", *left));
  for (const auto& state : troubles) fmt::print(stderr, "{}\n", said(globals.language, state.text));
  return *left == 0 ? 0 : exit_code(ErrorCode::kNotDelivered);
}

int deliver(const Globals& globals, const Options&) {
  auto desk = desk_at_hand(globals);
  if (!desk) return report(globals, desk.error());
  return deliver_now(globals, desk->alarm);
}

int mail(const Globals& globals, const Options& options) {
  auto desk = desk_at_hand(globals);
  if (!desk) return report(globals, desk.error());
  const backup::ReportStore store(desk->at_hand.office.directory);
  auto found = store.find(options.id);
  if (!found) return report(globals, found.error());
  auto again = store.mail(found->id);
  if (!again) return report(globals, again.error());
  again->to = options.to;
  const os::SystemClock clock;
  if (auto put = desk->alarm.mail(std::move(*again), clock); !put) return report(globals, put.error());
  return deliver_now(globals, desk->alarm);
}

int test(const Globals& globals, const Options& options) {
  auto desk = desk_at_hand(globals);
  if (!desk) return report(globals, desk.error());
  const os::SystemClock clock;
  auto sent = backup::send_test_mail(desk->at_hand.office.directory, desk->alarm, options.to, clock);
  if (!sent) return report(globals, sent.error());
  return deliver_now(globals, desk->alarm);
}

}  // namespace

void add_backup_report(CLI::App& backup, Globals& globals, const Runner& run) {
  const auto text = [&](const char* msgid) { return std::string(translate(globals.language, msgid)); };
  auto options = std::make_shared<Options>();
  auto* command = backup.add_subcommand("report", text("look at the report of a run, send it, print it"));
  command->require_subcommand(1);
  const auto add = [&](const char* name, const std::string& what, int (*task)(const Globals&, const Options&)) {
    auto* sub = command->add_subcommand(name, what);
    sub->callback([&globals, run, options, task] { run([&globals, options, task] { return task(globals, *options); }); });
    return sub;
  };
  add("list", text("reports, oldest first"), list);
  const auto id = text("id, as `list` shows it; default: the newest");
  auto* showing = add("show", text("show a report; it counts as seen then"), show);
  showing->add_option("id", options->id, id);
  showing->add_option("--html", options->html, text("write it as HTML to this file"));
  showing->add_option("--pdf", options->pdf, text("write it as PDF to this file"));
  add("print", text("print it"), print)->add_option("id", options->id, id);
  const auto to = text("to these addresses; default: [mail] administrators");
  auto* mailing = add("mail", text("send it by mail once more"), mail);
  mailing->add_option("id", options->id, id);
  mailing->add_option("--to", options->to, to);
  add_report_ack(*command, globals, run);
  add("deliver", text("try the mails that wait now"), deliver);
  add("test", text("send a test mail that has to be acknowledged"), test)->add_option("--to", options->to, to);
}

}  // namespace verbund::cli
