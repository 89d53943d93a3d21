// SPDX-License-Identifier: GPL-2.0-only
// Kept listings: a server that says so is asked for the names of a directory once.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <set>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/client.h"
#include "support/files.h"
#include "support/guest_test.h"
#include "support/protocol.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;

namespace {

// Names that fill some pages, in the order in which the server lists them.
std::vector<std::string> many_names() {
    std::vector<std::string> names;
    for (int i = 0; i < 300; i++)
        names.push_back("name-" + std::to_string(1000 + i) + std::string(40 + i % 17, 'x'));
    return names;
}

void open_with(RawServer &server, std::uint32_t flags) {
    server.on(FUSE_OPENDIR, [&server, flags](const Request &request) {
        fuse_open_out out{};
        out.open_flags = flags;
        server.answer(request, bytes_of(out));
        return true;
    });
}

// A server of many names that lets them be kept.
class Keeper {
public:
    explicit Keeper(RawServer::Options options,
                    std::uint32_t flags = FOPEN_CACHE_DIR | FOPEN_KEEP_CACHE)
        : server(std::move(options)) {
        for (const auto &name : many_names())
            server.set_content(name, "");
        open_with(server, flags);
    }
    // Return: READDIRs since the last call.
    std::size_t asked() {
        std::size_t all = server.seen(FUSE_READDIR) + server.seen(FUSE_READDIRPLUS);
        return all - std::exchange(seen_, all);
    }
    RawServer server;

private:
    std::size_t seen_ = 0;
};

class Directory {
public:
    explicit Directory(const std::filesystem::path &path) : dir_(opendir(path.c_str())) {
        if (!dir_)
            check(-1, path);
    }
    ~Directory() { closedir(dir_); }
    Directory(const Directory &) = delete;
    operator DIR *() const { return dir_; }

    // Throws at an error.
    std::vector<std::string> rest() const {
        std::vector<std::string> names;
        errno = 0;
        while (struct dirent *entry = readdir(dir_))
            names.emplace_back(entry->d_name);
        check(errno ? -1 : 0, "readdir");
        return names;
    }

private:
    DIR *dir_;
};

std::vector<std::string> list(RawServer &server) { return Directory(server.mnt()).rest(); }

// What one call of getdents64 brings; nothing at the end.
std::vector<std::string> next_piece(int directory, std::size_t size) {
    std::vector<char> piece(size);
    std::vector<std::string> names;
    long length = check(syscall(SYS_getdents64, directory, piece.data(), size), "getdents64");
    for (long at = 0; at < length;) {
        auto *entry = reinterpret_cast<struct dirent64 *>(&piece[static_cast<std::size_t>(at)]);
        names.emplace_back(entry->d_name);
        at += entry->d_reclen;
    }
    return names;
}

// Onto the end of @names.
void read_rest(int directory, std::size_t size, std::vector<std::string> &names) {
    for (;;) {
        auto piece = next_piece(directory, size);
        if (piece.empty())
            return;
        names.insert(names.end(), piece.begin(), piece.end());
    }
}

bool lists(RawServer &server, const std::string &name) {
    return std::ranges::count(list(server), name) == 1;
}

int invalidate_data(RawServer &server) {
    fuse_notify_inval_inode_out out{};
    out.ino = FUSE_ROOT_ID;
    return server.notify(FUSE_NOTIFY_INVAL_INODE, bytes_of(out));
}

} // namespace

ON_CLIENTS(KeptListing, "fusewb", "fuse");

CLIENT_TEST(KeptListing, IsAskedForOnce) {
    Keeper keeper({.type = client.type});
    EXPECT_EQ(list(keeper.server), many_names());
    EXPECT_GT(keeper.asked(), 0u);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(list(keeper.server), many_names());
    EXPECT_EQ(keeper.asked(), 0u);
}

CLIENT_TEST(KeptListing, OfAnEmptyDirectoryIsAskedForOnce) {
    RawServer server({.type = client.type});
    open_with(server, FOPEN_CACHE_DIR | FOPEN_KEEP_CACHE);
    for (int i = 0; i < 3; i++)
        EXPECT_TRUE(list(server).empty());
    EXPECT_EQ(server.seen(FUSE_READDIR), 1u);
}

CLIENT_TEST(KeptListing, IsNoneIfTheServerDoesNotSaySo) {
    Keeper keeper({.type = client.type}, FOPEN_KEEP_CACHE);
    list(keeper.server);
    keeper.asked();
    EXPECT_EQ(list(keeper.server), many_names());
    EXPECT_GT(keeper.asked(), 0u);
}

CLIENT_TEST(KeptListing, EndsWithTheNextOpenThatDoesNotKeepIt) {
    Keeper keeper({.type = client.type}, FOPEN_CACHE_DIR);
    Directory directory(keeper.server.mnt());
    EXPECT_EQ(directory.rest(), many_names());
    keeper.asked();
    rewinddir(directory);
    EXPECT_EQ(directory.rest(), many_names());
    EXPECT_EQ(keeper.asked(), 0u);
    EXPECT_EQ(list(keeper.server), many_names());
    EXPECT_GT(keeper.asked(), 0u);
}

