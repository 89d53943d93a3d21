// SPDX-License-Identifier: GPL-2.0-only
#include "fusewbctl/bus.h"

#include <csignal>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace fusewb::ctl {

// polkit's own agent. It says on a descriptor when it is registered, and does nothing where the
// desktop has one already.
PasswordAgent::PasswordAgent() {
    int ends[2];
    if (geteuid() == 0 || isatty(STDIN_FILENO) == 0 || pipe2(ends, O_CLOEXEC) < 0)
        return;
    const std::string parent = std::to_string(getpid());
    process_ = fork();
    if (process_ == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        const int ready = dup(ends[1]);
        execlp("pkttyagent", "pkttyagent", "--notify-fd", std::to_string(ready).c_str(),
               "--process", parent.c_str(), "--fallback", static_cast<char *>(nullptr));
        _exit(127);
    }
    close(ends[1]);
    char byte = 0;
    // It closes its end, or ends.
    while (process_ > 0 && read(ends[0], &byte, 1) > 0)
        ;
    close(ends[0]);
}

PasswordAgent::~PasswordAgent() {
    if (process_ <= 0)
        return;
    kill(process_, SIGTERM);
    waitpid(process_, nullptr, 0);
}

} // namespace fusewb::ctl
