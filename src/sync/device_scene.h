#pragma once
/// A device with its SQLite file on a sync server of the same process, for the tests of this folder.
#include <gtest/gtest.h>

#include "sync/device/device.h"
#include "sync/server/sync_scene.h"
#include "testing/scratch_directory.h"

namespace verbund::sync::testing_scene {

using server::testing_scene::SyncScene;

/// A function call instead of a wire; calls may be lost on the way there or back.
class Loopback final : public DeviceTransport {
 public:
  explicit Loopback(SyncScene& scene) : scene_(scene) {}
  Result<DeviceAnswer> call(const DeviceCall& call, std::stop_token stop) override {
    ++calls;
    if (stop.stop_requested()) return fail(ErrorCode::kCancelled, "cancelled");
    if (before && !before(call)) return fail(ErrorCode::kNotReachable, "the call did not arrive");
    if (arrived) arrived(call);
    auto answer = scene_.service().handle(call, "127.0.0.1");
    if (after && !after(call)) return fail(ErrorCode::kNotReachable, "the answer did not arrive");
    if (!answer) answer = server::error_answer(answer.error());
    received += answer->body.size();
    if (seen) seen(call, *answer);
    return answer;
  }
  [[nodiscard]] std::string address() const override { return answers_at; }
  std::function<bool(const DeviceCall&)> before, after;
  std::string answers_at;  ///< as of a transport that knows several places
  std::function<void(const DeviceCall&, const DeviceAnswer&)> seen;  ///< what came back
  std::function<void(const DeviceCall&)> arrived;  ///< before it is handled
  int calls = 0;
  std::size_t received = 0;

 private:
  SyncScene& scene_;
};

class Tablet {
 public:
  Tablet(SyncScene& scene, const std::string& user) : line(scene), file(directory.path() / "tablet.db") {
    auto enrolled = device::Device::enrol(file, {{"server"}, ""}, {user, "Tablet"}, line, clock);
    if (!enrolled) throw std::runtime_error(enrolled.error().message);
    open_app();
  }
  /// Somebody has copied the file.
  Tablet(SyncScene& scene, Tablet& of) : line(scene), file(directory.path() / "copy.db") {
    of.sql("VACUUM INTO '" + file.string() + "'");
    open_app();
  }

  /// A device object of its own each time, as a program that was started again.
  device::SyncReport sync(std::stop_token stop = {}) {
    auto opened = device::Device::open(file, clock);
    if (!opened) throw std::runtime_error(opened.error().message);
    device::SyncEvents events;
    auto report = opened->sync(line, "", events, std::move(stop));
    if (!report) throw std::runtime_error(report.error().message);
    return std::move(*report);
  }
  void expect_synced() {
    last = sync();
    EXPECT_EQ(device::name_of(last.result), "succeeded") << (last.error ? last.error->message : "");
    for (const auto& session : last.sessions) EXPECT_FALSE(session.error) << session.subscription << ": " << session.error->message;
  }
  void sql(std::string_view statements) {
    if (auto done = app_->execute(statements); !done) throw std::runtime_error(done.error().message);
  }
  std::string value(std::string_view query) {
    auto found = app_->value(query);
    return found ? *found : found.error().message;
  }
  device::Device open() { return std::move(device::Device::open(file, clock).value()); }
  [[nodiscard]] std::uint64_t fetched() const {
    std::uint64_t rows = 0;
    for (const auto& session : last.sessions) rows += session.upserted + session.deleted;
    return rows;
  }

  testing::ScratchDirectory directory;
  server::testing_scene::JumpingClock clock;
  Loopback line;
  std::filesystem::path file;
  device::SyncReport last;

 private:
  void open_app() {
    app_ = std::make_unique<sqlite::Database>(std::move(sqlite::Database::open(file, sqlite::Database::Mode::kOpen, milliseconds{5000}).value()));
    sql("PRAGMA foreign_keys = ON");
  }

  std::unique_ptr<sqlite::Database> app_;
};

}  // namespace verbund::sync::testing_scene
