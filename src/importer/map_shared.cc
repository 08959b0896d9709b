#include "importer/map_shared.h"

#include <boost/url.hpp>

namespace verbund::importer {
namespace {

/// "Patient?identifier=SYSTEM|VALUE", a conditional reference of a transaction.
std::optional<Identifier> conditional_identifier(std::string_view reference) {
  constexpr std::string_view kParameter = "identifier=";
  const auto at = reference.find(kParameter);
  if (at == std::string_view::npos) return {};
  auto value = reference.substr(at + kParameter.size());
  value = value.substr(0, value.find('&'));
  const auto encoded = boost::urls::make_pct_string_view(boost::core::string_view(value.data(), value.size()));
  if (!encoded) return {};
  const std::string decoded = encoded->decode();
  const auto bar = decoded.find('|');
  if (bar == std::string::npos || bar == 0 || bar + 1 == decoded.size()) return {};
  return Identifier{decoded.substr(0, bar), decoded.substr(bar + 1), {}, {}};
}

std::string type_of_reference(std::string_view reference) {
  const auto end = reference.find_first_of("/?");
  if (reference.starts_with("urn:") || reference.find("://") != std::string_view::npos) return {};
  return end == std::string_view::npos ? std::string() : std::string(reference.substr(0, end));
}

void add_identifiers(Link& link, std::vector<Identifier> identifiers) {
  for (auto& identifier : identifiers) {
    if (!identifier.system.empty()) link.candidates.push_back(std::move(identifier));
  }
}

void add_reference(const Reading& reading, std::string_view reference, std::string_view type, Link& link) {
  if (reference.starts_with('#')) {
    const auto* contained = reading.contained(reference);
    if (contained != nullptr && text_at(*contained, "resourceType") == type) add_identifiers(link, identifiers_of(*contained));
    return;
  }
  const auto named = type_of_reference(reference);
  if (!named.empty() && named != type) return;
  if (reference.find('?') != std::string_view::npos) {
    if (auto identifier = conditional_identifier(reference)) link.candidates.push_back(std::move(*identifier));
    return;
  }
  if (reading.context.aliases != nullptr) {
    const auto alias = reading.context.aliases->find(std::string(reference));
    if (alias != reading.context.aliases->end()) link.candidates.push_back(identity_of_key(alias->second));
  }
  link.candidates.push_back(identity_of_key(reference_key(reference, reading.context.base)));
}

}  // namespace

std::optional<PartialTime> Reading::time(const json::object& object, std::string_view name) {
  if (!object.contains(name)) return {};
  const auto text = text_at(object, name);
  auto parsed = text ? parse_partial_time(*text) : std::nullopt;
  if (!parsed) fail(SkipReason::kBadElement, std::string(name));
  return parsed;
}

std::optional<PartialDate> Reading::date(const json::object& object, std::string_view name) {
  if (!object.contains(name)) return {};
  const auto text = text_at(object, name);
  auto parsed = text ? parse_partial_date(*text) : std::nullopt;
  if (!parsed) fail(SkipReason::kBadElement, std::string(name));
  return parsed;
}

void Reading::period(std::string_view name, std::optional<PartialTime>& start, std::optional<PartialTime>& end) {
  const auto* found = object_at(resource, name);
  if (found == nullptr) return;
  start = time(*found, "start");
  end = time(*found, "end");
}

const json::object* Reading::contained(std::string_view reference) const {
  for (const auto* candidate : objects_at(resource, "contained")) {
    const auto id = text_at(*candidate, "id");
    // Some writers put the '#' into the id as well.
    if (id && (*id == reference.substr(1) || *id == reference)) return candidate;
  }
  return nullptr;
}

std::vector<Identifier> identifiers_of(const json::object& resource) {
  std::vector<Identifier> out;
  for (const auto* element : objects_at(resource, "identifier")) {
    auto value = text_at(*element, "value");
    if (!value) continue;
    Identifier identifier{text_at(*element, "system").value_or(""), std::move(*value), text_at(*element, "use"),
                          concept_at(*element, "type").display};
    const bool known = std::any_of(out.begin(), out.end(), [&](const auto& other) { return other.same_as(identifier); });
    if (!known) out.push_back(std::move(identifier));
  }
  return out;
}

Link link_of(const Reading& reading, const json::object* reference, std::string_view type) {
  Link link;
  if (reference == nullptr) return link;
  if (const auto text = text_at(*reference, "reference")) add_reference(reading, *text, type, link);
  const auto named = text_at(*reference, "type");
  if (!named || *named == type) {
    if (object_at(*reference, "identifier") != nullptr) add_identifiers(link, identifiers_of(*reference));
  }
  return link;
}

std::string key_of(const json::object& resource, const Context& context) {
  if (!context.full_url.empty()) return reference_key(context.full_url, context.base);
  const auto id = text_at(resource, "id");
  const auto type = text_at(resource, "resourceType");
  return id && type ? reference_key(fmt::format("{}/{}", *type, *id), context.base) : std::string();
}

void identify_child(const Reading& reading, std::string_view type, ChildRow& row) {
  Identifier identity;
  if (auto key = key_of(reading.resource, reading.context); !key.empty()) {
    identity = identity_of_key(std::move(key));
  } else {
    for (auto& identifier : identifiers_of(reading.resource)) {
      if (!identity.system.empty() || identifier.system.empty()) continue;
      identity = std::move(identifier);
    }
  }
  // A resource that nobody can name is the same one only if it says the same.
  if (identity.system.empty()) {
    identity = {std::string(kSystemContent), fmt::format("{}/{}", type, content_digest(json::serialize(reading.resource))), {}, {}};
  }
  row.id = row_id(identity);
  row.identifier_system = std::move(identity.system);
  row.identifier_value = std::move(identity.value);
}

}  // namespace verbund::importer
