// SPDX-License-Identifier: GPL-2.0-only
// What a server says without being asked: names, attributes and data that changed on its side,
// files that became ready; and what it is asked for by ioctl(2) and poll(2).
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <set>

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/client.h"
#include "support/files.h"
#include "support/guest_test.h"
#include "support/protocol.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;

namespace {

off_t size_of(const std::filesystem::path &path) {
    struct stat st;
    return stat(path.c_str(), &st) ? -errno : st.st_size;
}

std::string entry_of(const std::string &name, std::uint32_t flags = 0,
                     std::uint64_t parent = FUSE_ROOT_ID) {
    struct {
        std::uint64_t parent;
        std::uint32_t length;
        std::uint32_t flags;
    } out{parent, static_cast<std::uint32_t>(name.size()), flags};
    return std::string(bytes_of(out)) + name + '\0';
}

std::string deletion_of(const std::string &name, std::uint64_t child) {
    fuse_notify_delete_out out{FUSE_ROOT_ID, child, static_cast<std::uint32_t>(name.size()), 0};
    return std::string(bytes_of(out)) + name + '\0';
}

// A bind mount, for as long as the object lives or until somebody takes it away.
class Bind {
public:
    Bind(const std::filesystem::path &from, std::filesystem::path to) : to_(std::move(to)) {
        check(::mount(from.c_str(), to_.c_str(), nullptr, MS_BIND, nullptr), "bind mount");
    }
    ~Bind() { umount2(to_.c_str(), MNT_DETACH); }
    bool there() const { return mounted_dev(to_) != 0; }

private:
    std::filesystem::path to_;
};

// Makes a directory of a file. Below it there are the names of the root again.
void make_directory(RawServer &server, const std::string &name) {
    server.set_content(name, "");
    std::uint64_t node = server.node_of(name);
    server.on(FUSE_LOOKUP, [=, &server](const Request &request) {
        if (request.name(0) != name)
            return false;
        fuse_entry_out out{};
        out.nodeid = node;
        out.generation = 1;
        out.attr_valid = out.entry_valid = 3600;
        out.attr = protocol::directory_attributes(node);
        server.answer(request, bytes_of(out));
        return true;
    });
    server.on(FUSE_GETATTR, [=, &server](const Request &request) {
        if (request.header.nodeid != node)
            return false;
        fuse_attr_out out{};
        out.attr_valid = 3600;
        out.attr = protocol::directory_attributes(node);
        server.answer(request, bytes_of(out));
        return true;
    });
}

int invalidate(RawServer &server, const std::string &name, std::int64_t offset,
               std::int64_t length) {
    fuse_notify_inval_inode_out out{server.node_of(name), offset, length};
    return server.notify(FUSE_NOTIFY_INVAL_INODE, bytes_of(out));
}

int store(RawServer &server, std::uint64_t node, std::uint64_t offset, const std::string &data) {
    fuse_notify_store_out out{node, offset, static_cast<std::uint32_t>(data.size()), 0};
    return server.notify(FUSE_NOTIFY_STORE, std::string(bytes_of(out)) + data);
}

} // namespace

GUEST_TEST(Notify, InvalidatedInodesAreAskedForAgain) {
    needs_fusewb();
    RawServer server({.writeback = false});
    server.set_content("f", "before");
    EXPECT_EQ(read_file(server.mnt("f")), "before");
    server.set_content("f", "after it");
    EXPECT_EQ(size_of(server.mnt("f")), 6) << "the attributes were to be valid for an hour";
    EXPECT_EQ(invalidate(server, "f", -1, 0), 0);
    EXPECT_EQ(size_of(server.mnt("f")), 8);
    // The same size, so that only the data tell.
    Fd file(server.mnt("f"), O_RDONLY);
    EXPECT_EQ(pread_all(file, 100, 0), "after it");
    server.set_content("f", "AFTER IT");
    EXPECT_EQ(pread_all(file, 100, 0), "after it");
    EXPECT_EQ(invalidate(server, "f", 0, 0), 0);
    EXPECT_EQ(pread_all(file, 100, 0), "AFTER IT");
    fuse_notify_inval_inode_out absent{4711, 0, 0};
    EXPECT_EQ(server.notify(FUSE_NOTIFY_INVAL_INODE, bytes_of(absent)), ENOENT);
}

ON_CLIENTS(NotifyData, "fusewb", "fuse");

