// SPDX-License-Identifier: GPL-2.0-only
// Extended attributes are the server's, ACLs are checked where the server leaves that to the
// kernel, and the umask is applied by whom the protocol says.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <set>

#include <fcntl.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "support/files.h"
#include "support/guest_test.h"
#include "support/passthrough.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;
namespace fs = std::filesystem;

namespace {

// Return: the value, or "errno N".
std::string get_value(const fs::path &path, const char *name, std::size_t room = 65536) {
    std::string value(room, '\0');
    ssize_t n = lgetxattr(path.c_str(), name, value.data(), value.size());
    if (n < 0)
        return "errno " + std::to_string(errno);
    value.resize(static_cast<std::size_t>(n));
    return value;
}

int set_value(const fs::path &path, const char *name, std::string_view value, int flags = 0) {
    return lsetxattr(path.c_str(), name, value.data(), value.size(), flags) ? errno : 0;
}

int remove_value(const fs::path &path, const char *name) {
    return lremovexattr(path.c_str(), name) ? errno : 0;
}

std::set<std::string> list_of(const fs::path &path) {
    std::string list(65536, '\0');
    list.resize(static_cast<std::size_t>(
        check(llistxattr(path.c_str(), list.data(), list.size()), "listxattr")));
    std::set<std::string> names;
    for (std::size_t at = 0; at < list.size(); at += std::strlen(&list[at]) + 1)
        names.insert(&list[at]);
    return names;
}

int list_error(const fs::path &path, std::size_t room = 4096) {
    std::string list(room, '\0');
    return llistxattr(path.c_str(), list.data(), room) < 0 ? errno : 0;
}

// Extended attributes in memory, of any file: what RawServer does not keep.
class Values {
public:
    explicit Values(RawServer &server) : server_(server) {
        server.on(FUSE_GETXATTR, [this](const Request &request) {
            auto in = request.as<fuse_getxattr_in>();
            std::lock_guard lock(mutex_);
            std::string name = request.name(sizeof(in));
            asked_.push_back(name);
            auto found = values_.find({request.header.nodeid, name});
            if (found == values_.end())
                server_.answer_error(request, ENODATA);
            else if (!in.size)
                send_size(request, found->second.size());
            else if (in.size < found->second.size())
                server_.answer_error(request, ERANGE);
            else
                server_.answer(request, found->second);
            return true;
        });
        server.on(FUSE_SETXATTR, [this](const Request &request) {
            auto in = request.as<fuse_setxattr_in>();
            std::lock_guard lock(mutex_);
            std::string name = request.name(fixed());
            set_ = in;
            values_[{request.header.nodeid, name}] =
                request.body.substr(fixed() + name.size() + 1, in.size);
            server_.answer_error(request, 0);
            return true;
        });
        server.on(FUSE_REMOVEXATTR, [this](const Request &request) {
            std::lock_guard lock(mutex_);
            bool gone = values_.erase({request.header.nodeid, request.name(0)}) > 0;
            server_.answer_error(request, gone ? 0 : ENODATA);
            return true;
        });
    }
    void put(std::uint64_t node, const std::string &name, std::string value) {
        std::lock_guard lock(mutex_);
        values_[{node, name}] = std::move(value);
    }
    fuse_setxattr_in last_set() {
        std::lock_guard lock(mutex_);
        return set_;
    }
    long asked(const std::string &name) {
        std::lock_guard lock(mutex_);
        return std::count(asked_.begin(), asked_.end(), name);
    }
    void extended() { extended_ = true; }

private:
    std::size_t fixed() const {
        return extended_ ? sizeof(fuse_setxattr_in) : FUSE_COMPAT_SETXATTR_IN_SIZE;
    }
    void send_size(const Request &request, std::size_t size) {
        fuse_getxattr_out out{};
        out.size = static_cast<std::uint32_t>(size);
        server_.answer(request, bytes_of(out));
    }

