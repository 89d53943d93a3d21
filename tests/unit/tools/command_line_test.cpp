// SPDX-License-Identifier: GPL-2.0-only
#include "mount/command_line.h"

#include <gtest/gtest.h>

#include <sys/stat.h>

using namespace fusewb;

namespace {

using Words = std::vector<std::string>;

Request parsed(const Words &words) {
    Result<Request> result = parse_command_line(words);
    EXPECT_TRUE(result);
    return result ? result.value() : Request{};
}

Failure refused(const Words &words) {
    Result<Request> result = parse_command_line(words);
    EXPECT_FALSE(result);
    return result ? Failure{ExitCode::success, "", ""} : result.failure();
}

TEST(CommandLine, SplitsServerAndSourceAtTheFirstHash) {
    const Request request = parsed({"sshfs#host:/a#b", "/mnt"});
    EXPECT_EQ(request.server, "sshfs");
    EXPECT_EQ(request.source, "host:/a#b");
    EXPECT_EQ(request.directory, "/mnt");
    EXPECT_EQ(request.shown_source(), "sshfs#host:/a#b");
    EXPECT_EQ(request.type(), "fusewb.sshfs");
}

TEST(CommandLine, TakesTheServerFromTheType) {
    const Request request = parsed({"host:/a", "/mnt", "-o", "rw", "-t", "fusewb.sshfs"});
    EXPECT_EQ(request.server, "sshfs");
    EXPECT_EQ(request.source, "host:/a");
    EXPECT_EQ(request.shown_source(), "host:/a");
    EXPECT_EQ(request.type(), "fusewb.sshfs");
}

TEST(CommandLine, KeepsAHashInTheSourceWhenTheTypeNamesTheServer) {
    EXPECT_EQ(parsed({"a#b", "/mnt", "-t", "fusewb.srv"}).source, "a#b");
}

TEST(CommandLine, KeepsDotsInTheServersName) {
    EXPECT_EQ(parsed({"x", "/mnt", "-t", "fusewb.my.srv"}).server, "my.srv");
}

TEST(CommandLine, KnowsServersWithoutASource) {
    EXPECT_EQ(parsed({"hello", "/mnt"}).source, "");
    EXPECT_EQ(parsed({"hello#", "/mnt"}).source, "");
    EXPECT_EQ(parsed({"none", "/mnt", "-t", "fusewb.hello"}).source, "");
    EXPECT_EQ(parsed({"", "/mnt", "-t", "fusewb.hello"}).source, "");
}

TEST(CommandLine, NamesTheTypeAfterTheLastPartOfThePath) {
    const Request request = parsed({"/opt/bin/passthrough_ll#", "/mnt"});
    EXPECT_EQ(request.server, "/opt/bin/passthrough_ll");
    EXPECT_EQ(request.type(), "fusewb.passthrough_ll");
}

TEST(CommandLine, ReadsWhatMountPassesToItsHelpers) {
    const Request request =
        parsed({"srv#x", "/mnt", "-sfnv", "-N", "/proc/1/ns/mnt", "-o", "rw,noatime", "-oa=1"});
    EXPECT_TRUE(request.fake);
    EXPECT_TRUE(request.verbose);
    EXPECT_EQ(request.name_space, "/proc/1/ns/mnt");
    EXPECT_EQ(request.options.server, "a=1");
}

TEST(CommandLine, TakesArgumentsInAnyOrder) {
    EXPECT_EQ(parsed({"-o", "a", "srv#x", "-v", "/mnt"}).directory, "/mnt");
    EXPECT_EQ(parsed({"--", "srv#-x", "-dir"}).directory, "-dir");
}

TEST(CommandLine, RefusesWhatIsIncompleteOrUnknown) {
    const std::vector<Words> lines = {
        {},
        {"srv#x"},
        {"srv#x", "/mnt", "more"},
        {"#x", "/mnt"},
        {"/usr/bin/#x", "/mnt"},
        {"srv#x", "/mnt", "-o"},
        {"srv#x", "/mnt", "-z"},
        {"srv#x", "/mnt", "-t", "ext4"},
        {"srv#x", "/mnt", "-t", "fusewb."},
        {"srv#x", "/mnt", "-l"},
        {"-u"},
        {"-u", "srv#x", "/mnt"},
    };
    for (const Words &words : lines)
        EXPECT_EQ(refused(words).code, ExitCode::usage);
}

TEST(CommandLine, TakesAMountPointToUnmount) {
    EXPECT_TRUE(parsed({"-u", "/mnt"}).unmount);
    EXPECT_FALSE(parsed({"-u", "/mnt"}).lazy);
    EXPECT_TRUE(parsed({"-ul", "/mnt"}).lazy);
    EXPECT_EQ(parsed({"/mnt", "-u"}).directory, "/mnt");
}

TEST(CommandLine, TakesWhatUmountSays) {
    const auto lazy = [](const Words &words) {
        const Result<Request> request = parse_umount_line(words);
        EXPECT_TRUE(request) << request.failure().line();
        EXPECT_TRUE(request.value().unmount);
        EXPECT_EQ(request.value().directory, "/mnt");
        return request.value().lazy;
    };
    EXPECT_FALSE(lazy({"/mnt"}));
    EXPECT_FALSE(lazy({"/mnt", "-v", "-t", "fusewb.sshfs"}));
    EXPECT_TRUE(lazy({"/mnt", "-l"}));
    EXPECT_TRUE(lazy({"/mnt", "-f", "-v"}));
    for (const Words &words : {Words{}, {"/mnt", "/srv"}, {"/mnt", "-r"}, {"/mnt", "-N", "1"}})
        EXPECT_FALSE(parse_umount_line(words));
}

TEST(CommandLine, StartsTheServerOnTheDescriptorWithTheSourceFirst) {
    EXPECT_EQ(server_arguments(parsed({"sshfs#host:/a", "/mnt", "-o", "port=22,noatime"}), 5),
              (Words{"sshfs", "host:/a", "/dev/fd/5", "-o", "port=22"}));
}

TEST(CommandLine, LeavesOutTheSourceAndTheOptionsThatAreNotThere) {
    EXPECT_EQ(server_arguments(parsed({"hello#", "/mnt", "-o", "rw,nosuid"}), 3),
              (Words{"hello", "/dev/fd/3"}));
}

TEST(CommandLine, TellsTheModuleDescriptorRootAndOwner) {
    const Request request = parsed({"srv#x", "/mnt", "-o", "allow_other,writeback=copy"});
    EXPECT_EQ(module_data(request, 7, S_IFDIR | 0755, 0, 0),
              "fd=7,rootmode=40000,user_id=0,group_id=0,allow_other,writeback=copy");
    EXPECT_EQ(module_data(parsed({"srv#x", "/f"}), 4, S_IFREG | 0600, 1000, 100),
              "fd=4,rootmode=100000,user_id=1000,group_id=100");
}

TEST(CommandLine, ShowsTheNamesThatTheUserChose) {
    const Request request = parsed({"srv#x", "/mnt", "-o", "fsname=photos,subtype=pics"});
    EXPECT_EQ(request.shown_source(), "photos");
    EXPECT_EQ(request.type(), "fusewb.pics");
}

TEST(CommandLine, NeedsNoServerForARemount) {
    const Request request = parsed({"photos", "/mnt", "-o", "remount,ro,fsname=photos"});
    EXPECT_TRUE(request.options.remount);
    EXPECT_EQ(request.server, "");
}

TEST(Failure, IsOneLineWhateverTheNames) {
    const Failure failure{ExitCode::mount_failure, "mount point a\nb does not exist", "create it"};
    EXPECT_EQ(failure.line(), "mount.fusewb: mount point a?b does not exist; create it");
}

} // namespace
