// SPDX-License-Identifier: GPL-2.0-only
// Promise 3: suspend succeeds while the server is stopped, whatever tasks wait for.
#include <cerrno>
#include <cstring>
#include <functional>
#include <iostream>
#include <memory>
#include <thread>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "support/files.h"
#include "support/promise.h"
#include "support/push.h"
#include "support/task.h"

using namespace fusewb::test;

PROMISES(PromiseSuspend);

namespace {

// A setting under /sys for as long as this lives.
class Setting {
public:
    Setting(std::filesystem::path path, std::string_view value) : path_(std::move(path)) {
        before_ = slurp(path_);
        if (auto bracket = before_.find('['); bracket != std::string::npos)
            before_ = before_.substr(bracket + 1, before_.find(']') - bracket - 1);
        write_setting(path_, value);
    }
    ~Setting() { write_setting(path_, before_); }
    Setting(const Setting &) = delete;
    Setting &operator=(const Setting &) = delete;

private:
    std::filesystem::path path_;
    std::string before_;
};

void needs_pm_test() {
    if (access("/sys/power/pm_test", W_OK))
        throw Skip("this kernel has no /sys/power/pm_test");
}

// Freezes every task and thaws it again, as suspend does before it does anything else.
// Return: 0 or errno.
int freeze_tasks(const Client &client) {
    needs_pm_test();
    Setting level("/sys/power/pm_test", "freezer");
    Setting delay("/sys/module/suspend/parameters/pm_test_delay", "1");
    Setting limit("/sys/power/pm_freeze_timeout", client.ours() ? "20000" : "4000");
    bool mem = slurp("/sys/power/state").find("mem") != std::string::npos;
    return write_setting("/sys/power/state", mem ? "mem" : "freeze");
}

void check_freezing(const Client &client, Passthrough &server, const char *scenario) {
    int error = 0;
    Task freezing("suspend", [&] { return freeze_tasks(client); });
    // The sync before it may wait for the server on the kernel's own client.
    bool ended = freezing.ends_within(client.ours() ? 60s : 15s);
    std::string where = ended ? "" : freezing.where();
    server.cont();
    EXPECT_TRUE(freezing.ends_within(60s)) << freezing.where();
    error = freezing.status().value_or(255);
    if (error == 255)
        throw Skip("this kernel cannot try a suspend");
    outcome(client, 3, scenario, ended && error == 0,
            !ended       ? "hangs in its sync"
            : error == 0 ? "succeeds"
                         : std::strerror(error));
}

} // namespace

PROMISE_TEST_WITHIN(PromiseSuspend, SucceedsWithATaskInEveryWait, std::chrono::seconds(300)) {
    needs_pm_test();
    Passthrough server({.type = client.type});
    std::vector<Fd> files;
    std::string model = pattern(100000, 1);
    auto backed = [&](const char *name) {
        write_file(server.backing(name), model);
        files.emplace_back(server.mnt(name), O_RDWR);
        return files.back().get();
    };
    auto directory = [&](const char *name) {
        std::filesystem::create_directory(server.backing(name));
        struct stat st;
        check(stat(server.mnt(name).c_str(), &st), name);
        return server.mnt(name);
    };
    int read_fd = backed("read"), mapped = backed("mapped"), spliced = backed("spliced"),
        partial = backed("partial"), synced = backed("synced"), cut = backed("cut"),
        mode = backed("mode");
    backed("opened");
    // Where the memory file system below the server does not take this, one wait less is tried.
    Fd direct(open(server.mnt("direct").c_str(), O_RDWR | O_CREAT | O_DIRECT, 0600));
    auto looked_up = directory("d1"), created = directory("d2"), made = directory("d3"),
         listed = directory("d4"), removed = directory("d5"), renamed = directory("d6");
    for (const auto &parent : {removed, renamed})
        write_file(parent / "x", "x");
    // The first write asks the server for what is removed from a file that is written. Of what it
    // wrote nothing is in flight when the server stops, or the kernel's own client would wait here.
    pwrite_all(synced, "dirty", 0);
    check(fsync(synced), "fsync");
    server.stop();
    pwrite_all(synced, "dirty", 0);

    std::vector<std::unique_ptr<Task>> tasks;
    auto wait_in = [&](const char *what, std::function<int()> work) {
        tasks.push_back(std::make_unique<Task>(what, std::move(work)));
    };
    struct stat st;
    wait_in("LOOKUP", [&] { return stat((looked_up / "n").c_str(), &st) == 0; });
    wait_in("CREATE", [&] { return open((created / "n").c_str(), O_RDWR | O_CREAT, 0600) < 0; });
    wait_in("MKDIR", [&] { return mkdir((made / "n").c_str(), 0700); });
    wait_in("READDIR", [&] { return opendir(listed.c_str()) == nullptr; });
    wait_in("UNLINK", [&] { return unlink((removed / "x").c_str()); });
    wait_in("RENAME", [&] { return rename((renamed / "x").c_str(), (renamed / "y").c_str()); });
    wait_in("OPEN", [&] { return open(server.mnt("opened").c_str(), O_RDONLY) < 0; });
    wait_in("READ", [&] {
        char byte;
        return pread(read_fd, &byte, 1, 50000) != 1;
    });
    wait_in("page fault", [&] {
        auto *bytes =
            static_cast<char *>(mmap(nullptr, model.size(), PROT_READ, MAP_SHARED, mapped, 0));
        return bytes[50000] == 0;
    });
    wait_in("READ of a page that another READ is for", [&] {
        char byte;
        return pread(read_fd, &byte, 1, 50001) != 1;
    });
    wait_in("splice", [&] {
        int ends[2];
        check(pipe(ends), "pipe");
        loff_t from = 50000;
        return splice(spliced, &from, ends[1], nullptr, 1, 0) != 1;
    });
    wait_in("READ before a write", [&] { return pwrite(partial, "x", 1, 50001) != 1; });
    wait_in("fsync", [&] { return fsync(synced); });
    wait_in("SETATTR of the size", [&] { return ftruncate(cut, 10); });
    wait_in("SETATTR of the mode", [&] { return fchmod(mode, 0600); });
    if (direct >= 0) {
        wait_in("direct WRITE", [&] {
            alignas(4096) static char bytes[4096];
            return pwrite(direct, bytes, sizeof(bytes), 0) != sizeof(bytes);
        });
    }
    wait_in("STATFS", [&] {
        struct statvfs statistics;
        return statvfs(server.mnt().c_str(), &statistics);
    });
    std::this_thread::sleep_for(1s);
    for (auto &task : tasks)
        EXPECT_FALSE(task->ended()) << task->where() << " did not wait for the server";
    check_freezing(client, server, "suspend, a task in every wait for a stopped server");
    for (auto &task : tasks) {
        EXPECT_TRUE(task->ends_within(60s)) << task->where();
        EXPECT_EQ(task->status(), 0) << task->where();
    }
}

