// SPDX-License-Identifier: GPL-2.0-only
// set, abort
#include "fusewbctl/assignment.h"
#include "fusewbctl/commands.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <sys/wait.h>
#include <unistd.h>

namespace fusewb::ctl {

namespace {

// As a shell would tell of it.
int statusOf(int wait) { return WIFSIGNALED(wait) ? 128 + WTERMSIG(wait) : WEXITSTATUS(wait); }

int run(const std::vector<std::string> &command) {
    const pid_t child = fork();
    if (child < 0)
        throw Problem{Exit::Failure, std::string("cannot start a process: ") + strerror(errno)};
    if (child == 0) {
        std::vector<char *> argv;
        for (const std::string &word : command)
            argv.push_back(const_cast<char *>(word.c_str()));
        argv.push_back(nullptr);
        execvp(argv[0], argv.data());
        const std::string text =
            "fusewbctl: cannot run " + command.front() + ": " + strerror(errno) + "\n";
        const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
        _exit(written < 0 || errno != ENOENT ? 126 : 127);
    }
    // What is typed to end it is for the command; the hold ends with it.
    std::signal(SIGINT, SIG_IGN);
    std::signal(SIGQUIT, SIG_IGN);
    int wait = 0;
    while (waitpid(child, &wait, 0) < 0 && errno == EINTR)
        ;
    return statusOf(wait);
}

} // namespace

Exit set(const std::string &which, const std::vector<std::string> &words) {
    const Assignments assignments = parseAssignments(words);
    Bus bus;
    const PasswordAgent agent;
    const Connection connection = bus.find(which);
    if (!assignments.values.empty())
        bus.set(connection.path, assignments.values);
    if (!assignments.reset.empty())
        bus.reset(connection.path, assignments.reset);
    return Exit::Success;
}

int setWhile(const std::string &which, const std::vector<std::string> &words,
             const std::vector<std::string> &command) {
    const Assignments assignments = parseAssignments(words);
    if (!assignments.reset.empty() || assignments.values.empty())
        throw Problem{Exit::Usage, "--while needs values, which it takes back afterwards"};
    Bus bus;
    sdbus::UnixFd hold;
    {
        const PasswordAgent agent;
        // The descriptor that comes back is not inherited: it ends with this process.
        hold = bus.hold(bus.find(which).path, assignments.values, command.front());
    }
    return run(command);
}

Exit abort(const std::string &which) {
    Bus bus;
    const PasswordAgent agent;
    bus.abort(bus.find(which).path);
    return Exit::Success;
}

} // namespace fusewb::ctl
