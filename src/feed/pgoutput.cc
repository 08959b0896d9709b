#include "feed/pgoutput.h"
#include "base/messages.h"

namespace verbund::feed::pgoutput {
namespace {

/// PostgreSQL counts microseconds from 2000-01-01, which is this long after 1970-01-01.
constexpr microseconds kPostgresEpoch = seconds{946'684'800};

/// Reads big-endian fields; after the first failure every further read gives zero and the error stays.
class Reader {
 public:
  explicit Reader(std::string_view data) : data_(data) {}

  template <typename T>
  T number() {
    if (data_.size() - offset_ < sizeof(T)) return wrong<T>("the message ends early");
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) value = value << 8 | static_cast<unsigned char>(data_[offset_ + i]);
    offset_ += sizeof(T);
    return static_cast<T>(value);
  }
  char letter() { return number<char>(); }
  Lsn lsn() { return {number<std::uint64_t>()}; }

  WallTime time() {
    const auto since = number<std::int64_t>();
    if (since > std::numeric_limits<std::int64_t>::max() - kPostgresEpoch.count()) return wrong<WallTime>("a time is out of range");
    return WallTime{microseconds{since} + kPostgresEpoch};
  }

  std::string_view bytes(std::int64_t count) {
    if (count < 0) return wrong<std::string_view>("a length is negative");
    if (data_.size() - offset_ < static_cast<std::size_t>(count)) return wrong<std::string_view>("a value ends early");
    const auto text = data_.substr(offset_, static_cast<std::size_t>(count));
    offset_ += text.size();
    return text;
  }
  /// Up to a zero byte.
  std::string_view name() {
    const auto end = data_.find('\0', offset_);
    if (end == std::string_view::npos) return wrong<std::string_view>("a name has no end");
    const auto text = data_.substr(offset_, end - offset_);
    offset_ = end + 1;
    return text;
  }
  /// A count, refused when the rest of the message cannot hold that many things of at least `least` bytes.
  template <typename T>
  std::size_t count(std::size_t least) {
    const auto value = number<T>();
    if (value < 0 || static_cast<std::size_t>(value) > (data_.size() - offset_) / least) {
      return wrong<std::size_t>("a count is larger than the message");
    }
    return static_cast<std::size_t>(value);
  }

  template <typename T>
  T wrong(std::string_view why) {
    if (why_.empty()) {
      why_ = why;
      wrong_at_ = offset_;
    }
    offset_ = data_.size();
    return T{};
  }

  [[nodiscard]] bool ok() const { return why_.empty(); }
  Status finish(std::string_view kind) {
    if (why_.empty() && offset_ != data_.size()) wrong<char>("bytes are left over");
    if (why_.empty()) return {};
    return fail(ErrorCode::kBadStream, phrase("pgoutput, {}, byte {}: {}", kind, wrong_at_, why_));
  }

