// SPDX-License-Identifier: GPL-2.0-only
#include "mounter/place.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <optional>
#include <sched.h>
#include <sstream>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace fusewb::mounter {

namespace {

Failure failed(const std::string &what) {
    const int error = errno;
    return {what + ": " + std::strerror(error), error};
}

Failure notAllowed(const std::string &what) { return {what, EPERM}; }

// The headers for user space do not have these two.
constexpr decltype(statfs::f_type) fusectlMagic = 0x65735543;
constexpr decltype(statfs::f_type) configfsMagic = 0x62656570;

// Some of their directories are users' own, but what is below them is read by programs that trust
// the kernel to have written it.
constexpr std::array<decltype(statfs::f_type), 17> kernelsOwn{
    PROC_SUPER_MAGIC, SYSFS_MAGIC,      CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC,  DEBUGFS_MAGIC,
    TRACEFS_MAGIC,    SECURITYFS_MAGIC, BPF_FS_MAGIC,       NSFS_MAGIC,           fusectlMagic,
    configfsMagic,    SELINUX_MAGIC,    SMACK_MAGIC,        RDTGROUP_SUPER_MAGIC, EFIVARFS_MAGIC,
    PSTOREFS_MAGIC,   BINFMTFS_MAGIC};

// A line of the mount table, as proc_pid_mountinfo(5) has it.
struct Line {
    int id = 0;
    int parent = 0;
    std::string point; // with the octal escapes of the table
    std::string type;
    std::string superOptions;
};

std::optional<Line> parse(const std::string &text) {
    std::istringstream words(text);
    Line line;
    std::string skipped;
    if (!(words >> line.id >> line.parent >> skipped >> skipped >> line.point))
        return std::nullopt;
    // Options and optional fields, which a dash ends.
    while (words >> skipped && skipped != "-") {
    }
    if (!(words >> line.type >> skipped >> line.superOptions))
        return std::nullopt;
    return line;
}

std::vector<Line> parseAll(const std::string &table) {
    std::vector<Line> lines;
    std::istringstream stream(table);
    for (std::string text; std::getline(stream, text);)
        if (auto line = parse(text))
            lines.push_back(std::move(*line));
    return lines;
}

// As the table writes a path.
std::string escaped(const std::string &path) {
    std::string text;
    for (const char c : path) {
        if (std::strchr(" \t\n\\#", c)) {
            const auto byte = static_cast<unsigned char>(c);
            text += '\\';
            text += static_cast<char>('0' + (byte >> 6));
            text += static_cast<char>('0' + (byte >> 3 & 7));
            text += static_cast<char>('0' + (byte & 7));
        } else {
            text += c;
        }
    }
    return text;
}

bool hasOption(const std::string &options, const std::string &wanted) {
    return ("," + options + ",").find("," + wanted + ",") != std::string::npos;
}

} // namespace

Outcome enterNamespace(int nameSpace) {
    struct statfs system {};
    if (fstatfs(nameSpace, &system) < 0)
        return failed("the mount namespace cannot be looked at");
    if (system.f_type != NSFS_MAGIC || ioctl(nameSpace, NS_GET_NSTYPE) != CLONE_NEWNS)
        return Failure{"what should be a mount namespace is none", EINVAL};
    const Descriptor owner(ioctl(nameSpace, NS_GET_USERNS));
    struct stat theirs {};
    struct stat own {};
    if (!owner.held() || fstat(owner.get(), &theirs) < 0 || stat("/proc/self/ns/user", &own) < 0 ||
        theirs.st_dev != own.st_dev || theirs.st_ino != own.st_ino)
        return notAllowed("the mount namespace is one of another user namespace, where mount(2) "
                          "needs no help");
    if (setns(nameSpace, CLONE_NEWNS) < 0)
        return failed("cannot enter the mount namespace");
    return done();
}

Result<OwnProc> OwnProc::open() {
    Descriptor directory(::open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!directory.held())
        return failed("cannot open /proc/self");
    return OwnProc(std::move(directory));
}

