// SPDX-License-Identifier: GPL-2.0-only
// Whatever a server answers: the caller gets an error, the kernel takes no harm, and the mount
// goes on.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <thread>

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "support/files.h"
#include "support/guest_test.h"
#include "support/missing_memory.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;

namespace {

int stat_error(const std::filesystem::path &path) {
    struct stat st;
    return stat(path.c_str(), &st) ? errno : 0;
}

// The mount still does its work.
void expect_alive(RawServer &server) {
    static int number = 0;
    std::string name = "alive-" + std::to_string(number++);
    write_file(server.mnt(name), "alive");
    EXPECT_EQ(server.content(name), "alive");
    EXPECT_EQ(read_file(server.mnt(name)), "alive");
}

// Every READDIR is answered with these entries, unpadded if the caller says so.
std::string directory_entry(std::string_view name, std::uint32_t length, std::uint64_t offset = 1) {
    fuse_dirent entry{77, offset, length, DT_REG};
    std::string bytes(reinterpret_cast<const char *>(&entry), FUSE_NAME_OFFSET);
    bytes += name;
    bytes.resize(FUSE_DIRENT_ALIGN(bytes.size()));
    return bytes;
}

// Return: errno of listing, 0 if it came to its end.
int list(const std::filesystem::path &path, unsigned at_most = 1000) {
    DIR *dir = opendir(path.c_str());
    if (!dir)
        return errno;
    errno = 0;
    while (at_most-- && readdir(dir))
        ;
    int error = errno;
    closedir(dir);
    return error;
}

} // namespace

GUEST_TEST(HostileServer, MalformedMessagesAreRefused) {
    needs_fusewb();
    RawServer server;
    EXPECT_EQ(server.send("short"), EINVAL);
    fuse_out_header header{sizeof(header), 0, 0};
    EXPECT_EQ(server.send(bytes_of(header)), EINVAL) << "a notification";
    header.unique = 424242;
    EXPECT_EQ(server.send(bytes_of(header)), ENOENT) << "an answer to no request";
    header.len = 12345;
    EXPECT_EQ(server.send(bytes_of(header)), EINVAL) << "a wrong length";
    server.on(FUSE_LOOKUP, [&](const Request &request) {
        fuse_out_header answer{sizeof(answer), 5, request.header.unique};
        EXPECT_EQ(server.send(bytes_of(answer)), EINVAL) << "a positive error";
        answer.error = -100000;
        EXPECT_EQ(server.send(bytes_of(answer)), EINVAL) << "an error that is none";
        answer.error = -EXDEV;
        EXPECT_EQ(server.send(bytes_of(answer)), 0);
        EXPECT_EQ(server.send(bytes_of(answer)), ENOENT) << "answered twice";
        return true;
    });
    EXPECT_EQ(stat_error(server.mnt("x")), EXDEV);
    server.on(FUSE_LOOKUP, [](const Request &) { return false; });
    expect_alive(server);
}

GUEST_TEST(HostileServer, AnswersOfAWrongSizeAreErrors) {
    needs_fusewb();
    RawServer server({.valid_seconds = 0});
    server.set_content("f", "content");
    for (std::size_t size :
         {0ul, 1ul, sizeof(fuse_entry_out) - 1, sizeof(fuse_entry_out) + 1, 5000ul}) {
        server.on(FUSE_LOOKUP, [&](const Request &request) {
            EXPECT_EQ(server.answer(request, std::string(size, '\1')), EINVAL) << size;
            return true;
        });
        EXPECT_EQ(stat_error(server.mnt("f")), EIO) << size;
    }
    server.on(FUSE_LOOKUP, [](const Request &) { return false; });
    // More than was asked for.
    server.on(FUSE_READ, [&](const Request &request) {
        server.answer(request, std::string(request.as<fuse_read_in>().size + 1, 'x'));
        return true;
    });
    Fd file(server.mnt("f"), O_RDONLY);
    char byte;
    EXPECT_EQ(read(file, &byte, 1), -1);
    EXPECT_EQ(errno, EIO);
    server.on(FUSE_READ, [](const Request &) { return false; });
    EXPECT_EQ(pread_all(file, 100, 0), "content");
    expect_alive(server);
}

