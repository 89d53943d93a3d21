// SPDX-License-Identifier: GPL-2.0-only
#include "mount/server_process.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>

namespace fusewb {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// mount(8) clears PATH before it calls a helper; servers live in any of these.
constexpr const char *default_path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

constexpr milliseconds term_patience{1'000};
constexpr milliseconds kill_patience{5'000};

sigset_t taken_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (int signal : {SIGCHLD, SIGINT, SIGTERM, SIGHUP})
        sigaddset(&set, signal);
    return set;
}

Failure system_failure(const std::string &what) {
    return {ExitCode::system, what + ": " + std::strerror(errno), ""};
}

bool can_run(const std::string &path) {
    struct stat status {};
    return stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
           access(path.c_str(), X_OK) == 0;
}

// In the child, between fork and exec: returns the errno of what went wrong.
int become_server(const std::string &path, const std::vector<std::string> &arguments, int device,
                  const Account &account) {
    const sigset_t set = taken_signals();
    sigprocmask(SIG_UNBLOCK, &set, nullptr);
    if (fcntl(device, F_SETFD, 0) != 0)
        return errno;
    if (!account.name.empty()) {
        if (initgroups(account.name.c_str(), account.group) != 0 || setgid(account.group) != 0 ||
            setuid(account.user) != 0)
            return errno;
        setenv("HOME", account.home.c_str(), 1);
        setenv("USER", account.name.c_str(), 1);
        setenv("LOGNAME", account.name.c_str(), 1);
    }
    // mount(8) clears HOME too, and servers keep their settings there.
    setenv("HOME", "/root", 0);
    setenv("PATH", default_path, 0);
    std::vector<char *> argv;
    for (const std::string &argument : arguments)
        argv.push_back(const_cast<char *>(argument.c_str()));
    argv.push_back(nullptr);
    execv(path.c_str(), argv.data());
    return errno;
}

// The errnos that the module itself answers with once a connection has ended.
bool means_disconnected(int error) {
    return error == ENOTCONN || error == ECONNABORTED || error == ECONNREFUSED;
}

std::string describe_status(int status) {
    if (WIFSIGNALED(status))
        return std::string("was killed by signal ") + strsignal(WTERMSIG(status));
    return "failed with exit status " + std::to_string(WEXITSTATUS(status));
}

// The parent of a process by its /proc/PID/stat; 0 if it has gone.
pid_t parent_of(const std::filesystem::path &process) {
    std::ifstream file(process / "stat");
    std::string line;
    std::getline(file, line);
    // The name, in parentheses, may have any characters in it.
    const std::size_t name_end = line.rfind(')');
    if (name_end == std::string::npos)
        return 0;
    std::istringstream fields(line.substr(name_end + 1));
    char state = 0;
    pid_t parent = 0;
    fields >> state >> parent;
    return parent;
}

// Children of this process, those it has inherited as a subreaper among them.
std::vector<pid_t> children() {
    const pid_t self = getpid();
    std::vector<pid_t> found;
    std::ifstream list("/proc/self/task/" + std::to_string(self) + "/children");
    for (pid_t child = 0; list >> child;)
        found.push_back(child);
    if (list.is_open())
        return found;
    // A kernel without CONFIG_PROC_CHILDREN.
    std::error_code error;
    for (const auto &entry : std::filesystem::directory_iterator("/proc", error)) {
        const std::string name = entry.path().filename();
        pid_t child = 0;
        const auto end = std::from_chars(name.data(), name.data() + name.size(), child);
        if (end.ptr == name.data() + name.size() && parent_of(entry.path()) == self)
            found.push_back(child);
    }
    return found;
}

// Sends `signal` to all children until none is left or `patience` has passed; true if none is.
bool end_children(int signal, milliseconds patience) {
    const Clock::time_point end = Clock::now() + patience;
    for (;;) {
        for (pid_t child : children())
            kill(child, signal);
        pid_t pid = 0;
        while ((pid = waitpid(-1, nullptr, WNOHANG)) > 0)
            ;
        if (pid < 0 && errno == ECHILD)
            return true;
        if (Clock::now() >= end)
            return false;
        poll(nullptr, 0, 20);
    }
}

} // namespace

Result<Account> find_account(const std::string &name) {
    if (name.empty())
        return Account{geteuid(), getegid(), "", ""};
    errno = 0;
    const passwd *entry = getpwnam(name.c_str());
    if (!entry)
        return Failure{ExitCode::usage, "there is no user '" + name + "'",
                       "give setuid= the name of an account"};
    return Account{entry->pw_uid, entry->pw_gid, name, entry->pw_dir};
}

Result<std::string> find_server(const std::string &name) {
    if (name.find('/') != std::string::npos) {
        char *real = realpath(name.c_str(), nullptr);
        const std::string path = real ? real : "";
        std::free(real);
        if (!path.empty() && can_run(path))
            return path;
        return Failure{ExitCode::mount_failure, "the server " + name + " is not a program",
                       "check its path and its mode"};
    }
    const char *variable = std::getenv("PATH");
    std::istringstream path(variable && *variable ? variable : default_path);
    for (std::string directory; std::getline(path, directory, ':');)
        if (const std::string candidate = directory + '/' + name;
            !directory.empty() && can_run(candidate))
            return candidate;
    return Failure{ExitCode::mount_failure, "the server " + name + " is not installed",
                   "install it, or write its full path before the '#'"};
}

ServerProcess::ServerProcess() {
    const sigset_t set = taken_signals();
    sigprocmask(SIG_BLOCK, &set, nullptr);
    signals_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    // A server in the background is nobody's child but init's; so it stays ours until it answers.
    prctl(PR_SET_CHILD_SUBREAPER, 1);
}

ServerProcess::~ServerProcess() {
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    close(signals_);
}

Status ServerProcess::start(const std::string &path, const std::vector<std::string> &arguments,
                            int device, const Account &account) {
    int report[2]; // carries the errno of a failed exec, and closes when exec succeeds
    if (pipe2(report, O_CLOEXEC) != 0)
        return system_failure("cannot make a pipe");
    first_ = fork();
    if (first_ == 0) {
        const int error = become_server(path, arguments, device, account);
        const ssize_t written = write(report[1], &error, sizeof(error));
        _exit(written == sizeof(error) ? 126 : 127);
    }
    const int fork_error = errno;
    close(report[1]);
    int error = 0;
    ssize_t got = 0;
    if (first_ > 0)
        while ((got = read(report[0], &error, sizeof(error))) < 0 && errno == EINTR)
            ;
    close(report[0]);
    if (first_ < 0) {
        errno = fork_error;
        return system_failure("cannot start a process");
    }
    if (got == sizeof(error))
        return Failure{ExitCode::mount_failure,
                       "the server " + path + " cannot be run: " + std::strerror(error),
                       "check the program and the user of setuid="};
    return std::monostate{};
}

struct ServerProcess::Progress {
    pid_t asker = -1;
    std::optional<int> first_status; // wait status of the server's first process
    std::optional<int> answer;       // errno of the question, or 0
};

void ServerProcess::reap(Progress &progress) const {
    int status = 0;
    for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid == first_)
            progress.first_status = status;
        else if (pid == progress.asker)
            progress.answer = WIFEXITED(status) ? WEXITSTATUS(status) : ECONNABORTED;
    }
}

