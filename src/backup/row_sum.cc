#include "backup/row_sum.h"

#include <new>

#include <fmt/format.h>
#include <xxhash.h>

namespace verbund::backup {
namespace {

constexpr std::string_view kEnd = "\\.";

}  // namespace

Hash64::Hash64() : state_(XXH3_createState()) {
  if (!state_) throw std::bad_alloc();
  begin();
}
Hash64::Hash64(Hash64&&) noexcept = default;
Hash64& Hash64::operator=(Hash64&&) noexcept = default;
Hash64::~Hash64() = default;

void Hash64::Free::operator()(XXH3_state_s* state) const { XXH3_freeState(state); }

void Hash64::begin() { XXH3_64bits_reset(state_.get()); }
void Hash64::update(std::string_view bytes) { XXH3_64bits_update(state_.get(), bytes.data(), bytes.size()); }
std::uint64_t Hash64::value() const { return XXH3_64bits_digest(state_.get()); }
std::uint64_t Hash64::of(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

std::string HashSum::text() const {
  return fmt::format("c{:016x}{:016x}", static_cast<std::uint64_t>(sum_ >> 64), static_cast<std::uint64_t>(sum_));
}

void RowSum::end_of_line(std::string_view last) {
  if (!within_) {
    over_ = last == kEnd;
    if (over_) return;
    sum_.add(Hash64::of(last));
  } else {
    within_ = false;
    head_.append(last.substr(0, kEnd.size() + 1 - std::min(head_.size(), kEnd.size() + 1)));
    over_ = head_ == kEnd;
    if (over_) return;
    line_.update(last);
    sum_.add(line_.value());
  }
  ++rows_;
}

void RowSum::take(std::string_view bytes) {
  while (!bytes.empty() && !over_) {
    const auto end = bytes.find('\n');
    if (end != std::string_view::npos) {
      end_of_line(bytes.substr(0, end));
      bytes.remove_prefix(end + 1);
      continue;
    }
    if (!within_) {
      line_.begin();
      head_.clear();
      within_ = true;
    }
    if (head_.size() <= kEnd.size()) head_.append(bytes.substr(0, kEnd.size() + 1 - head_.size()));
    line_.update(bytes);
    return;
  }
}

}  // namespace verbund::backup
