// Whatever the bytes: members below the root, contents inside the file, or kDamaged.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "backup/folder_index.h"
#include "backup/tar_reader.h"

namespace {

class Bytes final : public verbund::backup::Source {
 public:
  explicit Bytes(std::string_view bytes) : bytes_(bytes) {}
  verbund::Result<std::size_t> read(std::span<char> into) override {
    const std::size_t part = std::min({into.size(), bytes_.size(), std::size_t{700}});
    std::memcpy(into.data(), bytes_.data(), part);
    bytes_.remove_prefix(part);
    return part;
  }

 private:
  std::string_view bytes_;
};

void check(const verbund::backup::TreeMember& member) {
  using namespace verbund::backup;
  if (!is_member_path(member.path) || member.path.starts_with('/')) std::abort();
  if (("/" + member.path + "/").find("/../") != std::string::npos) std::abort();
  if (member.type == MemberType::kHardLink && (member.link.empty() || !is_member_path(member.link))) std::abort();
  const auto again = parse_index_line(to_text(index_line(member)));
  if (member.type != MemberType::kFile && (!again || again->path != member.path || again->link != member.link)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace verbund::backup;
  Bytes source({reinterpret_cast<const char*>(data), size});
  TarReader reader(source);
  TreeMember member;
  while (true) {
    const auto more = reader.next(member);
    if (!more && more.error().code != verbund::ErrorCode::kDamaged) std::abort();
    if (!more || !*more) return 0;
    check(member);
    std::uint64_t bytes = 0;
    while (true) {
      const auto piece = reader.content();
      if (!piece || piece->bytes.empty()) break;
      if (piece->offset > member.size || piece->bytes.size() > member.size - piece->offset) std::abort();
      bytes += piece->bytes.size();
    }
    if (bytes > member.stored()) std::abort();
  }
}