CLIENT_TEST(NotifyData, ThatIsInvalidIsAskedForAgainAndNotThatBesideIt) {
    constexpr std::size_t page = 4096, pages = 16;
    RawServer server({.writeback = false, .open_flags = FOPEN_KEEP_CACHE, .type = client.type});
    std::string before = pattern(pages * page, 1), after = pattern(pages * page, 2);
    server.set_content("f", before);
    std::mutex mutex;
    std::set<std::size_t> asked;
    server.on(FUSE_READ, [&](const Request &request) {
        auto in = request.as<fuse_read_in>();
        std::lock_guard lock(mutex);
        for (std::size_t at = in.offset; at < in.offset + in.size; at += page)
            asked.insert(at / page);
        return false;
    });
    Fd file(server.mnt("f"), O_RDONLY);
    // Nothing is read ahead, and what is cached is cached by pages.
    ASSERT_EQ(posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM), 0);
    auto read_all = [&] {
        {
            std::lock_guard lock(mutex);
            asked.clear();
        }
        std::string data;
        for (std::size_t at = 0; at < pages; at++)
            data += pread_all(file, page, static_cast<off_t>(at * page));
        return data;
    };
    ASSERT_EQ(difference(before, read_all()), "");
    ASSERT_EQ(asked.size(), pages);
    server.set_content("f", after);
    // From within page 5 to the last byte of page 7.
    ASSERT_EQ(invalidate(server, "f", 5 * page + 100, 3 * page - 100), 0);
    std::string mixed = before;
    mixed.replace(5 * page, 3 * page, after, 5 * page, 3 * page);
    EXPECT_EQ(difference(mixed, read_all()), "");
    EXPECT_EQ(asked, (std::set<std::size_t>{5, 6, 7}));
    // One byte is of a page.
    ASSERT_EQ(invalidate(server, "f", 10 * page, 1), 0);
    mixed.replace(10 * page, page, after, 10 * page, page);
    EXPECT_EQ(difference(mixed, read_all()), "");
    EXPECT_EQ(asked, (std::set<std::size_t>{10}));
    // A length of nothing is all of the rest.
    ASSERT_EQ(invalidate(server, "f", 14 * page, 0), 0);
    mixed.replace(14 * page, 2 * page, after, 14 * page, 2 * page);
    EXPECT_EQ(difference(mixed, read_all()), "");
    EXPECT_EQ(asked, (std::set<std::size_t>{14, 15}));
}

GUEST_TEST(Notify, InvalidationKeepsWhatWasWrittenHere) {
    needs_fusewb();
    RawServer server;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    std::string data = pattern(100000, 1);
    pwrite_all(file, data, 0);
    EXPECT_EQ(invalidate(server, "f", 0, 0), 0);
    EXPECT_EQ(difference(data, pread_all(file, data.size(), 0)), "");
    ASSERT_EQ(fsync(file), 0);
    EXPECT_EQ(difference(data, server.content("f")), "");
}

GUEST_TEST(Notify, InvalidatedAndExpiredNamesAreLookedUpAgain) {
    needs_fusewb();
    RawServer server;
    server.set_content("f", "content");
    EXPECT_EQ(size_of(server.mnt("f")), 7);
    EXPECT_EQ(size_of(server.mnt("f")), 7);
    EXPECT_EQ(server.seen(FUSE_LOOKUP), 1u);
    Fd file(server.mnt("f"), O_RDONLY);
    for (auto flags : {0u, unsigned(FUSE_EXPIRE_ONLY)}) {
        std::size_t before = server.seen(FUSE_LOOKUP);
        EXPECT_EQ(server.notify(FUSE_NOTIFY_INVAL_ENTRY, entry_of("f", flags)), 0) << flags;
        EXPECT_EQ(size_of(server.mnt("f")), 7);
        EXPECT_EQ(server.seen(FUSE_LOOKUP), before + 1) << flags;
    }
    EXPECT_EQ(pread_all(file, 100, 0), "content") << "an open file lives on";
    EXPECT_EQ(server.notify(FUSE_NOTIFY_INVAL_ENTRY, entry_of("absent")), ENOENT);
    EXPECT_EQ(server.notify(FUSE_NOTIFY_INVAL_ENTRY, entry_of("f", 0, 4711)), ENOENT);
    EXPECT_EQ(server.notify(FUSE_NOTIFY_INVAL_ENTRY, entry_of("f", 0, server.node_of("f"))),
              ENOTDIR);
    // All of them at once.
    std::size_t before = server.seen(FUSE_LOOKUP);
    EXPECT_EQ(server.notify(protocol::notify_inc_epoch, {}), 0);
    EXPECT_EQ(size_of(server.mnt("f")), 7);
    EXPECT_EQ(server.seen(FUSE_LOOKUP), before + 1);
}