PROMISE_TEST(PromiseSuspend, SucceedsWithAWriterAtItsDirtyLimit) {
    needs_pm_test();
    Passthrough server({.type = client.type});
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    pwrite_all(file, "x", 0);
    check(fsync(file), "fsync");
    server.stop();
    // Who waits for the first of them waits for the server too.
    auto push = [&] { return push_by_write(file, 256 << 20); };
    Task writer("writer that is throttled", push), other("writer of the same file", push);
    EXPECT_FALSE(writer.ends_within(2s)) << "nothing bounds the writer";
    EXPECT_FALSE(other.ended()) << "nothing bounds the other writer";
    check_freezing(client, server, "suspend, two writers of a file at their dirty limit");
    EXPECT_TRUE(writer.kill_within(60s)) << writer.where();
    EXPECT_TRUE(other.kill_within(60s)) << other.where();
}

// Of each file somebody has the lock and waits for the server: in the middle of one long write(2),
// and in the VFS.
PROMISE_TEST(PromiseSuspend, SucceedsWithWritersBehindOthers) {
    needs_pm_test();
    Passthrough server({.type = client.type});
    Fd written(server.mnt("written"), O_RDWR | O_CREAT);
    Fd truncated(server.mnt("truncated"), O_RDWR | O_CREAT);
    for (int file : {written.get(), truncated.get()}) {
        pwrite_all(file, "x", 0);
        check(fsync(file), "fsync");
    }
    const std::string much = pattern(128 << 20, 1);
    catch_signal();
    std::vector<std::unique_ptr<Task>> tasks;
    auto add = [&](const char *name, std::function<int()> work) {
        tasks.push_back(std::make_unique<Task>(name, std::move(work)));
    };
    auto write_a_byte = [](int file) { return pwrite(file, "y", 1, 0) == 1 ? 0 : errno; };
    server.stop();
    add("writer of much",
        [&] { return pwrite(written, much.data(), much.size(), 0) < 0 ? errno : 0; });
    add("truncation", [&] { return ftruncate(truncated, 5) ? errno : 0; });
    EXPECT_FALSE(tasks[0]->ends_within(2s)) << "nothing bounds the writer";
    EXPECT_FALSE(tasks[1]->ended());
    for (unsigned i = 0; i < 2; i++) {
        add("writer behind a writer", [&] { return write_a_byte(written); });
        add("writer behind a truncation", [&] { return write_a_byte(truncated); });
    }
    std::this_thread::sleep_for(1s);
    // A signal that comes meanwhile has to wait, and changes nothing.
    for (std::size_t i = 2; i < tasks.size() / 2 + 1; i++)
        check(kill(tasks[i]->pid(), SIGUSR1), "kill");
    std::this_thread::sleep_for(1s);
    for (auto &task : tasks)
        EXPECT_FALSE(task->ended()) << task->where();
    check_freezing(client, server, "suspend, writers behind one that waits");
    for (auto &task : tasks)
        EXPECT_TRUE(task->ends_within(150s)) << task->where();
}

PROMISE_TEST(PromiseSuspend, SucceedsWithAMappingAtItsDirtyLimit) {
    needs_pm_test();
    constexpr off_t size = 128 << 20;
    Passthrough server({.type = client.type});
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    check(ftruncate(file, size), "ftruncate");
    make_cached(file, size);
    server.stop();
    Task writer("stores to a mapping", [&] { return push_by_mapping(file, size, size / 2); });
    EXPECT_FALSE(writer.ends_within(4s)) << "nothing bounds the mapping";
    check_freezing(client, server, "suspend, stores to a mapping at its dirty limit");
    EXPECT_TRUE(writer.kill_within(60s)) << writer.where();
}
