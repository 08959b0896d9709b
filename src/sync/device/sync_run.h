#pragma once
// One sync of a device, step by step. Of device.cc alone.
#include "sync/device/device.h"
#include "sync/device/freeze.h"
#include "sync/device/inbox.h"
#include "sync/device/tables.h"

namespace verbund::sync::device {

class SyncRun {
 public:
  SyncRun(sqlite::Database& database, const std::filesystem::path& file, const Clock& clock, DeviceTransport& transport, const SyncEvents& events, std::stop_token stop);

  Result<SyncReport> run(const std::string& set);

 private:
  Status begin(const std::string& set);
  Result<SyncRequest> freeze(const std::string& set);
  Status send();
  Result<SyncReply> ask();
  Status open_lock();
  Status wait_in_line(const DeviceAnswer& answer);
  Error take_split(const DeviceAnswer& answer);
  Status begin_again(const SyncReply& reply);
  Status finish(const SyncReply& reply, SyncReport& report);
  SessionReport take_session(const Session& session, const SyncReply& reply);
  Status apply(const Session& session, const SyncReply& reply, SessionReport& report);
  Status apply_rows(const Session& session, Inbox& inbox, const std::vector<std::uint32_t>& fresh, SessionReport& report);
  Status write_table(const Session& session, const TableLayout* before, Inbox* inbox, SessionReport& report);
  Status note_subscription(const Session& session, const SyncReply& reply);
  Status check_references(const Session& session);
  Status reject_changes(const std::string& subscription, const TableLayout& layout, std::string_view reason, const std::function<bool(const UpRow&)>& which);
  Status reject_what_does_not_fit(const std::string& subscription, const TableLayout& layout, const TableLayout& before);
  Status note_outcomes(const Session& session, const SyncReply& reply);
  Status note_reject(const Session& session, const Outcome& outcome);
  Result<std::optional<UpRow>> sent_row(const Outcome& outcome, const TableLayout& layout);
  Status sync_folders(const std::string& set, SyncReport& report);
  Status note_servers(const SyncReply& reply);
  Status forget_decided(std::uint64_t safe);
  Status forget_others(const SyncReply& reply);
  void count(const SyncReply& reply, SyncReport& report) const;
  Result<DeviceAnswer> call(std::string method, std::string target, std::string body);

  sqlite::Database& database_;
  const std::filesystem::path& file_;
  const Clock& clock_;
  DeviceTransport& transport_;
  const SyncEvents& events_;
  std::stop_token stop_;
  std::string authorization_;
  SyncRequest request_;
  bool resumed_ = false;
  bool asked_ = false;  ///< the server wants sums, with the next sync
  std::uint64_t sent_ = 0;
  std::vector<FolderName> folders_;
  std::vector<Reject> new_rejects_;
};

/// The API's error JSON. Errors that are none of ours are kInternal.
Error error_of(const DeviceAnswer& answer);
/// As row_json has it; the key's values as a list.
std::string key_json(const std::vector<Value>& key);
/// For people and programs: numbers as numbers, blobs as hex text.
std::string row_json(const TableLayout& layout, const std::vector<Value>& values);

}  // namespace verbund::sync::device