GUEST_TEST(Notify, ANameThatWasInvalidatedDuringItsLookupIsLookedUpAgain) {
    needs_fusewb();
    RawServer server;
    server.set_content("f", "content");
    server.on(FUSE_LOOKUP, [&](const Request &request) {
        // In the server's one thread, while a LOOKUP of the directory is under way.
        server.notify(FUSE_NOTIFY_INVAL_ENTRY, entry_of("f"));
        server.carry_out(request);
        return true;
    });
    EXPECT_EQ(size_of(server.mnt("f")), 7);
    server.on(FUSE_LOOKUP, [](const Request &) { return false; });
    EXPECT_EQ(size_of(server.mnt("f")), 7);
    EXPECT_EQ(server.seen(FUSE_LOOKUP), 2u);
}

GUEST_TEST(Notify, DeletedNamesAreGoneAndWatchersHearOfIt) {
    needs_fusewb();
    RawServer server;
    server.set_content("f", "content");
    ASSERT_EQ(size_of(server.mnt("f")), 7);
    Fd watch(inotify_init1(IN_NONBLOCK));
    ASSERT_GE(inotify_add_watch(watch, server.mnt().c_str(), IN_DELETE), 0);
    std::uint64_t node = server.node_of("f");
    EXPECT_EQ(server.notify(FUSE_NOTIFY_DELETE, deletion_of("f", node + 5)), ENOENT);
    EXPECT_EQ(unlink(server.mnt("absent").c_str()), -1);
    EXPECT_EQ(server.notify(FUSE_NOTIFY_DELETE, deletion_of("f", node)), 0);
    char event[4096];
    EXPECT_GT(read(watch, event, sizeof(event)), 0) << "no event";
    std::size_t before = server.seen(FUSE_LOOKUP);
    EXPECT_EQ(size_of(server.mnt("f")), 7) << "the server has it again";
    EXPECT_EQ(server.seen(FUSE_LOOKUP), before + 1);
}

ON_CLIENTS(NotifyName, "fusewb", "fuse");

CLIENT_TEST(NotifyName, ThatExpiredKeepsWhatIsMountedOnItAndOneThatIsInvalidDoesNot) {
    RawServer server({.type = client.type});
    server.set_content("f", "of the server");
    write_file(scratch() / "over", "mounted");
    Fd file(server.mnt("f"), O_RDONLY);
    if (!(server.offered() & FUSE_HAS_EXPIRE_ONLY))
        throw Skip("this client cannot let a name expire");
    Bind bind(scratch() / "over", server.mnt("f"));
    EXPECT_EQ(server.notify(FUSE_NOTIFY_INVAL_ENTRY, entry_of("f", FUSE_EXPIRE_ONLY)), 0);
    std::size_t before = server.seen(FUSE_LOOKUP);
    EXPECT_EQ(read_file(server.mnt("f")), "mounted");
    EXPECT_EQ(server.seen(FUSE_LOOKUP), before + 1) << "not asked for again";
    EXPECT_TRUE(bind.there());
    EXPECT_EQ(path_of(file), server.mnt("f"));
    EXPECT_EQ(server.notify(FUSE_NOTIFY_INVAL_ENTRY, entry_of("f", 0)), 0);
    EXPECT_FALSE(bind.there());
    EXPECT_EQ(path_of(file), server.mnt("f").string() + " (deleted)");
    EXPECT_EQ(read_file(server.mnt("f")), "of the server");
    EXPECT_EQ(pread_all(file, 100, 0), "of the server") << "an open file lives on";
}