Status ServerProcess::wait_for_answer(const std::string &name, const std::function<int()> &ask,
                                      const WaitLimits &limits) {
    Progress progress;
    progress.asker = fork();
    if (progress.asker < 0)
        return system_failure("cannot start a process");
    if (progress.asker == 0) {
        const sigset_t set = taken_signals();
        sigprocmask(SIG_UNBLOCK, &set, nullptr);
        _exit(ask());
    }

    const std::string server = "the server " + name;
    std::optional<Clock::time_point> deadline;
    auto limit = [&](milliseconds time) { deadline = Clock::now() + time; };
    bool seen_end = false;
    bool seen_answer = false;
    for (;;) {
        reap(progress);
        if (progress.first_status && !seen_end) {
            seen_end = true;
            if (*progress.first_status != 0)
                return Failure{ExitCode::mount_failure,
                               server + ' ' + describe_status(*progress.first_status),
                               "see its own message, and check its source and options"};
            limit(limits.answer);
        }
        if (progress.answer && !seen_answer) {
            seen_answer = true;
            limit(limits.settle);
        }
        const bool disconnected = progress.answer && means_disconnected(*progress.answer);
        const bool late = deadline && Clock::now() >= *deadline;
        if (disconnected && (seen_end || late))
            return Failure{ExitCode::mount_failure,
                           server + " ended before its file system answered",
                           "run it by hand with -f to see why"};
        if (progress.answer && !disconnected && (seen_end || late))
            return std::monostate{};
        if (late)
            return Failure{ExitCode::mount_failure,
                           server + " did not answer within " +
                               std::to_string(limits.answer.count() / 1000) + " s",
                           "run it by hand with -f -d to see where it waits"};

        int timeout = -1;
        if (deadline)
            timeout = static_cast<int>(std::max<milliseconds::rep>(
                1, std::chrono::duration_cast<milliseconds>(*deadline - Clock::now()).count()));
        pollfd waiter{signals_, POLLIN, 0};
        poll(&waiter, 1, timeout);
        for (signalfd_siginfo info{}; read(signals_, &info, sizeof(info)) == sizeof(info);)
            if (info.ssi_signo != SIGCHLD)
                return Failure{ExitCode::interrupted, "interrupted before " + server + " answered",
                               ""};
    }
}

void ServerProcess::end_all() {
    if (!end_children(SIGTERM, term_patience))
        end_children(SIGKILL, kill_patience);
}

} // namespace fusewb
