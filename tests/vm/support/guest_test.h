// SPDX-License-Identifier: GPL-2.0-only
// Tests that touch a mounted file system run in a process of their own, under a deadline: what a
// hung server or a fault of the module holds up is that process, never the suite.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

namespace fusewb::test {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// Thrown where a test finds that it cannot run here; the text is the reason.
struct Skip : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Runs the body in a child process and reports its failures, skips and exceptions as those of the
// current test. When the deadline passes it says where every process of the test is waiting, aborts
// the connections that the test mounted, kills what is left and fails. A body that leaves a mount
// or a process behind fails too.
void run_guest_test(const std::function<void()> &body, std::chrono::seconds deadline);

// Directory of the current test, on a file system in memory; removed when the test has ended.
std::filesystem::path scratch();

// File system type under test: FUSEWB_TEST_FS, or "fusewb". With "fuse" the tests of plain file
// system behaviour run on the in-tree client, which tells a wrong test from a wrong module.
std::string fs_type();

// Ends the current test as skipped unless it runs on fusewb itself.
void needs_fusewb();

// And where there is no fusewbd, too. One that is installed has to run.
void needs_daemon();

// Polls until the condition holds.
// Return: whether it did before the time was over.
bool wait_until(std::chrono::milliseconds time, const std::function<bool()> &condition);

// Where each thread of a process is waiting: name, state, kernel function and, as far as the kernel
// shows it, its stack.
std::string where_is(int pid);

} // namespace fusewb::test

#define GUEST_TEST_WITHIN(suite, name, deadline)                                                   \
    static void suite##_##name##_body();                                                           \
    TEST(suite, name) { ::fusewb::test::run_guest_test(suite##_##name##_body, deadline); }         \
    static void suite##_##name##_body()

// A test with the common deadline, which is generous: it only ends what hangs.
#define GUEST_TEST(suite, name) GUEST_TEST_WITHIN(suite, name, std::chrono::seconds(240))

// The same for a parameterised fixture; the body sees the parameter as `param`.
#define GUEST_TEST_P_WITHIN(fixture, name, deadline)                                               \
    static void fixture##_##name##_body(const fixture::ParamType &);                               \
    TEST_P(fixture, name) {                                                                        \
        ::fusewb::test::run_guest_test([] { fixture##_##name##_body(GetParam()); }, deadline);     \
    }                                                                                              \
    static void fixture##_##name##_body([[maybe_unused]] const fixture::ParamType &param)

#define GUEST_TEST_P(fixture, name) GUEST_TEST_P_WITHIN(fixture, name, std::chrono::seconds(240))