CLIENT_TEST(KeptListing, OfAServerWithoutOpendirIsKept) {
    Keeper keeper({.init_flags = FUSE_NO_OPENDIR_SUPPORT, .type = client.type});
    keeper.server.on(FUSE_OPENDIR, [&](const Request &request) {
        keeper.server.answer_error(request, ENOSYS);
        return true;
    });
    list(keeper.server);
    keeper.asked();
    EXPECT_EQ(list(keeper.server), many_names());
    EXPECT_EQ(keeper.asked(), 0u);
}

CLIENT_TEST(KeptListing, EndsWhenANameChangesHere) {
    Keeper keeper({.type = client.type});
    list(keeper.server);
    write_file(keeper.server.mnt("zz"), "");
    EXPECT_TRUE(lists(keeper.server, "zz"));
    ASSERT_EQ(rename(keeper.server.mnt("zz").c_str(), keeper.server.mnt("zzz").c_str()), 0);
    EXPECT_FALSE(lists(keeper.server, "zz"));
    EXPECT_TRUE(lists(keeper.server, "zzz"));
    ASSERT_EQ(unlink(keeper.server.mnt("zzz").c_str()), 0);
    EXPECT_EQ(list(keeper.server), many_names());
}

CLIENT_TEST(KeptListing, EndsWhenTheServerSaysSo) {
    Keeper keeper({.type = client.type});
    RawServer &server = keeper.server;
    list(server);
    server.set_content("other", "");
    EXPECT_FALSE(lists(server, "other"));
    EXPECT_EQ(invalidate_data(server), 0);
    EXPECT_TRUE(lists(server, "other"));

    // The other one goes, whose name is known.
    struct stat st;
    ASSERT_EQ(stat(server.mnt("other").c_str(), &st), 0);
    server.set_content("third", "");
    EXPECT_FALSE(lists(server, "third"));
    fuse_notify_inval_entry_out out{};
    out.parent = FUSE_ROOT_ID;
    out.namelen = 5;
    EXPECT_EQ(server.notify(FUSE_NOTIFY_INVAL_ENTRY, std::string(bytes_of(out)) + std::string("other\0", 6)), 0);
    EXPECT_TRUE(lists(server, "third"));
}

CLIENT_TEST(KeptListing, EndsWithTheTimeOfTheDirectoryIfThatCounts) {
    Keeper keeper(
        {.valid_seconds = 0, .init_flags = FUSE_AUTO_INVAL_DATA, .type = client.type});
    RawServer &server = keeper.server;
    std::atomic<std::uint64_t> mtime = 5;
    server.on(FUSE_GETATTR, [&](const Request &request) {
        if (request.header.nodeid != FUSE_ROOT_ID)
            return false;
        fuse_attr_out out{};
        out.attr = protocol::directory_attributes(FUSE_ROOT_ID);
        out.attr.mtime = mtime;
        server.answer(request, bytes_of(out));
        return true;
    });
    list(server);
    keeper.asked();
    EXPECT_EQ(list(server), many_names());
    EXPECT_EQ(keeper.asked(), 0u);
    server.set_content("other", "");
    mtime++;
    EXPECT_TRUE(lists(server, "other"));
    keeper.asked();
    EXPECT_TRUE(lists(server, "other"));
    EXPECT_EQ(keeper.asked(), 0u);
}

CLIENT_TEST(KeptListing, CanBeSoughtIn) {
    Keeper keeper({.type = client.type});
    list(keeper.server);
    keeper.asked();
    Directory directory(keeper.server.mnt());
    const auto names = many_names();
    std::vector<long> places;
    for (std::size_t i = 0; i < names.size(); i++) {
        places.push_back(telldir(directory));
        ASSERT_NE(readdir(directory), nullptr) << i;
    }
    for (std::size_t i : {299, 0, 150, 1, 57, 298}) {
        seekdir(directory, places[i]);
        EXPECT_EQ(directory.rest(),
                  (std::vector<std::string>{names.begin() + static_cast<long>(i), names.end()}))
            << i;
    }
    EXPECT_EQ(keeper.asked(), 0u);
}

CLIENT_TEST(KeptListing, IsAskedForAgainWhereMemoryWasTakenFromIt) {
    Keeper keeper({.type = client.type});
    const auto names = many_names();
    list(keeper.server);
    Fd directory(keeper.server.mnt(), O_RDONLY | O_DIRECTORY);
    // In the midst of a reader, too.
    auto found = next_piece(directory, 512);
    keeper.asked();
    drop_caches();
    read_rest(directory, 512, found);
    EXPECT_EQ(found, names);
    EXPECT_GT(keeper.asked(), 0u);
    EXPECT_EQ(list(keeper.server), names);
    keeper.asked();
    EXPECT_EQ(list(keeper.server), names);
    EXPECT_EQ(keeper.asked(), 0u);
}

