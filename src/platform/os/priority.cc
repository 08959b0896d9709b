#include "platform/os/priority.h"

#include <sys/resource.h>
#include <unistd.h>

namespace verbund::os {

void give_way() { (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 10); }

}  // namespace verbund::os
