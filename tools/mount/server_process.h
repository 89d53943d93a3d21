// SPDX-License-Identifier: GPL-2.0-only
// Starting the server, waiting until its file system answers, and ending it if it does not.
//
// A libfuse server's first process ends with status 0 once it has put itself into the background;
// INIT is answered only after that. So the mount counts as done when both have happened: the first
// process has ended well, and the root of the mount has answered. A server that stays in the
// foreground is left running once the root answers.
#pragma once

#include "mount/failure.h"

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace fusewb {

// Who the server runs as, and who owns the connection.
struct Account {
    uid_t user;
    gid_t group;
    std::string name; // empty: the caller as it is
    std::string home;
};

// The account that setuid=NAME means; an empty name means the caller.
Result<Account> find_account(const std::string &name);

// The absolute path of the program, looked up as execvp(3) would. Fails with
// ExitCode::mount_failure if there is none that can be run.
Result<std::string> find_server(const std::string &name);

struct WaitLimits {
    // From the end of the first process to the answer of the root.
    std::chrono::milliseconds answer{60'000};
    // How long a first process may outlive the answer before it counts as a foreground server,
    // and how long one may live on after it has dropped the connection.
    std::chrono::milliseconds settle{2'000};
};

// Starts a server and waits for its file system. One at a time in a process, which has to be
// single-threaded: it collects every child, and takes SIGCHLD, SIGINT, SIGTERM and SIGHUP.
class ServerProcess {
public:
    ServerProcess();
    // Leaves the server running.
    ~ServerProcess();
    ServerProcess(const ServerProcess &) = delete;
    ServerProcess &operator=(const ServerProcess &) = delete;

    // Runs `path` with `arguments` (argv[0] first) as `account`; it inherits `device` open.
    Status start(const std::string &path, const std::vector<std::string> &arguments, int device,
                 const Account &account);

    // `ask` runs in a child process of its own, so that it may block: it asks the file system a
    // question and returns 0 or an errno. `name` is the server's, for the failure's words.
    Status wait_for_answer(const std::string &name, const std::function<int()> &ask,
                           const WaitLimits &limits = {});

    // Ends every process that descends from this one, first with SIGTERM, then with SIGKILL.
    void end_all();

private:
    struct Progress;
    void reap(Progress &progress) const;

    int signals_ = -1; // a signalfd
    pid_t first_ = -1; // the server's first process
};

} // namespace fusewb
