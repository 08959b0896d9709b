#include "importer/resources.h"

#include "base/messages.h"
#include "importer/references.h"

namespace verbund::importer {
namespace {

using Visit = std::function<bool(const Found&)>;

class ResourceWalk {
 public:
  ResourceWalk(std::string_view source, Medications& medications, const Visit& visit)
      : source_(source), medications_(medications), visit_(visit) {}

  bool document(const json::object& object) {
    if (text_at(object, "resourceType") == "Bundle") return bundle(object);
    Found found;
    found.context.base = source_;
    found.context.medications = &medications_;
    learn_medication(object, found.context);
    return resource(object, found);
  }

 private:
  bool resource(const json::object& object, Found& found) {
    if (text_at(object, "resourceType")) found.resource = &object;
    else found.problem = phrase("is not a FHIR resource (it has no resourceType)");
    return visit_(found);
  }

  Context context_of(const json::object& entry, const std::unordered_map<std::string, std::string>& aliases) const {
    Context context;
    context.full_url = text_at(entry, "fullUrl").value_or("");
    context.base = base_of(context.full_url);
    if (context.base.empty()) context.base = source_;
    context.aliases = &aliases;
    context.medications = &medications_;
    return context;
  }

  /// What later entries will refer to must be known before the first one is mapped.
  std::unordered_map<std::string, std::string> survey(const std::vector<const json::object*>& entries) {
    std::unordered_map<std::string, std::string> aliases;
    for (const auto* entry : entries) {
      const auto* object = object_at(*entry, "resource");
      if (object == nullptr) continue;
      const auto context = context_of(*entry, aliases);
      learn_medication(*object, context);
      const auto type = text_at(*object, "resourceType");
      const auto id = text_at(*object, "id");
      if (type && id && context.full_url.starts_with("urn:")) {
        aliases.emplace(fmt::format("{}/{}", *type, *id), reference_key(context.full_url, context.base));
      }
    }
    return aliases;
  }

  bool bundle(const json::object& object) {
    const auto entries = objects_at(object, "entry");
    const auto aliases = survey(entries);
    std::size_t number = 0;
    for (const auto* entry : entries) {
      ++number;
      if (!this->entry(*entry, number, aliases)) return false;
    }
    return true;
  }

  bool entry(const json::object& entry, std::size_t number, const std::unordered_map<std::string, std::string>& aliases) {
    const auto* object = object_at(entry, "resource");
    if (object != nullptr && text_at(*object, "resourceType") == "Bundle") return bundle(*object);
    Found found;
    found.entry = number;
    found.context = context_of(entry, aliases);
    const auto* request = object_at(entry, "request");
    if (request != nullptr && text_at(*request, "method") == "DELETE") {
      const auto url = text_at(*request, "url").value_or("");
      found.deletion_of = url.substr(0, url.find_first_of("/?"));
      if (found.deletion_of.empty()) found.deletion_of = "Resource";
      return visit_(found);
    }
    // A response without a body, or a search within a transaction: nothing to import, nothing lost.
    return object == nullptr ? true : resource(*object, found);
  }

  void learn_medication(const json::object& object, const Context& context) {
    if (text_at(object, "resourceType") != "Medication" || medications_.size() >= kMaxMedications) return;
    auto key = key_of(object, context);
    auto code = concept_at(object, "code");
    if (!key.empty() && code.display) medications_.insert_or_assign(std::move(key), std::move(code));
  }

  std::string source_;
  Medications& medications_;
  const Visit& visit_;
};

}  // namespace

void for_each_resource(const json::object& document, std::string_view source, Medications& medications, const Visit& visit) {
  ResourceWalk(source, medications, visit).document(document);
}

}  // namespace verbund::importer