GUEST_TEST(Notify, ADirectoryIsDeletedIfNothingIsMountedOnItNorInUseBelowIt) {
    needs_fusewb();
    RawServer server;
    make_directory(server, "d");
    server.set_content("x", "content");
    std::filesystem::create_directory(scratch() / "over");
    Fd below(server.mnt("d/x"), O_RDONLY), directory(server.mnt("d"), O_RDONLY | O_DIRECTORY);
    std::string deletion = deletion_of("d", server.node_of("d"));
    auto expect_there = [&] {
        std::size_t before = server.seen(FUSE_LOOKUP);
        EXPECT_EQ(path_of(directory), server.mnt("d"));
        EXPECT_EQ(path_of(below), server.mnt("d/x"));
        EXPECT_EQ(pread_all(below, 100, 0), "content");
        EXPECT_EQ(server.seen(FUSE_LOOKUP), before);
    };
    EXPECT_EQ(server.notify(FUSE_NOTIFY_DELETE, deletion), ENOTEMPTY);
    expect_there();
    {
        Bind bind(scratch() / "over", server.mnt("d"));
        EXPECT_EQ(server.notify(FUSE_NOTIFY_DELETE, deletion), EBUSY);
        EXPECT_TRUE(bind.there());
        expect_there();
    }
    // What is cached below it, and in no use, is no hindrance.
    below.reset();
    Fd watch(inotify_init1(IN_NONBLOCK));
    ASSERT_GE(inotify_add_watch(watch, server.mnt().c_str(), IN_DELETE), 0);
    EXPECT_EQ(server.notify(FUSE_NOTIFY_DELETE, deletion), 0);
    EXPECT_EQ(path_of(directory), server.mnt("d").string() + " (deleted)");
    struct stat st;
    EXPECT_EQ(fstat(directory, &st), 0) << "an open directory lives on";
    alignas(inotify_event) char event[4096];
    ASSERT_GT(read(watch, event, sizeof(event)), 0) << "no event";
    EXPECT_EQ(reinterpret_cast<inotify_event *>(event)->mask, unsigned(IN_DELETE | IN_ISDIR));
    std::size_t before = server.seen(FUSE_LOOKUP);
    EXPECT_EQ(stat(server.mnt("d").c_str(), &st), 0) << "the server has it again";
    EXPECT_EQ(server.seen(FUSE_LOOKUP), before + 1);
}

GUEST_TEST(Notify, StoredDataIsReadWithoutAskingAndRetrievedAgain) {
    needs_fusewb();
    RawServer server({.writeback = false, .open_flags = FOPEN_KEEP_CACHE});
    std::string data = pattern(20000, 1);
    server.set_content("f", std::string(20000, 'x'));
    Fd file(server.mnt("f"), O_RDWR);
    std::uint64_t node = server.node_of("f");
    EXPECT_EQ(store(server, node, 0, data), 0);
    EXPECT_EQ(difference(data, pread_all(file, data.size(), 0)), "");
    EXPECT_EQ(server.seen(FUSE_READ), 0u);
    EXPECT_EQ(store(server, node, 5000, "stored"), 0);
    data.replace(5000, 6, "stored");
    EXPECT_EQ(difference(data, pread_all(file, data.size(), 0)), "");
    // The file grows, at the server first.
    server.set_content("f", std::string(20004, 'x'));
    EXPECT_EQ(store(server, node, 20000, "more"), 0);
    data += "more";
    EXPECT_EQ(size_of(server.mnt("f")), 20004);
    EXPECT_EQ(difference(data, pread_all(file, 30000, 0)), "");
    EXPECT_EQ(server.seen(FUSE_READ), 0u);
    // Behind a hole; what is before it in its page is the server's to tell.
    server.set_content("f", std::string(20004, 'x') + std::string(19996, '\0') + "far");
    EXPECT_EQ(store(server, node, 40000, "far"), 0);
    data += std::string(19996, '\0') + "far";
    EXPECT_EQ(size_of(server.mnt("f")), 40003);
    EXPECT_EQ(difference(data, pread_all(file, 50000, 0)), "");
    EXPECT_EQ(store(server, 4711, 0, data), ENOENT);
    EXPECT_EQ(store(server, node, UINT64_MAX - 10, data), EINVAL);
    EXPECT_EQ(store(server, FUSE_ROOT_ID, 0, data), EINVAL);

    std::string retrieved;
    std::atomic<bool> came = false;
    server.on(FUSE_NOTIFY_REPLY, [&](const Request &request) {
        auto in = request.as<fuse_notify_retrieve_in>();
        EXPECT_EQ(request.header.unique, 4242u);
        EXPECT_EQ(in.offset, 4000u);
        EXPECT_EQ(request.body.size(), sizeof(in) + in.size);
        retrieved = request.body.substr(sizeof(in));
        came = true;
        return true;
    });
    fuse_notify_retrieve_out ask{4242, node, 4000, 6000, 0};
    EXPECT_EQ(server.notify(FUSE_NOTIFY_RETRIEVE, bytes_of(ask)), 0);
    ASSERT_TRUE(wait_until(10s, [&] { return came.load(); }));
    EXPECT_EQ(difference(data.substr(4000, 6000), retrieved), "");
}

