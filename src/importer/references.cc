#include "importer/references.h"

#include <openssl/evp.h>

namespace verbund::importer {
namespace {

using Digest = std::array<unsigned char, 20>;

Digest sha1(std::string_view text) {
  Digest digest{};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr);
  return digest;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

/// "Type/id" at the end of a reference, and what stands before it.
struct Split {
  std::string_view base;  ///< without the '/' at its end
  std::string_view type_and_id;
  std::string_view id;
};

std::optional<Split> split_restful(std::string_view reference) {
  if (const auto history = reference.find("/_history/"); history != std::string_view::npos) {
    reference = reference.substr(0, history);
  }
  const auto before_id = reference.rfind('/');
  if (before_id == std::string_view::npos || before_id == 0 || before_id + 1 == reference.size()) return {};
  const auto before_type = reference.rfind('/', before_id - 1);
  const std::size_t type_at = before_type == std::string_view::npos ? 0 : before_type + 1;
  if (type_at >= before_id || reference[type_at] < 'A' || reference[type_at] > 'Z') return {};
  return Split{reference.substr(0, type_at == 0 ? 0 : type_at - 1), reference.substr(type_at),
               reference.substr(before_id + 1)};
}

}  // namespace

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const bool dash = at == 8 || at == 13 || at == 18 || at == 23;
    if (dash ? text[at] != '-' : std::isxdigit(static_cast<unsigned char>(text[at])) == 0) return false;
  }
  return true;
}

std::string base_of(std::string_view full_url) {
  if (!full_url.starts_with("http://") && !full_url.starts_with("https://")) return {};
  const auto split = split_restful(full_url);
  return split ? std::string(split->base) : std::string();
}

std::string reference_key(std::string_view reference, std::string_view base) {
  if (reference.starts_with("urn:")) return reference.starts_with("urn:uuid:") ? lower(reference) : std::string(reference);
  const auto split = split_restful(reference);
  if (!split) return std::string(reference);
  if (is_uuid(split->id)) return "urn:uuid:" + lower(split->id);
  const std::string_view own_base = split->base.empty() ? base : split->base;
  return own_base.empty() ? std::string(split->type_and_id) : fmt::format("{}/{}", own_base, split->type_and_id);
}

Identifier identity_of_key(std::string key) {
  const bool uri = key.find(':') != std::string::npos;
  return {std::string(uri ? kSystemUri : kSystemRelative), std::move(key), {}, {}};
}

std::string row_id(const Identifier& identity) {
  constexpr std::string_view kUuid = "urn:uuid:";
  if (identity.system == kSystemUri && identity.value.starts_with(kUuid)) {
    const auto uuid = std::string_view(identity.value).substr(kUuid.size());
    if (is_uuid(uuid)) return lower(uuid);
  }
  // The prefix is our name space: it must never change, or a second import would not find its rows.
  auto bytes = sha1(fmt::format("5d0a6b3e-verbund\x1f{}\x1f{}", identity.system, identity.value));
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0f) | 0x50);
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3f) | 0x80);
  std::string out;
  for (std::size_t at = 0; at < 16; ++at) {
    if (at == 4 || at == 6 || at == 8 || at == 10) out += '-';
    fmt::format_to(std::back_inserter(out), "{:02x}", bytes[at]);
  }
  return out;
}

std::string content_digest(std::string_view text) {
  std::string out;
  for (const auto byte : sha1(text)) fmt::format_to(std::back_inserter(out), "{:02x}", byte);
  return out;
}

}  // namespace verbund::importer