    RawServer &server_;
    bool extended_ = false;
    std::mutex mutex_;
    std::map<std::pair<std::uint64_t, std::string>, std::string> values_;
    std::vector<std::string> asked_;
    fuse_setxattr_in set_{};
};

struct AclEntry {
    std::uint16_t tag;
    std::uint16_t perm;
    std::uint32_t id;
};

std::string acl(std::initializer_list<AclEntry> entries) {
    std::uint32_t version = POSIX_ACL_XATTR_VERSION;
    std::string bytes(bytes_of(version));
    for (const auto &entry : entries)
        bytes += bytes_of(entry);
    return bytes;
}

// Nobody may do this much, the file's group and others nothing.
std::string acl_for_nobody(std::uint16_t perm) {
    constexpr std::uint32_t none = ACL_UNDEFINED_ID;
    return acl({{ACL_USER_OBJ, 6, none},
                {ACL_USER, perm, 65534},
                {ACL_GROUP_OBJ, 0, none},
                {ACL_MASK, 7, none},
                {ACL_OTHER, 0, none}});
}

// Return: errno of open(2) as nobody.
int open_as_nobody(const fs::path &path, int flags) {
    Task task("open as nobody", [&] {
        become_nobody();
        int fd = open(path.c_str(), flags);
        return fd < 0 ? errno : 0;
    });
    EXPECT_TRUE(task.ends_within(20s)) << task.where();
    return task.status().value_or(-1);
}

} // namespace

GUEST_TEST(Xattr, ValuesAreThoseOfTheServer) {
    Passthrough server({.server_options = "xattr"});
    write_file(server.mnt("f"), "content");
    EXPECT_EQ(get_value(server.mnt("f"), "trusted.a"), "errno " + std::to_string(ENODATA));
    ASSERT_EQ(set_value(server.mnt("f"), "trusted.a", "one", XATTR_CREATE), 0);
    EXPECT_EQ(get_value(server.backing("f"), "trusted.a"), "one");
    EXPECT_EQ(set_value(server.mnt("f"), "trusted.a", "two", XATTR_CREATE), EEXIST);
    EXPECT_EQ(set_value(server.mnt("f"), "trusted.b", "two", XATTR_REPLACE), ENODATA);
    ASSERT_EQ(set_value(server.mnt("f"), "trusted.a", "two and more", XATTR_REPLACE), 0);
    EXPECT_EQ(get_value(server.mnt("f"), "trusted.a"), "two and more");
    EXPECT_EQ(get_value(server.mnt("f"), "trusted.a", 3), "errno " + std::to_string(ERANGE));
    EXPECT_EQ(lgetxattr(server.mnt("f").c_str(), "trusted.a", nullptr, 0), 12);
    ASSERT_EQ(set_value(server.mnt("f"), "trusted.empty", ""), 0);
    EXPECT_EQ(get_value(server.mnt("f"), "trusted.empty"), "");
    std::string large = pattern(60000, 1);
    ASSERT_EQ(set_value(server.mnt("f"), "security.large", large), 0);
    EXPECT_EQ(difference(large, get_value(server.mnt("f"), "security.large")), "");
    std::set<std::string> names{"trusted.a", "trusted.empty", "security.large"};
    EXPECT_EQ(list_of(server.mnt("f")), names);
    EXPECT_EQ(list_error(server.mnt("f"), 10), ERANGE);
    ASSERT_EQ(remove_value(server.mnt("f"), "trusted.a"), 0);
    EXPECT_EQ(remove_value(server.mnt("f"), "trusted.a"), ENODATA);
    EXPECT_EQ(list_of(server.backing("f")),
              (std::set<std::string>{"trusted.empty", "security.large"}));
    fs::create_directory(server.mnt("d"));
    ASSERT_EQ(set_value(server.mnt("d"), "trusted.d", "directory"), 0);
    EXPECT_EQ(get_value(server.backing("d"), "trusted.d"), "directory");
}

GUEST_TEST(Xattr, AServerWithoutThemIsAskedOnce) {
    needs_fusewb();
    RawServer server;
    server.set_content("f", "content");
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(get_value(server.mnt("f"), "user.a"), "errno " + std::to_string(EOPNOTSUPP));
        EXPECT_EQ(set_value(server.mnt("f"), "user.a", "1"), EOPNOTSUPP);
        EXPECT_EQ(remove_value(server.mnt("f"), "user.a"), EOPNOTSUPP);
        EXPECT_EQ(list_error(server.mnt("f")), EOPNOTSUPP);
    }
    for (auto opcode : {FUSE_GETXATTR, FUSE_SETXATTR, FUSE_REMOVEXATTR, FUSE_LISTXATTR})
        EXPECT_EQ(server.seen(opcode), 1u) << opcode;
}