GUEST_TEST(Notify, NoMoreIsRetrievedThanThereIs) {
    needs_fusewb();
    RawServer server({.max_write = 65536, .open_flags = FOPEN_KEEP_CACHE});
    std::string data = pattern(100000, 1);
    server.set_content("f", data);
    EXPECT_EQ(difference(data, read_file(server.mnt("f"))), "");
    std::atomic<int> came = 0;
    std::atomic<std::uint64_t> at = 0;
    std::string retrieved;
    server.on(FUSE_NOTIFY_REPLY, [&](const Request &request) {
        auto in = request.as<fuse_notify_retrieve_in>();
        EXPECT_EQ(request.body.size(), sizeof(in) + in.size);
        retrieved = request.body.substr(sizeof(in));
        at = in.offset;
        came++;
        return true;
    });
    std::uint64_t node = server.node_of("f");
    int replies = 0;
    auto retrieve = [&](std::uint64_t offset, std::uint32_t size) {
        fuse_notify_retrieve_out ask{1, node, offset, size, 0};
        EXPECT_EQ(server.notify(FUSE_NOTIFY_RETRIEVE, bytes_of(ask)), 0) << offset;
        replies++;
        EXPECT_TRUE(wait_until(10s, [&] { return came == replies; })) << offset;
        EXPECT_EQ(at, offset);
        return retrieved;
    };
    EXPECT_EQ(difference(data.substr(99000), retrieve(99000, 5000)), "") << "beyond the end";
    EXPECT_EQ(retrieve(100000, 5000), "") << "at the end";
    EXPECT_EQ(retrieve(std::uint64_t(1) << 40, 5000), "") << "behind it";
    EXPECT_EQ(retrieve(0, 0), "");
    EXPECT_EQ(difference(data.substr(0, 65536), retrieve(0, UINT32_MAX)), "")
        << "more than a message holds";
}

GUEST_TEST(Notify, StoredDataDoesNotReplaceWhatWasWrittenHere) {
    needs_fusewb();
    RawServer server;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    std::string data = pattern(20000, 1);
    // The flusher may begin at any time; what is written and answered is the server's to replace.
    server.hold(FUSE_WRITE);
    pwrite_all(file, data, 0);
    EXPECT_EQ(store(server, server.node_of("f"), 0, std::string(8192, 'x')), 0);
    EXPECT_EQ(difference(data, pread_all(file, data.size(), 0)), "");
    sync_file_range(file, 0, 0, SYNC_FILE_RANGE_WRITE);
    ASSERT_TRUE(server.wait_held(FUSE_WRITE, 1));
    EXPECT_EQ(store(server, server.node_of("f"), 0, std::string(8192, 'x')), 0);
    server.release(FUSE_WRITE);
    ASSERT_EQ(fsync(file), 0);
    EXPECT_EQ(difference(data, pread_all(file, data.size(), 0)), "");
    EXPECT_EQ(difference(data, server.content("f")), "");
}