GUEST_TEST(HostileServer, ImpossibleInodesAreErrors) {
    needs_fusewb();
    RawServer server({.valid_seconds = 0});
    server.set_content("f", "content");
    auto lookup_gives = [&](auto spoil) {
        server.on(FUSE_LOOKUP, [&server, spoil](const Request &request) {
            fuse_entry_out out{};
            out.nodeid = 2;
            out.generation = 1;
            out.attr.ino = 2;
            out.attr.mode = S_IFREG | 0600;
            out.attr.nlink = 1;
            spoil(out);
            server.answer(request, bytes_of(out));
            return true;
        });
        return stat_error(server.mnt("f"));
    };
    EXPECT_EQ(lookup_gives([](fuse_entry_out &) {}), 0);
    EXPECT_EQ(lookup_gives([](fuse_entry_out &out) { out.nodeid = FUSE_ROOT_ID; }), EIO);
    EXPECT_EQ(lookup_gives([](fuse_entry_out &out) { out.attr.mode = 0; }), EIO);
    EXPECT_EQ(lookup_gives([](fuse_entry_out &out) { out.attr.mode = 0777; }), EIO);
    EXPECT_EQ(lookup_gives([](fuse_entry_out &out) { out.attr.mode = 0170000; }), EIO);
    EXPECT_EQ(lookup_gives([](fuse_entry_out &out) { out.attr.size = UINT64_MAX; }), EIO);
    EXPECT_EQ(lookup_gives([](fuse_entry_out &out) { out.nodeid = 0; }), ENOENT);
    server.on(FUSE_LOOKUP, [](const Request &) { return false; });
    // A file that turns into a directory.
    struct stat st;
    EXPECT_EQ(stat(server.mnt("f").c_str(), &st), 0);
    Fd file(server.mnt("f"), O_RDONLY);
    server.on(FUSE_GETATTR, [&](const Request &request) {
        fuse_attr_out out{};
        out.attr.ino = request.header.nodeid;
        out.attr.mode = S_IFDIR | 0700;
        server.answer(request, bytes_of(out));
        return true;
    });
    EXPECT_EQ(fstat(file, &st), -1);
    EXPECT_EQ(errno, ESTALE);
}

GUEST_TEST(HostileServer, ImpossibleDirectoriesAreErrors) {
    needs_fusewb();
    RawServer server;
    auto listing_of = [&](const std::string &bytes) {
        server.on(FUSE_READDIR, [&server, bytes](const Request &request) {
            server.answer(request, bytes.substr(0, request.as<fuse_read_in>().size));
            return true;
        });
        return list(server.mnt(), 50);
    };
    EXPECT_EQ(listing_of(directory_entry("slash/name", 10)), EIO);
    EXPECT_EQ(listing_of(directory_entry(std::string_view("zero\0name", 9), 9)), EIO);
    EXPECT_EQ(listing_of(directory_entry("", 0)), EIO);
    EXPECT_EQ(listing_of(directory_entry(std::string(2000, 'n'), 2000)), EIO);
    EXPECT_EQ(listing_of(directory_entry("name", 0xfffffff0)), EIO);
    // A name that is longer than the answer, and half an entry: what follows is not there.
    EXPECT_EQ(listing_of(directory_entry("name", 200)), 0);
    EXPECT_EQ(listing_of(std::string(7, '\1')), 0);
    // The same entry for ever: a listing that can be left at any time.
    EXPECT_EQ(listing_of(directory_entry("again", 5)), 0);
    server.on(FUSE_READDIR, [](const Request &) { return false; });
    EXPECT_EQ(list(server.mnt()), 0);
    expect_alive(server);
}

