#include "platform/os/priority.h"

#include <sched.h>

namespace verbund::os {

void give_way() {
  const sched_param none{};
  (void)::sched_setscheduler(0, SCHED_IDLE, &none);
}

}  // namespace verbund::os
