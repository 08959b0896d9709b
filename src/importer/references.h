#pragma once
/// References between resources, and the keys that rows get from them. Pure.
///
/// A resource is named by one reference key, whatever way a file spells it:
///   urn:uuid:… | urn:oid:… | http(s)://base/Type/id | Type/id (a file that does not say where it comes from)
/// An id that is a UUID is unique everywhere, so Type/<uuid> becomes urn:uuid:<uuid>. A relative reference belongs to the
/// base of the entry that holds it. Keys of different bases are never taken for each other: a value under the wrong
/// patient is worse than one that was left out.
#include <string>
#include <string_view>

#include "importer/rows.h"

namespace verbund::importer {

inline constexpr std::string_view kSystemUri = "urn:ietf:rfc:3986";
inline constexpr std::string_view kSystemRelative = "urn:verbund:fhir";
inline constexpr std::string_view kSystemContent = "urn:verbund:content";

[[nodiscard]] bool is_uuid(std::string_view text);

/// "http://host/fhir" of "http://host/fhir/Patient/7"; empty for URNs and what is no RESTful URL.
std::string base_of(std::string_view full_url);

/// The reference key of `reference` seen from an entry of `base` (may be empty). Not for '#…' and 'Type?…'.
std::string reference_key(std::string_view reference, std::string_view base);

/// A reference key as an identifier, the form in which patient_identifier and the children's identity hold it.
Identifier identity_of_key(std::string key);

/// The primary key that belongs to an identity: the UUID itself of urn:uuid:…, else a name-based one (RFC 4122, version
/// 5). The same file gives the same keys on every machine.
std::string row_id(const Identifier& identity);

/// SHA-1 in hex: names content, protects nothing.
std::string content_digest(std::string_view text);

}  // namespace verbund::importer