GUEST_TEST(HostileServer, ImpossibleSymlinksAreErrors) {
    needs_fusewb();
    RawServer server;
    server.on(FUSE_LOOKUP, [&](const Request &request) {
        fuse_entry_out out{};
        out.nodeid = 99;
        out.generation = 1;
        out.attr_valid = out.entry_valid = 1000;
        out.attr.ino = 99;
        out.attr.mode = S_IFLNK | 0777;
        out.attr.nlink = 1;
        out.attr.size = 4;
        server.answer(request, bytes_of(out));
        return true;
    });
    auto target_of = [&](const std::string &target) {
        server.on(FUSE_READLINK, [&server, target](const Request &request) {
            server.answer(request, target);
            return true;
        });
        char buffer[8192];
        ssize_t n = readlink(server.mnt("link").c_str(), buffer, sizeof(buffer));
        return n < 0 ? "errno " + std::to_string(errno)
                     : std::string(buffer, static_cast<std::size_t>(n));
    };
    EXPECT_EQ(target_of(std::string("a\0b", 3)), "errno " + std::to_string(EIO));
    EXPECT_EQ(target_of(std::string(5000, 'x')), "errno " + std::to_string(EIO));
    EXPECT_EQ(target_of("good"), "good");
}

GUEST_TEST(HostileServer, LateAnswersToThoseWhoLeftAreHarmless) {
    needs_fusewb();
    RawServer server;
    server.set_content("f", pattern(100000, 1));
    for (std::uint32_t opcode : {FUSE_LOOKUP, FUSE_OPEN, FUSE_READ, FUSE_OPENDIR, FUSE_READDIR}) {
        server.hold(opcode);
        Task caller("caller", [&] {
            if (opcode == FUSE_OPENDIR || opcode == FUSE_READDIR)
                return list(server.mnt());
            std::string name = opcode == FUSE_LOOKUP ? "unknown" : "f";
            Fd file(server.mnt(name), O_RDONLY);
            pread_all(file, 100000, 0);
            return 0;
        });
        ASSERT_TRUE(server.wait_held(opcode, 1)) << opcode << ": " << caller.where();
        EXPECT_TRUE(caller.kill_within(20s)) << caller.where();
        server.release(opcode);
    }
    // What the late answers brought was given back.
    EXPECT_TRUE(wait_until(20s,
                           [&] {
                               return server.seen(FUSE_RELEASE) >= server.seen(FUSE_OPEN) &&
                                      server.seen(FUSE_RELEASEDIR) >= server.seen(FUSE_OPENDIR);
                           }))
        << server.seen(FUSE_RELEASE) << " of " << server.seen(FUSE_OPEN) << " files, "
        << server.seen(FUSE_RELEASEDIR) << " of " << server.seen(FUSE_OPENDIR) << " directories";
    EXPECT_GT(server.seen(FUSE_INTERRUPT), 0u);
    EXPECT_EQ(difference(pattern(100000, 1), read_file(server.mnt("f"))), "");
    expect_alive(server);
}

GUEST_TEST(HostileServer, AReaderWhoseBufferNeverArrivesHoldsUpNobody) {
    needs_fusewb();
    RawServer server;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    constexpr std::size_t length = 1 << 20;
    MissingMemory missing(length);
    void *buffer = missing.start();

    // The first write asks the server for what is removed from a file that is written.
    pwrite_all(file, "x", 0);
    server.pause();
    pwrite_all(file, pattern(16384, 1), 0);
    check(sync_file_range(file, 0, 0, SYNC_FILE_RANGE_WRITE), "sync_file_range");
    std::thread stuck([&] {
        ssize_t n;
        do
            n = read(server.device(), buffer, length);
        while (n < 0 && errno == EAGAIN && (std::this_thread::sleep_for(10ms), true));
        // Its buffer was there in the end, and perhaps a request came with it.
        if (n < 0)
            return;
        Request request{};
        std::memcpy(&request.header, buffer, sizeof(request.header));
        request.body.assign(static_cast<char *>(buffer) + sizeof(request.header),
                            static_cast<std::size_t>(n) - sizeof(request.header));
        server.carry_out(request);
    });
    EXPECT_TRUE(missing.wait_wanted(20s)) << "the device did not touch the buffer";

    pwrite_all(file, pattern(16384, 2), 8192);
    expect_sync_returns();
    // What that reader could not take another one can.
    server.resume();
    Task waiter("fsync(2)", [&] { return fsync(file) ? errno : 0; });
    EXPECT_TRUE(waiter.ends_within(20s)) << waiter.where();
    EXPECT_EQ(waiter.status(), 0);
    EXPECT_EQ(server.content("f"), pattern(16384, 1).substr(0, 8192) + pattern(16384, 2));
    missing.fill();
    write_file(server.mnt("another"), "request");
    expect_alive(server);
    EXPECT_EQ(file.reset(), 0);
    EXPECT_EQ(server.mount().unmount(), 0);
    stuck.join();
}