GUEST_TEST(Xattr, AbsentCapabilitiesAreNotAskedForAtEveryWrite) {
    needs_fusewb();
    RawServer server;
    Values values(server);
    server.set_content("f", "content");
    Fd file(server.mnt("f"), O_RDWR);
    for (int i = 0; i < 50; i++)
        pwrite_all(file, "x", i);
    EXPECT_LE(values.asked("security.capability"), 2);
    // What is set is seen at once: the next write takes it away.
    std::string capability(20, '\0');
    capability[3] = 2;
    ASSERT_EQ(set_value(server.mnt("f"), "security.capability", capability), 0);
    EXPECT_EQ(get_value(server.mnt("f"), "security.capability").size(), 20u);
    pwrite_all(file, "y", 0);
    EXPECT_EQ(get_value(server.mnt("f"), "security.capability"),
              "errno " + std::to_string(ENODATA));
}

GUEST_TEST(Xattr, ImpossibleAnswersAreErrors) {
    needs_fusewb();
    RawServer server;
    server.set_content("f", "content");
    auto listing_of = [&](const std::string &list) {
        server.on(FUSE_LISTXATTR, [&server, list](const Request &request) {
            server.answer(request, list);
            return true;
        });
        return list_error(server.mnt("f"));
    };
    std::uint64_t before = server.connection()[FUSEWB_A_COUNTER_MALFORMED];
    EXPECT_EQ(listing_of(std::string("user.a\0user.b\0", 14)), 0);
    EXPECT_EQ(listing_of(""), 0);
    EXPECT_EQ(listing_of(std::string("user.a\0user.b", 13)), EIO) << "no end";
    EXPECT_EQ(listing_of(std::string("user.a\0\0user.b\0", 15)), EIO) << "an empty name";
    EXPECT_EQ(listing_of(std::string(300, 'n') + std::string(1, '\0')), EIO) << "a long name";
    EXPECT_EQ(listing_of(std::string(5000, 'n')), EIO) << "more than was asked for";
    EXPECT_EQ(server.connection()[FUSEWB_A_COUNTER_MALFORMED], before + 4);
}

GUEST_TEST(Xattr, AnswersThatAreTooLargeAreErrors) {
    needs_fusewb();
    RawServer server;
    server.set_content("f", "content");
    fuse_getxattr_out out{};
    for (std::uint32_t opcode : {FUSE_GETXATTR, FUSE_LISTXATTR})
        server.on(opcode, [&](const Request &request) {
            // The size of what was asked for, or more of it than there is room for.
            if (auto in = request.as<fuse_getxattr_in>(); in.size)
                server.answer(request, std::string(in.size, 'x') + '\0');
            else
                server.answer(request, bytes_of(out));
            return true;
        });
    auto path = server.mnt("f");
    auto size_of_value = [&] { return lgetxattr(path.c_str(), "user.a", nullptr, 0); };
    auto size_of_list = [&] { return llistxattr(path.c_str(), nullptr, 0); };
    out.size = 65536;
    EXPECT_EQ(size_of_value(), 65536);
    EXPECT_EQ(size_of_list(), 65536);
    std::uint64_t before = server.connection()[FUSEWB_A_COUNTER_MALFORMED];
    for (std::uint32_t size : {65537u, UINT32_MAX}) {
        out.size = size;
        EXPECT_EQ(size_of_value(), -1);
        EXPECT_EQ(errno, EIO) << size;
        EXPECT_EQ(size_of_list(), -1);
        EXPECT_EQ(errno, EIO) << size;
    }
    EXPECT_EQ(server.connection()[FUSEWB_A_COUNTER_MALFORMED], before + 4);
    EXPECT_EQ(get_value(path, "user.a", 100), "errno " + std::to_string(EIO));
    EXPECT_EQ(get_value(path, "user.a"), "errno " + std::to_string(EIO));
    EXPECT_EQ(list_error(path, 100), EIO);
    EXPECT_EQ(server.connection()[FUSEWB_A_COUNTER_MALFORMED], before + 7);
}