 private:
  std::string_view data_;
  std::size_t offset_ = 0;
  std::string_view why_;
  std::size_t wrong_at_ = 0;
};

Tuple read_tuple(Reader& in) {
  Tuple tuple(in.count<std::int16_t>(1));
  for (Value& value : tuple) {
    if (!in.ok()) break;
    switch (in.letter()) {
      case 'n': value.kind = Value::Kind::kNull; break;
      case 'u': value.kind = Value::Kind::kUnchanged; break;
      case 't':
        value.kind = Value::Kind::kText;
        value.text = in.bytes(in.number<std::int32_t>());
        break;
      case 'b': in.wrong<char>("a binary value, which was not asked for"); break;
      default: in.wrong<char>("a value of unknown kind");
    }
  }
  return tuple;
}

Begin read_begin(Reader& in) {
  Begin begin;
  begin.final_lsn = in.lsn();
  begin.commit_time = in.time();
  begin.xid = in.number<std::uint32_t>();
  return begin;
}

Commit read_commit(Reader& in) {
  if (in.number<std::uint8_t>() != 0) in.wrong<char>("unknown flags of a commit");
  Commit commit;
  commit.commit_lsn = in.lsn();
  commit.end_lsn = in.lsn();
  commit.commit_time = in.time();
  return commit;
}

Origin read_origin(Reader& in) {
  const Lsn lsn = in.lsn();
  return {lsn, in.name()};
}

Relation read_relation(Reader& in) {
  Relation relation;
  relation.id = in.number<std::uint32_t>();
  relation.schema = in.name();
  relation.table = in.name();
  relation.replica_identity = in.letter();
  // Flags, an empty name, type and modifier: ten bytes.
  relation.columns.resize(in.count<std::int16_t>(10));
  for (RelationColumn& column : relation.columns) {
    column.identity = (in.number<std::uint8_t>() & 1) != 0;
    column.name = in.name();
    column.type = in.number<std::uint32_t>();
    column.modifier = in.number<std::int32_t>();
  }
  return relation;
}

Type read_type(Reader& in) {
  Type type;
  type.id = in.number<std::uint32_t>();
  type.schema = in.name();
  type.name = in.name();
  return type;
}

Insert read_insert(Reader& in) {
  Insert insert;
  insert.relation = in.number<std::uint32_t>();
  if (in.letter() != 'N') in.wrong<char>("an insert without its new row");
  insert.row = read_tuple(in);
  return insert;
}

Update read_update(Reader& in) {
  Update update;
  update.relation = in.number<std::uint32_t>();
  char part = in.letter();
  if (part == 'K' || part == 'O') {
    update.old_kind = part == 'K' ? OldTuple::kKey : OldTuple::kFull;
    update.old = read_tuple(in);
    part = in.letter();
  }
  if (part != 'N') in.wrong<char>("an update without its new row");
  update.row = read_tuple(in);
  return update;
}

Delete read_delete(Reader& in) {
  Delete gone;
  gone.relation = in.number<std::uint32_t>();
  const char part = in.letter();
  if (part != 'K' && part != 'O') in.wrong<char>("a delete without its old row");
  gone.old_kind = part == 'K' ? OldTuple::kKey : OldTuple::kFull;
  gone.old = read_tuple(in);
  return gone;
}

Truncate read_truncate(Reader& in) {
  Truncate truncate;
  const auto number = in.number<std::int32_t>();
  const auto options = in.number<std::uint8_t>();
  truncate.cascade = (options & 1) != 0;
  truncate.restart_identity = (options & 2) != 0;
  for (std::int32_t i = 0; i < number && in.ok(); ++i) truncate.relations.push_back(in.number<std::uint32_t>());
  if (number < 0) in.wrong<char>("a count is negative");
  return truncate;
}

LogicalMessage read_message(Reader& in) {
  LogicalMessage message;
  message.transactional = (in.number<std::uint8_t>() & 1) != 0;
  message.lsn = in.lsn();
  message.prefix = in.name();
  message.content = in.bytes(in.number<std::int32_t>());
  return message;
}

template <typename T>
Result<Message> finished(Reader& in, T message, std::string_view kind) {
  if (auto whole = in.finish(kind); !whole) return pass(whole);
  return Message(std::move(message));
}

}  // namespace

Result<Message> decode(std::string_view data) {
  Reader in(data);
  switch (in.letter()) {
    case 'B': return finished(in, read_begin(in), "Begin");
    case 'C': return finished(in, read_commit(in), "Commit");
    case 'O': return finished(in, read_origin(in), "Origin");
    case 'R': return finished(in, read_relation(in), "Relation");
    case 'Y': return finished(in, read_type(in), "Type");
    case 'I': return finished(in, read_insert(in), "Insert");
    case 'U': return finished(in, read_update(in), "Update");
    case 'D': return finished(in, read_delete(in), "Delete");
    case 'T': return finished(in, read_truncate(in), "Truncate");
    case 'M': return finished(in, read_message(in), "Message");
    default: break;
  }
  if (data.empty()) return fail(ErrorCode::kBadStream, phrase("pgoutput, byte 0: an empty message"));
  return fail(ErrorCode::kBadStream,
              fmt::format("pgoutput, byte 0: unknown kind 0x{:02x}", static_cast<unsigned>(static_cast<unsigned char>(data[0]))));
}

}  // namespace verbund::feed::pgoutput
