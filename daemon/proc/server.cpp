// SPDX-License-Identifier: GPL-2.0-only
#include "proc/server.h"

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <systemd/sd-login.h>

namespace fusewb::proc {

model::Server identify(pid_t pid) {
    model::Server server;
    if (pid <= 0)
        return server;
    std::error_code error;
    const auto exe = std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/exe", error);
    if (!error)
        server.executable = exe.string();
    char *unit = nullptr;
    if (sd_pid_get_unit(pid, &unit) >= 0 && unit) {
        const std::unique_ptr<char, decltype(&std::free)> owned(unit, std::free);
        server.unit = unit;
    }
    return server;
}

} // namespace fusewb::proc