GUEST_TEST(Acl, TheKernelChecksThoseOfAServerThatAsksForIt) {
    needs_fusewb();
    RawServer server({.mount_options = "allow_other",
                      .valid_seconds = 0,
                      .init_flags = FUSE_POSIX_ACL | FUSE_SETXATTR_EXT});
    Values values(server);
    values.extended();
    server.set_content("f", "content");
    ASSERT_EQ(chmod(server.mnt("f").c_str(), 0670), 0);
    EXPECT_EQ(open_as_nobody(server.mnt("f"), O_RDONLY), EACCES);
    // Set by the server, behind the kernel's back.
    values.put(2, "system.posix_acl_access", acl_for_nobody(4));
    EXPECT_EQ(open_as_nobody(server.mnt("f"), O_RDONLY), 0);
    EXPECT_EQ(open_as_nobody(server.mnt("f"), O_RDWR), EACCES);
    // Set by a user.
    ASSERT_EQ(set_value(server.mnt("f"), "system.posix_acl_access", acl_for_nobody(6)), 0);
    EXPECT_EQ(values.last_set().setxattr_flags, 0u);
    EXPECT_EQ(open_as_nobody(server.mnt("f"), O_RDWR), 0);
    EXPECT_EQ(get_value(server.mnt("f"), "system.posix_acl_access"), acl_for_nobody(6));
    ASSERT_EQ(remove_value(server.mnt("f"), "system.posix_acl_access"), 0);
    EXPECT_EQ(open_as_nobody(server.mnt("f"), O_RDONLY), EACCES);
    // One that is none.
    EXPECT_EQ(set_value(server.mnt("f"), "system.posix_acl_access", "nonsense"), EOPNOTSUPP);
    // Without a mistaken ACL, anybody could read it.
    ASSERT_EQ(chmod(server.mnt("f").c_str(), 0666), 0);
    values.put(2, "system.posix_acl_access", "nonsense");
    std::uint64_t malformed = server.connection()[FUSEWB_A_COUNTER_MALFORMED];
    EXPECT_EQ(open_as_nobody(server.mnt("f"), O_RDONLY), EIO);
    EXPECT_GT(server.connection()[FUSEWB_A_COUNTER_MALFORMED], malformed);
}

GUEST_TEST(Acl, OtherServersKeepThemForThemselves) {
    needs_fusewb();
    RawServer server({.mount_options = "allow_other,default_permissions", .valid_seconds = 0});
    Values values(server);
    server.set_content("f", "content");
    ASSERT_EQ(chmod(server.mnt("f").c_str(), 0600), 0);
    values.put(2, "system.posix_acl_access", acl_for_nobody(6));
    EXPECT_EQ(open_as_nobody(server.mnt("f"), O_RDONLY), EACCES) << "the kernel does not look";
    EXPECT_EQ(get_value(server.mnt("f"), "system.posix_acl_access"), acl_for_nobody(6));
}

GUEST_TEST(Acl, TheSetGroupIdBitGoesWithAnAclOfSomebodyOutsideTheGroup) {
    needs_fusewb();
    RawServer server({.mount_options = "allow_other",
                      .valid_seconds = 0,
                      .init_flags = FUSE_POSIX_ACL | FUSE_SETXATTR_EXT});
    Values values(server);
    values.extended();
    server.set_content("f", "content");
    ASSERT_EQ(chown(server.mnt("f").c_str(), 65534, 12345), 0);
    Task task("setfacl as nobody", [&] {
        become_nobody();
        return set_value(server.mnt("f"), "system.posix_acl_access", acl_for_nobody(6));
    });
    ASSERT_TRUE(task.ends_within(20s)) << task.where();
    EXPECT_EQ(task.status(), 0);
    EXPECT_EQ(values.last_set().setxattr_flags, unsigned(FUSE_SETXATTR_ACL_KILL_SGID));
}

GUEST_TEST(Acl, TheUmaskIsTheServersIfItAsksForIt) {
    needs_fusewb();
    for (bool dont_mask : {false, true}) {
        RawServer server({.init_flags = dont_mask ? std::uint64_t(FUSE_DONT_MASK) : 0,
                          .name = dont_mask ? "unmasked" : "masked"});
        umask(027);
        fuse_create_in created{};
        fuse_mkdir_in made{};
        server.on(FUSE_CREATE, [&](const Request &request) {
            created = request.as<fuse_create_in>();
            return false;
        });
        server.on(FUSE_MKDIR, [&](const Request &request) {
            made = request.as<fuse_mkdir_in>();
            server.answer_error(request, EPERM);
            return true;
        });
        write_file(server.mnt("f"), "x");
        EXPECT_EQ(mkdir(server.mnt("d").c_str(), 0777), -1);
        EXPECT_EQ(errno, EPERM);
        EXPECT_EQ(created.mode & 0777, dont_mask ? 0644u : 0640u);
        EXPECT_EQ(created.umask, 027u);
        EXPECT_EQ(made.mode & 0777, dont_mask ? 0777u : 0750u);
        EXPECT_EQ(made.umask, 027u);
    }
}

