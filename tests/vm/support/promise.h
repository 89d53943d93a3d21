// SPDX-License-Identifier: GPL-2.0-only
// The promises of the project, each a test on fusewb and, as its contrast, on the kernel's own fuse
// in the same guest. What each came to is printed as a line of the table of promises.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "support/client.h"
#include "support/guest_test.h"
#include "support/passthrough.h"

namespace fusewb::test {

// How a scenario went. On fusewb one that did not hold fails the test; what the kernel's own client
// makes of it is noted only. The text says in a few words what was seen.
void outcome(const Client &client, unsigned promise, const std::string &scenario, bool holds,
             const std::string &text);

// For what must not wait; generous, the machine may be slow. And the time after which the contrast
// is taken to wait.
std::chrono::milliseconds patience(const Client &client);

// Runs the work in a process of its own while the server is stopped, then lets the server go on so
// that the process comes to its end, whatever the file system.
// Return: whether it ended while the server was stopped.
bool ends_while_stopped(Passthrough &server, const Client &client, const char *what,
                        std::function<int()> work);

// Dirty data of this mount is bounded by the kernel's common limit only.
void lift_dirty_limit(const std::filesystem::path &mount_point);

} // namespace fusewb::test

// PROMISE_TEST(suite, name): the body sees the client as `client`.
#define PROMISE_TEST_WITHIN(suite, name, deadline) CLIENT_TEST_WITHIN(suite, name, deadline)
#define PROMISE_TEST(suite, name) CLIENT_TEST(suite, name)
#define PROMISES(suite) ON_CLIENTS(suite, "fusewb", "fuse")