GUEST_TEST(Notify, PrunedInodesAreForgottenUnlessInUse) {
    needs_fusewb();
    RawServer server;
    for (const char *name : {"idle", "open", "kept"}) {
        server.set_content(name, name);
        ASSERT_EQ(size_of(server.mnt(name)), 4);
    }
    Fd file(server.mnt("open"), O_RDONLY);
    std::mutex mutex;
    std::multiset<std::uint64_t> forgotten;
    for (std::uint32_t opcode : {FUSE_FORGET, FUSE_BATCH_FORGET})
        server.on(opcode, [&](const Request &request) {
            std::lock_guard lock(mutex);
            for (const auto &one : forgotten_by(request)) {
                forgotten.insert(one.nodeid);
                EXPECT_EQ(one.nlookup, 1u) << one.nodeid;
            }
            return true;
        });
    auto are_forgotten = [&](const std::multiset<std::uint64_t> &nodes) {
        return wait_until(10s, [&] {
            std::lock_guard lock(mutex);
            return forgotten == nodes;
        });
    };
    std::uint64_t idle = server.node_of("idle"), open = server.node_of("open");
    struct {
        std::uint32_t count;
        std::uint32_t padding;
        std::uint64_t spare;
        std::uint64_t nodes[3];
    } out{3, 0, 0, {open, 4711, idle}};
    EXPECT_EQ(server.notify(protocol::notify_prune, bytes_of(out)), 0);
    EXPECT_TRUE(are_forgotten({idle}));
    EXPECT_EQ(pread_all(file, 10, 0), "open");
    ASSERT_EQ(file.reset(), 0);
    // The answer to RELEASE keeps it for a while.
    EXPECT_TRUE(wait_until(10s, [&] {
        EXPECT_EQ(server.notify(protocol::notify_prune, bytes_of(out)), 0);
        std::lock_guard lock(mutex);
        return forgotten.contains(open);
    }));
    EXPECT_TRUE(are_forgotten({idle, open}));
    out.count = 4;
    EXPECT_EQ(server.notify(protocol::notify_prune, bytes_of(out)), EINVAL);
}

GUEST_TEST(Notify, MalformedNotificationsAreRefusedAndCounted) {
    needs_fusewb();
    RawServer server({.init_flags = protocol::has_resend});
    server.set_content("f", "content");
    ASSERT_EQ(size_of(server.mnt("f")), 7);
    std::uint64_t before = server.connection()[FUSEWB_A_COUNTER_MALFORMED];
    unsigned sent = 0;
    auto refused = [&](std::int32_t code, const std::string &body) {
        sent++;
        EXPECT_EQ(server.notify(code, body), EINVAL) << code << " " << body.size();
    };
    for (std::int32_t code : {0, -1, 10, 77, INT32_MAX, INT32_MIN})
        refused(code, {});
    for (std::int32_t code = FUSE_NOTIFY_POLL; code <= FUSE_NOTIFY_DELETE; code++)
        for (std::size_t size : {0u, 1u, 7u})
            refused(code, std::string(size, '\1'));
    refused(FUSE_NOTIFY_INVAL_ENTRY, entry_of(""));
    refused(FUSE_NOTIFY_INVAL_ENTRY, entry_of(std::string(1025, 'n')));
    refused(FUSE_NOTIFY_INVAL_ENTRY, entry_of(std::string("a\0b", 3)));
    refused(FUSE_NOTIFY_INVAL_ENTRY, entry_of("f") + "more");
    refused(FUSE_NOTIFY_INVAL_ENTRY, entry_of("f").substr(0, 17));
    refused(protocol::notify_inc_epoch, "x");
    refused(protocol::notify_resend, "x");
    EXPECT_EQ(server.notify(protocol::notify_resend, {}), 0);
    auto retrieval_of = [&](std::uint64_t node, std::uint64_t offset) {
        fuse_notify_retrieve_out ask{1, node, offset, 1, 0};
        return std::string(bytes_of(ask));
    };
    std::uint64_t node = server.node_of("f");
    refused(FUSE_NOTIFY_RETRIEVE, retrieval_of(node, UINT64_MAX));
    refused(FUSE_NOTIFY_RETRIEVE, retrieval_of(node, std::uint64_t(INT64_MAX) + 1));
    refused(FUSE_NOTIFY_RETRIEVE, retrieval_of(node, 0) + "more");
    EXPECT_EQ(server.connection()[FUSEWB_A_COUNTER_MALFORMED], before + sent);
    // No harm in these, but nothing to retrieve.
    EXPECT_EQ(server.notify(FUSE_NOTIFY_RETRIEVE, retrieval_of(4711, 0)), ENOENT);
    EXPECT_EQ(server.notify(FUSE_NOTIFY_RETRIEVE, retrieval_of(FUSE_ROOT_ID, 0)), EINVAL);
    EXPECT_EQ(server.seen(FUSE_NOTIFY_REPLY), 0u);
    EXPECT_EQ(size_of(server.mnt("f")), 7);
}

