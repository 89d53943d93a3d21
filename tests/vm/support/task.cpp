// SPDX-License-Identifier: GPL-2.0-only
#include "support/task.h"

#include <csignal>
#include <cstdio>
#include <iostream>
#include <mutex>
#include <set>

#include <grp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/files.h"
#include "support/guest_test.h"

namespace fusewb::test {

namespace {

std::mutex served_mutex;
std::set<int> served;

} // namespace

void close_in_tasks(int fd) {
    std::lock_guard lock(served_mutex);
    served.insert(fd);
}

void keep_in_tasks(int fd) {
    std::lock_guard lock(served_mutex);
    served.erase(fd);
}

void become_nobody() {
    check(setgroups(0, nullptr), "setgroups");
    check(setresgid(65534, 65534, 65534), "setresgid");
    check(setresuid(65534, 65534, 65534), "setresuid");
}

void catch_signal() {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    check(sigaction(SIGUSR1, &action, nullptr), "sigaction");
}

Task::Task(std::string what, std::function<int()> work) : what_(std::move(what)) {
    std::lock_guard lock(served_mutex);
    std::cout.flush();
    std::fflush(nullptr);
    void *shared = mmap(nullptr, sizeof(*returned_), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(shared == MAP_FAILED ? -1 : 0, "mmap");
    returned_ = new (shared) std::atomic<bool>(false);
    pid_ = static_cast<pid_t>(check(fork(), "fork"));
    if (pid_ > 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int fd : served)
        close(fd);
    int status = 255;
    try {
        status = work();
    } catch (const std::exception &error) {
        ADD_FAILURE() << what_ << ": " << error.what();
    }
    std::cout.flush();
    *returned_ = true;
    _exit(status);
}

Task::~Task() {
    if (!ended() && !kill_within(10s))
        ADD_FAILURE() << what_ << " survives SIGKILL: " << where();
    munmap(returned_, sizeof(*returned_));
}

bool Task::returned() const { return *returned_; }

bool Task::returns_within(std::chrono::milliseconds time) {
    return wait_until(time, [this] { return returned() || ended(); });
}

bool Task::ended() {
    int raw;
    if (!status_ && waitpid(pid_, &raw, WNOHANG) == pid_)
        status_ = WIFSIGNALED(raw) ? 128 + WTERMSIG(raw) : WEXITSTATUS(raw);
    return status_.has_value();
}

bool Task::ends_within(std::chrono::milliseconds time) {
    return wait_until(time, [this] { return ended(); });
}

bool Task::kill_within(std::chrono::milliseconds time) {
    if (ended())
        return true;
    kill(pid_, SIGKILL);
    return ends_within(time);
}

std::string Task::where() const { return what_ + ": " + where_is(pid_); }

int sync_all() {
    sync();
    return 0;
}

void expect_sync_returns() {
    Task syncer("sync(2)", sync_all);
    EXPECT_TRUE(syncer.ends_within(std::chrono::seconds(20))) << syncer.where();
}

} // namespace fusewb::test
