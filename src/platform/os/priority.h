#pragma once
/// Who goes first when the processors are busy. Any thread; source: sched(7), SCHED_IDLE, which is about one thread.

namespace verbund::os {

/// The calling thread, and the children that it starts from now on, take only time that nobody else wants, until it ends. Best
/// effort: whoever may not, goes on as before.
void give_way();

}  // namespace verbund::os
