// SPDX-License-Identifier: GPL-2.0-only
#include "support/passthrough.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>

#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "support/guest_test.h"

namespace fs = std::filesystem;

namespace fusewb::test {

namespace {

std::string find_server() {
    if (const char *path = std::getenv("PASSTHROUGH_LL"))
        return path;
    std::istringstream directories(std::getenv("PATH") ? std::getenv("PATH") : "");
    for (std::string directory; std::getline(directories, directory, ':');)
        if (access((directory + "/passthrough_ll").c_str(), X_OK) == 0)
            return directory + "/passthrough_ll";
    throw Skip("passthrough_ll is neither in PATH nor named by PASSTHROUGH_LL");
}

bool stopped(pid_t pid) {
    std::error_code ignored;
    for (const auto &thread :
         fs::directory_iterator("/proc/" + std::to_string(pid) + "/task", ignored)) {
        std::string stat = slurp(thread.path() / "stat");
        auto after_name = stat.rfind(')');
        if (after_name == std::string::npos || stat.compare(after_name, 3, ") T") != 0)
            return false;
    }
    return true;
}

} // namespace

Passthrough::Passthrough(const Options &options)
    : backing_(scratch() / (options.name + ".backing")) {
    std::string server = options.serve ? "the server of the test" : find_server();
    fs::create_directories(backing_);
    Fd device = open_device(options.type);
    mount_ = std::make_unique<Mount>(scratch() / (options.name + ".mnt"), device,
                                     options.mount_options, options.type);
    std::string server_options = "source=" + backing_.string();
    if (options.writeback)
        server_options += ",writeback";
    if (!options.server_options.empty())
        server_options += "," + options.server_options;
    fs::path log = scratch() / (options.name + ".log");
    std::string mount_point = "/dev/fd/" + std::to_string(device.get());

    std::cout.flush();
    std::fflush(nullptr);
    pid_ = static_cast<pid_t>(check(fork(), "fork"));
    if (pid_ == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        fcntl(device, F_SETFD, 0);
        dup2(open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600), STDERR_FILENO);
        if (options.serve)
            _exit(options.serve(backing_, mount_point));
        execl(server.c_str(), server.c_str(), "-f", "-o", server_options.c_str(),
              mount_point.c_str(), nullptr);
        std::perror(server.c_str());
        _exit(127);
    }
    device.reset();

    // Waits for FUSE_INIT; if the server cannot start its descriptor closes and this fails.
    struct statvfs statistics;
    check(statvfs(mount_->path().c_str(), &statistics), server + " does not serve: " + slurp(log));
}

Passthrough::~Passthrough() {
    cont();
    mount_.reset();
    if (pid_ < 0)
        return;
    // It reads ENODEV and exits.
    if (!wait_until(60s, [this] { return waitpid(pid_, nullptr, WNOHANG) == pid_; })) {
        ADD_FAILURE() << "the server does not end after umount: " << where_is(pid_);
        kill();
    }
}

void Passthrough::stop() {
    ::kill(pid_, SIGSTOP);
    if (!wait_until(10s, [this] { return stopped(pid_); }))
        throw std::runtime_error("the server does not stop: " + where_is(pid_));
}

void Passthrough::cont() {
    if (pid_ > 0)
        ::kill(pid_, SIGCONT);
}

void Passthrough::kill() {
    if (pid_ < 0)
        return;
    ::kill(pid_, SIGKILL);
    if (!wait_until(60s, [this] { return waitpid(pid_, nullptr, WNOHANG) == pid_; }))
        throw std::runtime_error("the server survives SIGKILL: " + where_is(pid_));
    pid_ = -1;
}

} // namespace fusewb::test
