#pragma once
/// Who goes first when the processors are busy. Any thread; source: setpriority(2), which on Linux is about one thread.

namespace verbund::os {

/// The calling thread, and the children that it starts from now on, give way to others (nice 10) until it ends. Best effort: whoever
/// may not, goes on as before.
void give_way();

}  // namespace verbund::os
