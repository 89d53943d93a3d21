// SPDX-License-Identifier: GPL-2.0-only
#include "proc/server.h"

#include <filesystem>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace fusewb {
namespace {

TEST(Server, OwnProcessHasItsExecutable) {
    const model::Server server = proc::identify(getpid());
    EXPECT_EQ(server.executable, std::filesystem::read_symlink("/proc/self/exe").string());
}

TEST(Server, ProcessThatEndedIsUnknown) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0)
        _exit(0);
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
    EXPECT_EQ(proc::identify(child), model::Server{});
}

TEST(Server, NoProcessIsUnknown) { EXPECT_EQ(proc::identify(0), model::Server{}); }

} // namespace
} // namespace fusewb
