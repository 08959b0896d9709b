#include "base/messages.h"
#include "access/accounts.h"

namespace verbund::access {

std::string_view to_wire(Role role) {
  switch (role) {
    case Role::kAdministrator: return "administrator";
    case Role::kStaff: return "staff";
    case Role::kDevice: return "device";
  }
  return "staff";
}

Result<Role> role_from_wire(std::string_view text) {
  for (const Role role : {Role::kAdministrator, Role::kStaff, Role::kDevice}) {
    if (text == to_wire(role)) return role;
  }
  return fail(ErrorCode::kUsage, phrase("read a role: there is none named '{}'", text.substr(0, 40)),
              phrase("Roles are administrator, staff and device."));
}

bool has_right(Role role, Right right) {
  switch (role) {
    case Role::kAdministrator: return true;
    case Role::kStaff: return right == Right::kEditRecords || right == Right::kReadRecords || right == Right::kImport ||
                               right == Right::kReadHistory;
    // A device brings its records through its sync session, under the name of its user; it needs none of these.
    case Role::kDevice: return false;
  }
  return false;
}

}  // namespace verbund::access