GUEST_TEST(HostileServer, WhoWaitsForInitIsLetGoByAForcedUnmount) {
    needs_fusewb();
    RawServer server({.answer_init = false});
    Task waiter("stat(2)", [&] { return stat_error(server.mnt("x")); });
    EXPECT_FALSE(waiter.ends_within(500ms)) << "did not wait for FUSE_INIT";
    server.mount().abort();
    ASSERT_TRUE(waiter.ends_within(20s)) << waiter.where();
    EXPECT_EQ(waiter.status(), ENOTCONN);
}

GUEST_TEST(HostileServer, TheDeviceChecksBuffersAndTheVersion) {
    needs_fusewb();
    Fd device = open_device();
    char small[1024];
    EXPECT_EQ(read(device, small, sizeof(small)), -1);
    EXPECT_EQ(errno, EPERM) << "read before the mount";
    Mount mount(scratch() / "mnt", device, "");
    EXPECT_EQ(read(device, small, sizeof(small)), -1);
    EXPECT_EQ(errno, EINVAL);
    // A buffer that is not there: the request stays for the next reader.
    iovec nowhere{reinterpret_cast<void *>(16), 1 << 20};
    EXPECT_EQ(readv(device, &nowhere, 1), -1);
    EXPECT_EQ(errno, EFAULT);
    std::string buffer(1 << 20, '\0');
    ssize_t n = read(device, buffer.data(), buffer.size());
    ASSERT_GE(n, static_cast<ssize_t>(sizeof(fuse_in_header) + sizeof(std::uint32_t) * 4));
    fuse_in_header header;
    std::memcpy(&header, buffer.data(), sizeof(header));
    EXPECT_EQ(header.opcode, unsigned(FUSE_INIT));
    // A version that nobody speaks ends the connection.
    struct {
        fuse_out_header header;
        fuse_init_out init;
    } answer{};
    answer.header = {sizeof(answer), 0, header.unique};
    answer.init.major = 6;
    EXPECT_EQ(write(device, &answer, sizeof(answer)), static_cast<ssize_t>(sizeof(answer)));
    EXPECT_EQ(stat_error(mount.path() / "x"), ENOTCONN);
}