CLIENT_TEST(KeptListing, DoesNotDependOnWhoLeftInTheMiddle) {
    Keeper keeper({.type = client.type});
    {
        Fd directory(keeper.server.mnt(), O_RDONLY | O_DIRECTORY);
        EXPECT_FALSE(next_piece(directory, 512).empty());
    }
    EXPECT_EQ(list(keeper.server), many_names());
    keeper.asked();
    EXPECT_EQ(list(keeper.server), many_names());
    EXPECT_EQ(keeper.asked(), 0u);
}

CLIENT_TEST(KeptListing, IsReadInPiecesOfAnySize) {
    Keeper keeper({.type = client.type});
    for (std::size_t size : {130u, 512u, 4096u, 5000u}) {
        for (bool kept : {false, true}) {
            std::vector<std::string> names;
            Fd directory(keeper.server.mnt(), O_RDONLY | O_DIRECTORY);
            keeper.asked();
            read_rest(directory, size, names);
            EXPECT_EQ(names, many_names()) << size;
            if (kept) {
                EXPECT_EQ(keeper.asked(), 0u) << size;
            }
        }
        EXPECT_EQ(invalidate_data(keeper.server), 0);
    }
}

CLIENT_TEST(KeptListing, IsKeptOfReaddirplusToo) {
    Keeper keeper({.init_flags = FUSE_DO_READDIRPLUS, .type = client.type});
    const auto names = many_names();
    keeper.server.on(FUSE_READDIRPLUS, [&](const Request &request) {
        auto in = request.as<fuse_read_in>();
        std::string out;
        // Without a node: nothing is known but the name.
        for (std::uint64_t i = in.offset; i < names.size(); i++) {
            fuse_direntplus entry{};
            entry.dirent.ino = 100 + i;
            entry.dirent.off = i + 1;
            entry.dirent.namelen = static_cast<std::uint32_t>(names[i].size());
            std::string one = std::string(bytes_of(entry)) + names[i];
            one.resize(FUSE_DIRENT_ALIGN(one.size()));
            if (out.size() + one.size() > in.size)
                break;
            out += one;
        }
        keeper.server.answer(request, out);
        return true;
    });
    EXPECT_EQ(list(keeper.server), names);
    EXPECT_GT(keeper.asked(), 0u);
    EXPECT_EQ(list(keeper.server), names);
    EXPECT_EQ(keeper.asked(), 0u);
}

CLIENT_TEST(KeptListing, IsNoneOfAnAnswerThatCannotBe) {
    Keeper keeper({.type = client.type});
    RawServer &server = keeper.server;
    std::atomic<bool> spoilt = true;
    server.on(FUSE_READDIR, [&](const Request &request) {
        if (!spoilt || !request.as<fuse_read_in>().offset)
            return false;
        fuse_dirent entry{77, 1000, 3, DT_REG};
        std::string out(reinterpret_cast<const char *>(&entry), FUSE_NAME_OFFSET);
        out += "a/b";
        out.resize(FUSE_DIRENT_ALIGN(out.size()));
        server.answer(request, out);
        return true;
    });
    EXPECT_THROW(list(server), std::system_error);
    spoilt = false;
    keeper.asked();
    EXPECT_EQ(list(server), many_names());
    EXPECT_GT(keeper.asked(), 0u);
}

GUEST_TEST(Listing, AskedForBeforeANotificationIsNotKept) {
    needs_fusewb();
    Keeper keeper({});
    RawServer &server = keeper.server;
    server.hold(FUSE_READDIR);
    Task before("listing", [&] { return list(server).empty() ? 1 : 0; });
    ASSERT_TRUE(server.wait_held(FUSE_READDIR, 1)) << before.where();
    EXPECT_EQ(invalidate_data(server), 0);
    server.release(FUSE_READDIR);
    EXPECT_TRUE(before.ends_within(20s)) << before.where();
    EXPECT_EQ(before.status(), 0);
    server.set_content("other", "");
    EXPECT_TRUE(lists(server, "other"));
}

// Whatever is kept or begun meanwhile, names that stay are listed once each.
CLIENT_TEST(KeptListing, ShowsEachNameOnceBesideReadersAndWriters) {
    Keeper keeper({.type = client.type});
    const auto names = many_names();
    auto expect_names = [&] {
        for (int i = 0; i < 40; i++) {
            auto found = list(keeper.server);
            std::erase(found, "zz");
            if (found != names)
                return 1;
        }
        return 0;
    };
    Task one("a reader", expect_names), other("another", expect_names);
    while (!one.ended() || !other.ended()) {
        // Behind all others, so that it moves none of them.
        write_file(keeper.server.mnt("zz"), "");
        ASSERT_EQ(unlink(keeper.server.mnt("zz").c_str()), 0);
    }
    for (Task *task : {&one, &other})
        EXPECT_EQ(task->status(), 0) << "1: other names than there are";
    EXPECT_EQ(list(keeper.server), names);
}