GUEST_TEST(Poll, TheServerSaysWhatIsReadyAndWhenThatChanges) {
    needs_fusewb();
    RawServer server;
    server.set_content("f", "content");
    Fd file(server.mnt("f"), O_RDONLY);
    std::atomic<unsigned> ready = 0;
    std::atomic<std::uint64_t> handle = 0;
    server.on(FUSE_POLL, [&](const Request &request) {
        auto in = request.as<fuse_poll_in>();
        if (in.flags & FUSE_POLL_SCHEDULE_NOTIFY)
            handle = in.kh;
        fuse_poll_out out{ready, 0};
        server.answer(request, bytes_of(out));
        return true;
    });
    struct pollfd polled {
        file, POLLIN, 0
    };
    EXPECT_EQ(poll(&polled, 1, 0), 0);
    Task waiter("poll", [&] {
        struct pollfd mine {
            file, POLLIN, 0
        };
        return poll(&mine, 1, 20000) == 1 && mine.revents == POLLIN ? 0 : 1;
    });
    ASSERT_TRUE(wait_until(10s, [&] { return handle != 0; }));
    EXPECT_FALSE(waiter.ends_within(200ms));
    fuse_notify_poll_wakeup_out wakeup{handle + 1000};
    EXPECT_EQ(server.notify(FUSE_NOTIFY_POLL, bytes_of(wakeup)), 0) << "nobody's";
    EXPECT_FALSE(waiter.ends_within(200ms));
    ready = POLLIN;
    wakeup.kh = handle;
    EXPECT_EQ(server.notify(FUSE_NOTIFY_POLL, bytes_of(wakeup)), 0);
    ASSERT_TRUE(waiter.ends_within(10s)) << waiter.where();
    EXPECT_EQ(waiter.status(), 0);
    // A server without it is asked once; its files are always ready.
    server.on(FUSE_POLL, [](const Request &) { return false; });
    std::size_t before = server.seen(FUSE_POLL);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(poll(&polled, 1, 0), 1);
    EXPECT_EQ(server.seen(FUSE_POLL), before + 1);
    // The file goes, then the server speaks of it.
    file.reset();
    EXPECT_EQ(server.notify(FUSE_NOTIFY_POLL, bytes_of(wakeup)), 0);
}

ON_CLIENTS(PollOfTheDead, "fusewb", "fuse");

CLIENT_TEST(PollOfTheDead, EndsWithTheServer) {
    RawServer server({.type = client.type});
    server.set_content("f", "content");
    Fd file(server.mnt("f"), O_RDONLY);
    std::atomic<unsigned> waiting = 0;
    server.on(FUSE_POLL, [&](const Request &request) {
        // Only then somebody waits already.
        if (request.as<fuse_poll_in>().flags & FUSE_POLL_SCHEDULE_NOTIFY)
            waiting++;
        server.answer(request, bytes_of(fuse_poll_out{}));
        return true;
    });
    Task poller("poll", [&] {
        struct pollfd mine {
            file, POLLIN, 0
        };
        EXPECT_EQ(poll(&mine, 1, -1), 1);
        EXPECT_EQ(mine.revents, POLLERR);
        return 0;
    });
    Task epoller("epoll", [&] {
        Fd set(epoll_create1(EPOLL_CLOEXEC));
        struct epoll_event event {};
        event.events = EPOLLIN | EPOLLET;
        check(epoll_ctl(set, EPOLL_CTL_ADD, file, &event), "epoll_ctl");
        EXPECT_EQ(epoll_wait(set, &event, 1, -1), 1);
        EXPECT_EQ(event.events, std::uint32_t(EPOLLERR));
        return 0;
    });
    ASSERT_TRUE(wait_until(10s, [&] { return waiting >= 2; }));
    EXPECT_FALSE(poller.ends_within(200ms));
    EXPECT_FALSE(epoller.ends_within(200ms));
    server.die();
    for (Task *task : {&poller, &epoller}) {
        EXPECT_TRUE(task->ends_within(10s)) << task->where();
        EXPECT_EQ(task->status(), 0);
    }
    struct pollfd mine {
        file, POLLIN, 0
    };
    EXPECT_EQ(poll(&mine, 1, 0), 1);
    EXPECT_EQ(mine.revents, POLLERR);
}

