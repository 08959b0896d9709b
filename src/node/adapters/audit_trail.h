#pragma once
/// cluster::AuditTrail by access: written on the worker pool; what can't be written goes to the log as an error.
#include "access/audit.h"
#include "cluster/service.h"
#include "platform/os/worker_pool.h"

namespace verbund::node {

class PostgresAuditTrail final : public cluster::AuditTrail {
 public:
  PostgresAuditTrail(postgres::Pool& pool, os::WorkerPool& workers, const Clock& clock, Log& log)
      : pool_(pool), workers_(workers), clock_(clock), log_(log) {}
  void record(const std::string& actor, const std::string& action, const std::string& object,
              const std::string& detail) override;

 private:
  postgres::Pool& pool_;
  os::WorkerPool& workers_;
  const Clock& clock_;
  Log& log_;
};

}  // namespace verbund::node