Result<std::string> OwnProc::read(const std::string &name) const {
    const Descriptor file(openat(directory_.get(), name.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.held())
        return failed("cannot open /proc/self/" + name);
    std::string text;
    std::array<char, 16384> buffer;
    for (;;) {
        const ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
        if (got < 0 && errno != EINTR)
            return failed("cannot read /proc/self/" + name);
        if (got == 0)
            return text;
        if (got > 0)
            text.append(buffer.data(), static_cast<std::size_t>(got));
    }
}

std::string OwnProc::pathOf(int fd) const {
    std::array<char, 4096> path;
    const ssize_t length = readlinkat(directory_.get(), ("fd/" + std::to_string(fd)).c_str(),
                                      path.data(), path.size());
    return length < 0 ? std::string() : std::string(path.data(), static_cast<std::size_t>(length));
}

Result<int> OwnProc::mountOf(int fd) const {
    const auto text = read("fdinfo/" + std::to_string(fd));
    if (!text)
        return text.failure();
    constexpr std::string_view key = "mnt_id:";
    const std::size_t at = text->find(key);
    if (at == std::string::npos)
        return Failure{"the kernel does not tell which mount a descriptor is on", EOPNOTSUPP};
    return std::atoi(text->c_str() + at + key.size());
}

Result<std::string> OwnProc::mountTable() const { return read("mountinfo"); }

Outcome OwnProc::detach(int fd) const {
    // umount2(2) takes no descriptor, but follows the kernel's own link to what one is open on.
    if (fchdir(directory_.get()) < 0)
        return failed("cannot use /proc/self");
    if (umount2(("fd/" + std::to_string(fd)).c_str(), MNT_DETACH) < 0) {
        if (errno == EINVAL)
            return Failure{"that is not the mount point itself", EINVAL};
        return failed("cannot unmount");
    }
    return done();
}

Outcome checkPlace(const OwnProc &proc, int place, uid_t user) {
    struct stat status {};
    if (fstat(place, &status) < 0)
        return failed("the mount point cannot be looked at");
    if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode))
        return Failure{"the mount point is neither a directory nor a file", EINVAL};
    if (status.st_uid != user)
        return notAllowed("the mount point belongs to another user");
    // Of the owner's rights nothing but these bits and the mount's own flags decides.
    if ((status.st_mode & S_IWUSR) == 0)
        return notAllowed("the mount point is not writable");
    struct statfs system {};
    if (fstatfs(place, &system) < 0)
        return failed("the mount point's file system cannot be looked at");
    if (system.f_flags & ST_RDONLY)
        return notAllowed("the mount point is on a file system that is read-only");
    if (std::find(kernelsOwn.begin(), kernelsOwn.end(), system.f_type) != kernelsOwn.end())
        return notAllowed("the mount point is on a file system of the kernel's own");

    const auto mount = proc.mountOf(place);
    const auto table = proc.mountTable();
    if (!mount || !table)
        return mount ? table.failure() : mount.failure();
    const std::string path = escaped(proc.pathOf(place));
    for (const Line &line : parseAll(*table))
        if (line.parent == *mount && line.point == path)
            return Failure{"something is mounted over the mount point since it was opened", EBUSY};
    return done();
}

Outcome checkOwnMount(const OwnProc &proc, int root, uid_t user) {
    const auto mount = proc.mountOf(root);
    const auto table = proc.mountTable();
    if (!mount || !table)
        return mount ? table.failure() : mount.failure();
    const std::vector<Line> lines = parseAll(*table);
    const auto own = std::find_if(lines.begin(), lines.end(),
                                  [&](const Line &line) { return line.id == *mount; });
    if (own == lines.end())
        return Failure{"it is mounted nowhere in that mount namespace", EINVAL};
    if (own->type != "fusewb" && !own->type.starts_with("fusewb."))
        return Failure{"that is no fusewb file system", EINVAL};
    if (!hasOption(own->superOptions, "user_id=" + std::to_string(user)))
        return notAllowed("the mount belongs to another user");
    // Others' mounts would go with it.
    if (std::any_of(lines.begin(), lines.end(),
                    [&](const Line &line) { return line.parent == *mount; }))
        return Failure{"something else is mounted in it", EBUSY};
    return done();
}

} // namespace fusewb::mounter
