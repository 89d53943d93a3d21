// SPDX-License-Identifier: GPL-2.0-only
// A process of its own for what may block.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include <sys/types.h>

namespace fusewb::test {

class Task {
public:
    // Forks and runs the work, whose value is the exit status (0 to 255; errno values fit).
    // GoogleTest assertions in it count for the current test. An exception is a failure and exits
    // with 255. Descriptors of the device that this process serves are closed in the child, or a
    // server could never die.
    Task(std::string what, std::function<int()> work);
    // Kills and reaps; a task that SIGKILL does not end is a failure.
    ~Task();
    Task(const Task &) = delete;
    Task &operator=(const Task &) = delete;

    pid_t pid() const { return pid_; }
    bool ended();
    bool ends_within(std::chrono::milliseconds time);
    // The work is done. The process may still be closing what it has open, which can wait, too.
    bool returned() const;
    bool returns_within(std::chrono::milliseconds time);
    // After the end: the exit status, or 128 + signal. Before it: nothing.
    std::optional<int> status() const { return status_; }
    // SIGKILL. Return: whether that ended it within the time.
    bool kill_within(std::chrono::milliseconds time);
    // Where it waits, for messages.
    std::string where() const;

private:
    std::string what_;
    pid_t pid_ = -1;
    std::optional<int> status_;
    std::atomic<bool> *returned_; // shared with the process
};

// Descriptors that children made by Task are not to have.
void close_in_tasks(int fd);
void keep_in_tasks(int fd);

// sync(2), as the work of a task.
int sync_all();
// The same in a task, which is not held up.
void expect_sync_returns();

// SIGUSR1 interrupts the calling process, and who it forks, and does not end them.
void catch_signal();

// What a task does to become an unprivileged user: group and user 65534, no capabilities.
void become_nobody();

} // namespace fusewb::test
