#include "node/adapters/audit_trail.h"

namespace verbund::node {

void PostgresAuditTrail::record(const std::string& actor, const std::string& action, const std::string& object,
                                const std::string& detail) {
  access::AuditEntry entry{0, clock_.wall(), actor, action, object, detail};
  const auto lost = [this, actor, action, object](const Error& error) {
    log_.error("audit.not_written", {{"actor", actor}, {"action", action}, {"object", object}, {"error", error.message}});
  };
  auto submitted = workers_.submit([this, entry = std::move(entry), lost] {
    if (auto written = access::record_audit(pool_, clock_, entry); !written) lost(written.error());
  });
  if (!submitted) lost(submitted.error());
}

}  // namespace verbund::node
