#include "sync/device/inbox.h"

#include <array>
#include <fstream>

#include "base/messages.h"
#include "sync/model/rows.h"

namespace verbund::sync::device {
namespace {

constexpr std::size_t kAhead = 4;  // blocks; each at most kMaxBlockBytes, as a rule 100 KB

void append_size(std::string& to, std::size_t size) {
  for (int shift = 0; shift < 32; shift += 8) to.push_back(static_cast<char>(size >> shift & 0xff));
}

}  // namespace

Inbox::Inbox(std::filesystem::path file, std::string session, Fetch fetch, std::stop_token stop)
    : path_(std::move(file)), session_(std::move(session)), fetch_(std::move(fetch)), stop_(std::move(stop)), fetching_([this](const std::stop_token& own) { run(own); }) {}

Inbox::~Inbox() {
  fetching_.request_stop();
  changed_.notify_all();
}

void Inbox::hand_over(Result<std::optional<std::string>> block) {
  const std::scoped_lock lock(mutex_);
  ready_.push_back(std::move(block));
  changed_.notify_all();
}

bool Inbox::wait_for_room(const std::stop_token& own) {
  std::unique_lock lock(mutex_);
  return changed_.wait(lock, own, [&] { return ready_.size() < kAhead; });
}

/// What an earlier attempt has left of this session.
Inbox::Kept Inbox::read_kept(std::uint32_t& number, const std::stop_token& own) {
  std::ifstream file(path_, std::ios::binary);
  std::string head;
  std::uintmax_t whole = 0;
  if (file && std::getline(file, head) && head == session_) {
    whole = session_.size() + 1;
    for (;;) {
      std::array<unsigned char, 4> size_bytes{};
      if (!file.read(reinterpret_cast<char*>(size_bytes.data()), size_bytes.size())) break;
      const std::size_t size = size_bytes[0] | std::size_t{size_bytes[1]} << 8 | std::size_t{size_bytes[2]} << 16 | std::size_t{size_bytes[3]} << 24;
      if (size > kMaxBlockBytes) break;
      std::string block(size, '\0');
      if (!file.read(block.data(), static_cast<std::streamsize>(size))) break;
      auto read = BlockReader::open(block, BlockHead::Kind::kDown);  // a torn one is fetched again
      if (!read || read->head().number != number) break;
      whole += size_bytes.size() + size;
      ++number;
      const bool last = read->head().last;
      if (!wait_for_room(own)) return Kept::kEnded;
      hand_over(std::optional(std::move(block)));
      if (last) return Kept::kWhole;
    }
  }
  file.close();
  std::error_code failed;
  if (whole > 0) {
    std::filesystem::resize_file(path_, whole, failed);
  } else {
    std::ofstream fresh(path_, std::ios::binary | std::ios::trunc);
    fresh << session_ << '\n';
  }
  return Kept::kPart;
}

/// The file spares work; without it everything is fetched again.
bool Inbox::keep(const std::string& block) {
  std::string record;
  append_size(record, block.size());
  record += block;
  std::ofstream file(path_, std::ios::binary | std::ios::app);
  return static_cast<bool>(file.write(record.data(), static_cast<std::streamsize>(record.size())));
}

void Inbox::run(const std::stop_token& own) {
  // Whoever ends it, by either way, does not wait for an answer that is not to come.
  std::stop_source either;
  const std::stop_callback ended(own, [&] { either.request_stop(); });
  const std::stop_callback cancelled(stop_, [&] { either.request_stop(); });
  std::uint32_t number = 0;
  const auto before = read_kept(number, own);
  if (before == Kept::kWhole) return hand_over(std::nullopt);
  bool kept = true;
  for (;;) {
    if (before == Kept::kEnded || !wait_for_room(own) || either.stop_requested()) return hand_over(fail(ErrorCode::kCancelled, phrase("sync: it was cancelled")));
    auto block = fetch_(number, either.get_token());
    if (!block) return hand_over(pass(block));
    if (!*block) continue;  // not ready
    auto head = read_block_head(**block);
    if (!head) return hand_over(pass(head));
    if (head->number != number) return hand_over(fail(ErrorCode::kBadMessage, phrase("sync: block {} came instead of {}", head->number, number)));
    kept = kept && keep(**block);
    ++number;
    hand_over(std::move(block));
    if (head->last) return hand_over(std::nullopt);
  }
}

Result<std::optional<std::string>> Inbox::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !ready_.empty(); });
  auto block = std::move(ready_.front());
  // The end is said as often as it is asked for.
  if (block && *block) {
    ready_.pop_front();
  } else {
    ready_.front() = block;
  }
  changed_.notify_all();
  return block;
}

void Inbox::forget() {
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

}  // namespace verbund::sync::device
