#include "sync/device/freeze.h"

#include "platform/os/random.h"
#include "sync/device/kept_json.h"
#include "sync/device/tables.h"
#include "sync/model/rows.h"

namespace verbund::sync::device {

Result<std::map<std::string, Known>> known_subscriptions(sqlite::Database& database) {
  auto statement = database.prepare("SELECT name, csn, shape, layout FROM verbund_subscription");
  if (!statement) return pass(statement);
  std::map<std::string, Known> all;
  for (;;) {
    auto more = statement->step();
    if (!more) return pass(more);
    if (!*more) return all;
    auto layout = read_kept_layout(statement->text(3), statement->text(0));
    if (!layout) return pass(layout);
    const std::string name(statement->text(0));
    all[name] = {{name, Csn{static_cast<std::uint64_t>(statement->integer(1))}, std::string(statement->text(2))}, std::move(*layout)};
  }
}

Status freeze_changes(sqlite::Database& database, SyncRequest& request) {
  request.number = 1;  // of no meaning yet
  auto all = known_subscriptions(database);
  if (!all) return pass(all);
  std::vector<std::string> blocks;
  std::uint64_t rows = 0;
  for (const auto& [name, each] : *all) {
    BlockWriter writer(BlockHead::Kind::kUp, 1, static_cast<std::uint32_t>(blocks.size()));
    const UploadPart part{name, static_cast<std::uint32_t>(blocks.size()), 0, each.layout};
    const auto end_block = [&](bool last) -> Status {
      auto block = writer.take(last);
      if (block) blocks.push_back(std::move(*block));
      return block ? Status{} : pass(block);
    };
    auto read = read_changes(database, each.layout, [&](const UpRow& row) -> Status {
      if (auto added = writer.add(row); !added) return added;
      ++rows;
      return writer.full() ? end_block(false) : Status{};
    });
    if (read && writer.rows() > 0) read = end_block(true);
    if (read) read = forget_changes(database, each.layout);
    if (!read) return read;
    if (blocks.size() > part.first_block) request.parts.push_back({name, part.first_block, static_cast<std::uint32_t>(blocks.size()) - part.first_block, each.layout});
  }
  if (blocks.empty()) return {};
  auto number = database.value("UPDATE verbund_device SET upload = upload + 1 RETURNING upload");
  if (!number) return pass(number);
  request.upload = std::stoull(*number);
  std::string whole;
  for (std::size_t at = 0; at < blocks.size(); ++at) {
    auto insert = database.prepare("INSERT INTO verbund_upload_block VALUES (?, ?, ?)");
    if (!insert) return pass(insert);
    if (auto done = insert->integer(1, static_cast<std::int64_t>(request.upload)).integer(2, static_cast<std::int64_t>(at)).blob(3, blocks[at]).run(); !done) return done;
    whole += blocks[at];
  }
  request.upload_hash = os::blake2b_hex(whole);
  auto insert = database.prepare("INSERT INTO verbund_upload (number, hash, parts, rows) VALUES (?, ?, ?, ?)");
  if (!insert) return pass(insert);
  return insert->integer(1, static_cast<std::int64_t>(request.upload)).text(2, request.upload_hash).text(3, encode(request)).integer(4, static_cast<std::int64_t>(rows)).run();
}

}  // namespace verbund::sync::device
