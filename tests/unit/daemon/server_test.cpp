// SPDX-License-Identifier: GPL-2.0-only
#include "proc/server.h"

#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace fusewb {
namespace {

const auto still = [] { return true; };

// A process of a program that the test may replace.
class Program {
public:
    Program() {
        std::string name = (std::filesystem::temp_directory_path() / "fusewb-server-XXXXXX");
        directory_ = mkdtemp(name.data());
        path_ = directory_ / "sleeper";
        std::filesystem::copy_file("/bin/sleep", path_);
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) < 0)
            return;
        process_ = fork();
        if (process_ == 0) {
            execl(path_.c_str(), "sleeper", "60", static_cast<char *>(nullptr));
            _exit(127);
        }
        close(ends[1]);
        char byte = 0;
        // The other end closes when the program has been started.
        while (read(ends[0], &byte, 1) > 0)
            ;
        close(ends[0]);
    }
    ~Program() {
        kill(process_, SIGKILL);
        waitpid(process_, nullptr, 0);
        std::filesystem::remove_all(directory_);
    }
    Program(const Program &) = delete;
    Program &operator=(const Program &) = delete;

    pid_t pid() const { return process_; }
    const std::filesystem::path &path() const { return path_; }
    const std::filesystem::path &directory() const { return directory_; }

private:
    std::filesystem::path directory_;
    std::filesystem::path path_;
    pid_t process_ = -1;
};

TEST(Server, OwnProcessHasItsExecutable) {
    const model::Server server = proc::identify(getpid(), "", still);
    EXPECT_EQ(server.executable, std::filesystem::read_symlink("/proc/self/exe").string());
    EXPECT_EQ(server.executableDoubt, "");
}

TEST(Server, ProcessThatEndedIsUnknown) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0)
        _exit(0);
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
    EXPECT_EQ(proc::identify(child, "", still), model::Server{});
}

TEST(Server, NoProcessIsUnknown) { EXPECT_EQ(proc::identify(0, "", still), model::Server{}); }

TEST(Server, ProcessThatIsNotTheServerAnyMoreIsUnknown) {
    EXPECT_EQ(proc::identify(getpid(), "", [] { return false; }), model::Server{});
}

TEST(Server, ProgramThatWasRemovedIsDoubted) {
    const Program program;
    std::filesystem::remove(program.path());
    const model::Server server = proc::identify(program.pid(), "", still);
    EXPECT_EQ(server.executable, program.path());
    EXPECT_EQ(server.executableDoubt, "that file was replaced or removed since");
}

TEST(Server, ProgramThatIsAnotherUnderThatRootIsDoubted) {
    const Program program;
    // Under this root the path is of another file, as in another mount namespace.
    const auto root = program.directory() / "root";
    std::filesystem::create_directories(root.string() + program.directory().string());
    std::filesystem::copy_file("/bin/sleep", root.string() + program.path().string());
    EXPECT_EQ(proc::identify(program.pid(), root, still).executableDoubt,
              "the file of that name is another one");
    std::filesystem::remove(root.string() + program.path().string());
    EXPECT_EQ(proc::identify(program.pid(), root, still).executableDoubt,
              "that file cannot be looked at: No such file or directory");
}

} // namespace
} // namespace fusewb