// What was freed is found by the next read of the device.
GUEST_TEST(HostileServer, ForgetsThatDidNotFitIntoItsMemoryAreReadAgain) {
    needs_fusewb();
    RawServer server;
    std::set<std::uint64_t> nodes, forgotten;
    for (std::string name : {"a", "b", "c", "d"}) {
        server.set_content(name, "content");
        ASSERT_EQ(stat_error(server.mnt(name)), 0);
        nodes.insert(server.node_of(name));
    }
    server.pause();
    // The header and the first one can be copied, the second one cannot.
    const std::size_t start =
        sizeof(fuse_in_header) + sizeof(fuse_batch_forget_in) + sizeof(fuse_forget_one);
    const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    auto *memory = static_cast<char *>(
        mmap(nullptr, 64 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(memory, MAP_FAILED);
    ASSERT_EQ(mprotect(memory + page, 63 * page, PROT_NONE), 0);
    std::string buffer(1 << 20, '\0');
    bool failed = false;
    auto take = [&](const char *bytes) {
        fuse_in_header header;
        fuse_batch_forget_in batch;
        std::memcpy(&header, bytes, sizeof(header));
        ASSERT_EQ(header.opcode, unsigned(FUSE_BATCH_FORGET));
        std::memcpy(&batch, bytes + sizeof(header), sizeof(batch));
        for (std::uint32_t i = 0; i < batch.count; i++) {
            fuse_forget_one one;
            std::memcpy(&one, bytes + sizeof(header) + sizeof(batch) + i * sizeof(one),
                        sizeof(one));
            forgotten.insert(one.nodeid);
        }
    };
    EXPECT_TRUE(wait_until(10s, [&] {
        write_setting("/proc/sys/vm/drop_caches", "2");
        std::this_thread::sleep_for(100ms);
        if (read(server.device(), memory + page - start, 1 << 18) > 0)
            take(memory + page - start);
        else if (errno == EFAULT)
            failed = true;
        if (read(server.device(), buffer.data(), buffer.size()) > 0)
            take(buffer.data());
        return std::includes(forgotten.begin(), forgotten.end(), nodes.begin(), nodes.end());
    })) << forgotten.size();
    EXPECT_TRUE(failed) << "they came one by one, which says nothing";
    munmap(memory, 64 * page);
    server.resume();
}

GUEST_TEST(HostileServer, AnswersToInterruptsThatNobodySentAreRefused) {
    needs_fusewb();
    RawServer server;
    server.hold(FUSE_LOOKUP);
    Task task("lookup", [&] { return access(server.mnt("f").c_str(), F_OK) ? errno : 0; });
    ASSERT_TRUE(server.wait_held(FUSE_LOOKUP, 1)) << task.where();
    for (Request interrupt : server.lose(FUSE_LOOKUP)) {
        Request lookup = interrupt;
        interrupt.header.unique |= 1;
        EXPECT_EQ(server.answer_error(interrupt, EAGAIN), EINVAL);
        EXPECT_EQ(server.answer_error(interrupt, ENOSYS), EINVAL);
        EXPECT_EQ(server.answer_error(lookup, ENOENT), 0);
    }
    EXPECT_TRUE(task.ends_within(20s)) << task.where();
    server.release(FUSE_LOOKUP);
    EXPECT_NE(access(server.mnt("g").c_str(), F_OK), 0);
    EXPECT_EQ(server.seen(FUSE_INTERRUPT), 0u);
}

// A message whose end never arrives holds up its writer, not those who unmount or sync.
GUEST_TEST(HostileServer, ANotificationWhoseBodyNeverArrivesHoldsUpNobody) {
    needs_fusewb();
    auto server = std::make_unique<RawServer>(RawServer::Options{.writeback = false});
    server->set_content("f", "content");
    EXPECT_EQ(read_file(server->mnt("f")), "content");
    MissingMemory missing(4096);
    struct {
        fuse_out_header header;
        fuse_notify_store_out store;
    } head{{sizeof(head) + 4096, FUSE_NOTIFY_STORE, 0}, {server->node_of("f"), 0, 4096, 0}};
    Fd device(dup(server->device()));
    std::thread stuck([&] {
        iovec parts[] = {{&head, sizeof(head)}, {missing.start(), 4096}};
        EXPECT_EQ(writev(device, parts, 2), -1);
    });
    EXPECT_TRUE(missing.wait_wanted(20s));
    Task unmounter("umount(2)", [path = server->mount().path()] {
        return umount2(path.c_str(), MNT_DETACH) ? errno : 0;
    });
    EXPECT_TRUE(unmounter.ends_within(20s)) << unmounter.where();
    expect_sync_returns();
    missing.fill();
    stuck.join();
}

// What is retrieved is copied, until the server reads it.
GUEST_TEST(HostileServer, MayNotHaveEverMoreDataRetrieved) {
    needs_fusewb();
    RawServer server({.writeback = false, .open_flags = FOPEN_KEEP_CACHE});
    std::string data = pattern(4096, 1);
    server.set_content("f", data);
    EXPECT_EQ(read_file(server.mnt("f")), data);
    fuse_notify_retrieve_out ask{1, server.node_of("f"), 0, 4096, 0};
    auto retrieve = [&] { return server.notify(FUSE_NOTIFY_RETRIEVE, bytes_of(ask)); };
    server.pause();
    std::size_t taken = 0;
    int error = 0;
    while (taken < 10'000 && (error = retrieve()) == 0)
        taken++;
    EXPECT_EQ(error, EAGAIN);
    EXPECT_GE(taken, 16u);
    server.resume();
    EXPECT_TRUE(wait_until(20s, [&] { return server.seen(FUSE_NOTIFY_REPLY) == taken; }))
        << server.seen(FUSE_NOTIFY_REPLY) << " of " << taken;
    EXPECT_EQ(retrieve(), 0);
    expect_alive(server);
}