GUEST_TEST(Acl, ADefaultOneIsTheServersToInherit) {
    needs_fusewb();
    constexpr std::uint32_t none = ACL_UNDEFINED_ID;
    for (bool dont_mask : {false, true}) {
        RawServer server(
            {.mount_options = "allow_other",
             .init_flags = FUSE_POSIX_ACL | (dont_mask ? std::uint64_t(FUSE_DONT_MASK) : 0),
             .name = dont_mask ? "unmasked" : "masked"});
        Values values(server);
        values.put(FUSE_ROOT_ID, "system.posix_acl_default", acl_for_nobody(6));
        umask(077);
        fuse_create_in asked{};
        server.on(FUSE_CREATE, [&](const Request &request) {
            asked = request.as<fuse_create_in>();
            // The new file has nobody's entry, and the mask for the bits of the group.
            fuse_create_in made = asked;
            made.mode = asked.mode & 0660;
            Request changed = request;
            changed.body.replace(0, sizeof(made), bytes_of(made));
            values.put(2, "system.posix_acl_access",
                       acl({{ACL_USER_OBJ, static_cast<std::uint16_t>(made.mode >> 6 & 7), none},
                            {ACL_USER, 6, 65534},
                            {ACL_GROUP_OBJ, 0, none},
                            {ACL_MASK, static_cast<std::uint16_t>(made.mode >> 3 & 7), none},
                            {ACL_OTHER, 0, none}}));
            server.carry_out(changed);
            return true;
        });
        Fd file(server.mnt("f"), O_RDWR | O_CREAT, 0666);
        // Only a server that asks for it can leave the umask out, as such an ACL wants it.
        EXPECT_EQ(asked.mode & 0777, dont_mask ? 0666u : 0600u);
        EXPECT_EQ(asked.umask, 077u);
        EXPECT_EQ(server.seen(FUSE_SETXATTR), 0u) << "the kernel has made one itself";
        struct stat st;
        ASSERT_EQ(fstat(file, &st), 0);
        EXPECT_EQ(st.st_mode & 0777, dont_mask ? 0660u : 0600u);
        EXPECT_EQ(open_as_nobody(server.mnt("f"), O_RDWR), dont_mask ? 0 : EACCES);
    }
}

GUEST_TEST(Xattr, AnAnswerOlderThanACapabilityIsNotBelieved) {
    needs_fusewb();
    for (bool writeback : {true, false}) {
        RawServer server({.writeback = writeback, .name = writeback ? "writeback" : "through"});
        Values values(server);
        server.set_content("f", "content");
        Fd file(server.mnt("f"), O_RDWR);
        std::mutex mutex;
        std::optional<Request> late;
        server.on(FUSE_GETXATTR, [&](const Request &request) {
            std::lock_guard lock(mutex);
            late = request;
            return true;
        });
        Task asking("getxattr", [&] {
            return getxattr(server.mnt("f").c_str(), "security.capability", nullptr, 0) < 0 ? errno
                                                                                            : 0;
        });
        ASSERT_TRUE(wait_until(20s, [&] {
            std::lock_guard lock(mutex);
            return late.has_value();
        }));
        std::string capability(20, '\0');
        capability[3] = 2;
        ASSERT_EQ(set_value(server.mnt("f"), "security.capability", capability), 0);
        server.on(FUSE_GETXATTR, [&](const Request &request) {
            fuse_getxattr_out out{};
            out.size = 20;
            if (request.as<fuse_getxattr_in>().size)
                server.answer(request, capability);
            else
                server.answer(request, bytes_of(out));
            return true;
        });
        server.answer_error(*late, ENODATA);
        ASSERT_TRUE(asking.ends_within(20s)) << asking.where();
        EXPECT_EQ(asking.status(), ENODATA);
        pwrite_all(file, "x", 0);
        EXPECT_EQ(server.seen(FUSE_REMOVEXATTR), 1u) << "the capability stays";
    }
}
