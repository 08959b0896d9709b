#pragma once
/// A scratch database with the demo practice's tables, and record types read from a text. For this folder's tests.
#include <stdexcept>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "platform/os/file.h"
#include "records/record_types.h"
#include "testing/scratch_postgres.h"

namespace verbund::records {

/// As in the configuration that a new installation gets.
inline std::string practice_record() {
  auto text = os::read_file("schema/demo/records.toml");
  if (!text) throw std::runtime_error(text.error().message);
  return *text;
}

class PracticeTest : public ::testing::Test {
 protected:
  static postgres::Connection open() {
    auto connection = postgres::Connection::open(verbund::testing::ScratchPostgres::shared().database("records"));
    if (!connection) throw std::runtime_error(connection.error().message);
    return std::move(*connection);
  }
  void demo() {
    auto schema = os::read_file("schema/demo/praxis.sql");
    if (!schema) throw std::runtime_error(schema.error().message);
    sql(*schema);
  }
  void sql(std::string_view text) {
    if (auto done = source_.execute(text); !done) throw std::runtime_error(done.error().message);
  }
  Result<RecordTypes> types(std::string_view toml) {
    auto config = os::ConfigFile::parse_toml(toml, "verbund.toml");
    if (!config) throw std::runtime_error(config.error().message);
    auto loaded = RecordTypes::load(*config, source_);
    if (loaded) {
      const auto all_known = config->refuse_unknown();
      EXPECT_TRUE(all_known) << all_known.error().message;
    }
    return loaded;
  }
  RecordType type(std::string_view toml) {
    auto loaded = types(toml);
    if (!loaded) throw std::runtime_error(loaded.error().message + " | " + loaded.error().hint);
    return loaded->all().at(0);
  }

  postgres::Connection source_ = open();
};

/// Without the birth date behind the name.
inline std::vector<std::string> labels(const std::vector<ListedRecord>& records) {
  std::vector<std::string> found;
  for (const auto& record : records) found.push_back(record.label.substr(0, record.label.find(" * ")));
  return found;
}

}  // namespace verbund::records
