// SPDX-License-Identifier: GPL-2.0-only
#include "proc/server.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <systemd/sd-login.h>
#include <unistd.h>

namespace fusewb::proc {

namespace {

// A process that may end, but not make its number another's unnoticed.
class PinnedProcess {
public:
    explicit PinnedProcess(pid_t pid) : fd_(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))) {}
    ~PinnedProcess() {
        if (fd_ >= 0)
            close(fd_);
    }
    PinnedProcess(const PinnedProcess &) = delete;
    PinnedProcess &operator=(const PinnedProcess &) = delete;

    bool held() const { return fd_ >= 0; }

    // Not a matter of rights: the answer EPERM comes from a process that is there.
    bool alive() const {
        return syscall(SYS_pidfd_send_signal, fd_, 0, nullptr, 0) == 0 || errno == EPERM;
    }

private:
    int fd_;
};

constexpr std::string_view deletedMark = " (deleted)";

void identifyExecutable(model::Server &server, const std::string &directory,
                        const std::string &root) {
    std::error_code error;
    std::string path = std::filesystem::read_symlink(directory + "/exe", error).string();
    if (error)
        return;
    struct stat running {};
    struct stat named {};
    if (path.ends_with(deletedMark)) {
        path.resize(path.size() - deletedMark.size());
        server.executableDoubt = "that file was replaced or removed since";
    } else if (stat((directory + "/exe").c_str(), &running) < 0 ||
               stat((root + path).c_str(), &named) < 0) {
        server.executableDoubt =
            std::string("that file cannot be looked at: ") + std::strerror(errno);
    } else if (running.st_dev != named.st_dev || running.st_ino != named.st_ino) {
        server.executableDoubt = "the file of that name is another one";
    }
    server.executable = std::move(path);
}

} // namespace

model::Server identify(pid_t pid, const std::string &root, const std::function<bool()> &still) {
    if (pid <= 0)
        return {};
    const PinnedProcess process(pid);
    if (!process.held())
        return {};
    model::Server server;
    identifyExecutable(server, "/proc/" + std::to_string(pid), root);
    char *unit = nullptr;
    if (sd_pid_get_unit(pid, &unit) >= 0 && unit) {
        const std::unique_ptr<char, decltype(&std::free)> owned(unit, std::free);
        server.unit = unit;
    }
    if (!process.alive() || !still())
        return {};
    return server;
}

} // namespace fusewb::proc