GUEST_TEST(Ioctl, TheCommandSaysWhatGoesInAndOut) {
    needs_fusewb();
    RawServer server;
    server.set_content("f", "content");
    struct Argument {
        std::uint32_t a;
        std::uint32_t b;
    };
    fuse_ioctl_in in{};
    server.on(FUSE_IOCTL, [&](const Request &request) {
        in = request.as<fuse_ioctl_in>();
        Argument argument{};
        std::memcpy(&argument, request.body.data() + sizeof(in),
                    std::min<std::size_t>(in.in_size, sizeof(argument)));
        std::swap(argument.a, argument.b);
        fuse_ioctl_out out{};
        out.result = 42;
        server.answer(request, std::string(bytes_of(out)) +
                                   std::string(bytes_of(argument)).substr(0, in.out_size));
        return true;
    });
    Fd file(server.mnt("f"), O_RDONLY), directory(server.mnt(), O_RDONLY | O_DIRECTORY);
    Argument argument{1, 2};
    EXPECT_EQ(ioctl(file, _IOWR('E', 1, Argument), &argument), 42);
    EXPECT_EQ(argument.a, 2u);
    EXPECT_EQ(argument.b, 1u);
    EXPECT_EQ(in.flags & FUSE_IOCTL_UNRESTRICTED, 0u);
    EXPECT_EQ(in.in_size, sizeof(argument));
    EXPECT_EQ(ioctl(directory, _IOW('E', 2, Argument), &argument), 42);
    EXPECT_TRUE(in.flags & FUSE_IOCTL_DIR);
    EXPECT_EQ(in.out_size, 0u);
    EXPECT_EQ(ioctl(file, _IOR('E', 3, Argument), nullptr), -1);
    EXPECT_EQ(errno, EFAULT);

    auto answered = [&](fuse_ioctl_out out, std::size_t bytes) {
        server.on(FUSE_IOCTL, [&server, out, bytes](const Request &request) {
            server.answer(request, std::string(bytes_of(out)) + std::string(bytes, 'x'));
            return true;
        });
        return ioctl(file, _IOWR('E', 1, Argument), &argument) < 0 ? errno : 0;
    };
    EXPECT_EQ(answered({0, 0, 0, 0}, 4), 0) << "less than asked for";
    EXPECT_EQ(answered({0, 0, 0, 0}, 9), EIO) << "more than asked for";
    EXPECT_EQ(answered({0, FUSE_IOCTL_RETRY, 1, 1}, 0), EIO) << "any memory of the caller";
    EXPECT_EQ(answered({-512, 0, 0, 0}, 0), EIO) << "an error of the kernel's own";
    EXPECT_EQ(answered({-EPERM, 0, 0, 0}, 0), EPERM);
    EXPECT_EQ(answered({-ENOSYS, 0, 0, 0}, 0), ENOTTY) << "no error of ioctl(2)";
    argument = {};
    EXPECT_EQ(answered({-ERANGE, 0, 0, 0}, sizeof(argument)), ERANGE);
    EXPECT_EQ(argument.b, 0x78787878u) << "what came with the error";
    server.on(FUSE_IOCTL, [&](const Request &request) {
        server.answer(request, "short");
        return true;
    });
    EXPECT_EQ(ioctl(file, _IOWR('E', 1, Argument), &argument), -1);
    EXPECT_EQ(errno, EIO);
    server.on(FUSE_IOCTL, [](const Request &) { return false; });
    std::size_t before = server.seen(FUSE_IOCTL);
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(ioctl(file, _IOWR('E', 1, Argument), &argument), -1);
        EXPECT_EQ(errno, ENOTTY);
    }
    EXPECT_EQ(server.seen(FUSE_IOCTL), before + 2) << "it may know other commands";
}

CLIENT_TEST(NotifyName, ThatIsDeletedOfADirectoryLetsNothingBeMadeInIt) {
    RawServer server({.type = client.type});
    make_directory(server, "d");
    server.set_content("x", "content");
    Fd directory(server.mnt("d"), O_RDONLY | O_DIRECTORY);
    EXPECT_EQ(server.notify(FUSE_NOTIFY_DELETE, deletion_of("d", server.node_of("d"))), 0);
    EXPECT_EQ(openat(directory, "new", O_CREAT | O_WRONLY, 0600), -1);
    EXPECT_EQ(errno, ENOENT);
    EXPECT_EQ(mkdirat(directory, "newer", 0700), -1);
    EXPECT_EQ(errno, ENOENT);
    EXPECT_EQ(server.seen(FUSE_CREATE) + server.seen(FUSE_MKDIR), 0u);
}
