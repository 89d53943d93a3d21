// SPDX-License-Identifier: GPL-2.0-only
// What was written is what is read: through the mount, after the caches are dropped, and in the
// backing directory; in every writeback mode.
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <random>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "support/files.h"
#include "support/guest_test.h"
#include "support/passthrough.h"
#include "support/raw_server.h"

using namespace fusewb::test;

namespace {

struct Mode {
    const char *name;
    bool writeback;
    const char *mount_options;
};

std::ostream &operator<<(std::ostream &out, const Mode &mode) { return out << mode.name; }

constexpr Mode modes[] = {
    {"Direct", true, "writeback=direct"}, {"Copy", true, "writeback=copy"}, {"Through", false, ""}};

std::string options_for(const Mode &mode) {
    return fs_type() == "fusewb" ? mode.mount_options : "";
}

Passthrough::Options server_for(const Mode &mode) {
    return {.writeback = mode.writeback, .mount_options = options_for(mode)};
}

class Data : public testing::TestWithParam<Mode> {};

INSTANTIATE_TEST_SUITE_P(Modes, Data, testing::ValuesIn(modes),
                         [](const auto &info) { return std::string(info.param.name); });

// Everywhere that a file's content can be seen it is this.
void expect_content(Passthrough &server, const std::string &name, std::string_view expected,
                    const std::string &when) {
    EXPECT_EQ(difference(expected, read_file(server.mnt(name))), "") << when << ", cached";
    Fd file(server.mnt(name), O_RDWR);
    ASSERT_EQ(fsync(file), 0) << when;
    EXPECT_EQ(difference(expected, read_file(server.backing(name))), "") << when << ", backing";
    drop_pages(file);
    EXPECT_EQ(difference(expected, read_file(server.mnt(name))), "") << when << ", read again";
    struct stat st;
    ASSERT_EQ(stat(server.backing(name).c_str(), &st), 0);
    EXPECT_EQ(st.st_size, static_cast<off_t>(expected.size())) << when;
}

void put(std::string &model, std::string_view bytes, std::size_t offset) {
    if (model.size() < offset + bytes.size())
        model.resize(offset + bytes.size());
    model.replace(offset, bytes.size(), bytes);
}

class Mapping {
public:
    Mapping(int fd, std::size_t length, int flags)
        : length_(length),
          bytes_(static_cast<char *>(mmap(nullptr, length, PROT_READ | PROT_WRITE, flags, fd, 0))) {
        if (bytes_ == MAP_FAILED)
            throw std::system_error(errno, std::generic_category(), "mmap");
    }
    ~Mapping() { munmap(bytes_, length_); }
    Mapping(const Mapping &) = delete;
    Mapping &operator=(const Mapping &) = delete;
    char *bytes() { return bytes_; }
    std::string_view view() const { return {bytes_, length_}; }
    int sync() { return msync(bytes_, length_, MS_SYNC) ? errno : 0; }

private:
    std::size_t length_;
    char *bytes_;
};

// A buffer as O_DIRECT needs it.
struct Aligned {
    explicit Aligned(std::size_t size) : length(size) {
        if (posix_memalign(reinterpret_cast<void **>(&bytes), 4096, size))
            throw std::bad_alloc();
    }
    ~Aligned() { std::free(bytes); }
    Aligned(const Aligned &) = delete;
    Aligned &operator=(const Aligned &) = delete;
    std::string_view view() const { return {bytes, length}; }
    std::size_t length;
    char *bytes = nullptr;
};

} // namespace

GUEST_TEST_P(Data, WritesOfEverySizeAndAlignment) {
    Passthrough server(server_for(param));
    const std::size_t sizes[] = {1,    2,    511,   512,   4095,   4096,
                                 4097, 8192, 12289, 65536, 131071, 1 << 20};
    const std::size_t offsets[] = {0, 1, 511, 4095, 4096, 4097, 65535, 200001};
    unsigned seed = 1;
    for (std::size_t size : sizes) {
        std::string name = "size-" + std::to_string(size);
        std::string model;
        Fd file(server.mnt(name), O_RDWR | O_CREAT);
        for (std::size_t offset : offsets) {
            std::string bytes = pattern(size, seed++);
            pwrite_all(file, bytes, static_cast<off_t>(offset));
            put(model, bytes, offset);
        }
        expect_content(server, name, model, name);
    }
}

GUEST_TEST_P(Data, SmallWritesInARowAddUp) {
    Passthrough server(server_for(param));
    std::string model;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    for (std::size_t i = 0; i < 400; i++) {
        std::string bytes = pattern(1 + i % 397, i);
        ASSERT_EQ(write(file, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
        model += bytes;
    }
    expect_content(server, "f", model, "400 writes");
    std::string gathered = pattern(9000, 5);
    iovec parts[3] = {
        {gathered.data(), 1}, {gathered.data() + 1, 4998}, {gathered.data() + 4999, 4001}};
    ASSERT_EQ(pwritev(file, parts, 3, 777), 9000);
    put(model, gathered, 777);
    expect_content(server, "f", model, "pwritev");
}

GUEST_TEST_P(Data, AppendGoesToTheEnd) {
    Passthrough server(server_for(param));
    // passthrough_ll cannot read by the handle of a file that was created write-only.
    Fd first(server.mnt("f"), O_RDWR | O_CREAT | O_APPEND);
    Fd second(server.mnt("f"), O_WRONLY | O_APPEND);
    std::string model;
    for (std::size_t i = 0; i < 100; i++) {
        std::string bytes = pattern(100 + 37 * i, i);
        const Fd &file = i % 2 ? first : second;
        ASSERT_EQ(write(file, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
        model += bytes;
    }
    expect_content(server, "f", model, "two appending descriptors");
    ASSERT_EQ(truncate(server.mnt("f").c_str(), 1000), 0);
    ASSERT_EQ(write(first, "end", 3), 3);
    expect_content(server, "f", model.substr(0, 1000) + "end", "appended after truncation");
}

GUEST_TEST_P(Data, PartialOverwritesKeepTheRest) {
    Passthrough server(server_for(param));
    std::string model = pattern(300000, 1);
    write_file(server.backing("f"), model);
    Fd file(server.mnt("f"), O_RDWR);
    unsigned seed = 2;
    for (auto [offset, size] : {std::pair{5, 10},
                                {4090, 12},
                                {8192, 4096},
                                {70000, 70000},
                                {299990, 10},
                                {299999, 100}}) {
        std::string bytes = pattern(static_cast<std::size_t>(size), seed++);
        pwrite_all(file, bytes, offset);
        put(model, bytes, static_cast<std::size_t>(offset));
    }
    expect_content(server, "f", model, "not cached before");
    // Write-only descriptors need the rest of a page too.
    Fd only(server.mnt("f"), O_WRONLY);
    drop_pages(only);
    pwrite_all(only, "xyz", 123456);
    put(model, "xyz", 123456);
    expect_content(server, "f", model, "through a write-only descriptor");
}

GUEST_TEST_P(Data, SharedMappingsAndDescriptorsSeeEachOther) {
    Passthrough server(server_for(param));
    std::string model = pattern(100000, 1);
    write_file(server.mnt("f"), model);
    Fd file(server.mnt("f"), O_RDWR);
    {
        Mapping mapping(file, model.size(), MAP_SHARED);
        EXPECT_EQ(difference(model, mapping.view()), "");
        for (std::size_t offset :
             {std::size_t(0), std::size_t(4095), std::size_t(50000), std::size_t(99990)}) {
            std::string bytes = pattern(10, offset + 7);
            std::memcpy(mapping.bytes() + offset, bytes.data(), bytes.size());
            put(model, bytes, offset);
        }
        EXPECT_EQ(difference(model, pread_all(file, model.size(), 0)), "");
        EXPECT_EQ(mapping.sync(), 0);
        EXPECT_EQ(difference(model, read_file(server.backing("f"))), "") << "after msync";
        pwrite_all(file, "through the descriptor", 60000);
        put(model, "through the descriptor", 60000);
        EXPECT_EQ(difference(model, mapping.view()), "");
        // Dirtied once more after a writeback: the page has to become writable anew.
        mapping.bytes()[4095] = 'z';
        model[4095] = 'z';
    }
    expect_content(server, "f", model, "after munmap");
}

GUEST_TEST_P(Data, PrivateMappingsStayPrivate) {
    Passthrough server(server_for(param));
    std::string model = pattern(20000, 1);
    write_file(server.mnt("f"), model);
    Fd file(server.mnt("f"), O_RDWR);
    Mapping mapping(file, model.size(), MAP_PRIVATE);
    mapping.bytes()[100] ^= 0x55;
    mapping.bytes()[15000] ^= 0x55;
    expect_content(server, "f", model, "beside a private mapping");
    std::string expected = model;
    expected[100] ^= 0x55;
    expected[15000] ^= 0x55;
    EXPECT_EQ(difference(expected, mapping.view()), "");
}

GUEST_TEST_P(Data, HolesReadAsZeroes) {
    Passthrough server(server_for(param));
    std::string model;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    for (std::size_t offset :
         {std::size_t(3000000), std::size_t(10), std::size_t(1000001), std::size_t(70000)}) {
        std::string bytes = pattern(100, offset);
        pwrite_all(file, bytes, static_cast<off_t>(offset));
        put(model, bytes, offset);
    }
    expect_content(server, "f", model, "sparse");
    ASSERT_EQ(ftruncate(file, 5000000), 0);
    model.resize(5000000);
    expect_content(server, "f", model, "extended");
}

GUEST_TEST_P(Data, TruncationOfDirtyFilesLeavesZeroesBehind) {
    Passthrough server(server_for(param));
    std::string model = pattern(200000, 1);
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    pwrite_all(file, model, 0);
    for (auto [down, up] : {std::pair{150001, 180000}, {100, 9000}, {4096, 8192}, {0, 5000}}) {
        ASSERT_EQ(ftruncate(file, down), 0);
        ASSERT_EQ(ftruncate(file, up), 0);
        model.resize(static_cast<std::size_t>(down));
        model.resize(static_cast<std::size_t>(up));
        EXPECT_EQ(difference(model, pread_all(file, model.size() + 10, 0)), "")
            << down << " to " << up;
        std::string bytes = pattern(50, static_cast<unsigned>(up));
        pwrite_all(file, bytes, up + 100);
        put(model, bytes, static_cast<std::size_t>(up) + 100);
    }
    expect_content(server, "f", model, "truncated down and up");
    // The bytes of a mapping beyond the end never become part of the file.
    ASSERT_EQ(ftruncate(file, 5000), 0);
    {
        Mapping mapping(file, 8192, MAP_SHARED);
        std::memset(mapping.bytes() + 5000, 'x', 3192);
    }
    ASSERT_EQ(ftruncate(file, 8192), 0);
    model.resize(5000);
    model.resize(8192);
    expect_content(server, "f", model, "extended over a mapped tail");
}

GUEST_TEST_P(Data, DirectIoAndTheCacheAgree) {
    RawServer server({.writeback = param.writeback, .mount_options = options_for(param)});
    std::string model = pattern(1 << 20, 1);
    Fd cached(server.mnt("f"), O_RDWR | O_CREAT);
    pwrite_all(cached, model, 0);
    Fd direct(server.mnt("f"), O_RDWR | O_DIRECT);
    Aligned buffer(256 * 1024);
    // Dirty data is seen by a direct read.
    ASSERT_EQ(pread(direct, buffer.bytes, buffer.length, 8192),
              static_cast<ssize_t>(buffer.length));
    EXPECT_EQ(difference(std::string_view(model).substr(8192, buffer.length), buffer.view()), "");
    // A direct write is seen by cached reads, over what was dirty as well.
    pwrite_all(cached, pattern(100, 3), 65500);
    put(model, pattern(100, 3), 65500);
    std::string bytes = pattern(buffer.length, 2);
    std::memcpy(buffer.bytes, bytes.data(), bytes.size());
    ASSERT_EQ(pwrite(direct, buffer.bytes, buffer.length, 65536),
              static_cast<ssize_t>(buffer.length));
    put(model, bytes, 65536);
    EXPECT_EQ(difference(model, pread_all(cached, model.size() + 1, 0)), "");
    // Beyond the end.
    ASSERT_EQ(pwrite(direct, buffer.bytes, 4096, 2 << 20), 4096);
    put(model, std::string_view(bytes).substr(0, 4096), 2 << 20);
    EXPECT_EQ(difference(model, pread_all(cached, model.size() + 1, 0)), "");
    ASSERT_EQ(pread(direct, buffer.bytes, buffer.length, 2 << 20), 4096);
    ASSERT_EQ(fsync(cached), 0);
    EXPECT_EQ(difference(model, server.content("f")), "");
}

GUEST_TEST_P(Data, FilesCanBeCreatedForDirectIo) {
    RawServer server({.writeback = param.writeback, .mount_options = options_for(param)});
    Fd direct(server.mnt("f"), O_RDWR | O_CREAT | O_DIRECT);
    Aligned buffer(8192);
    std::string model = pattern(buffer.length, 1);
    std::memcpy(buffer.bytes, model.data(), model.size());
    ASSERT_EQ(pwrite(direct, buffer.bytes, buffer.length, 0), 8192);
    EXPECT_EQ(difference(model, server.content("f")), "");
}

GUEST_TEST_P(Data, SendfileAndSpliceCarryTheData) {
    Passthrough server(server_for(param));
    std::string model = pattern(500000, 1);
    write_file(server.mnt("from"), model);
    Fd from(server.mnt("from"), O_RDONLY);
    Fd to(server.mnt("to"), O_WRONLY | O_CREAT);
    std::size_t done = 0;
    while (done < model.size()) {
        auto n = check(sendfile(to, from, nullptr, model.size() - done), "sendfile");
        ASSERT_GT(n, 0);
        done += static_cast<std::size_t>(n);
    }
    expect_content(server, "to", model, "sendfile");
    Fd copy(server.mnt("copy"), O_WRONLY | O_CREAT);
    loff_t at = 0;
    done = 0;
    while (done < model.size()) {
        auto n = check(copy_file_range(from, &at, copy, nullptr, model.size() - done, 0),
                       "copy_file_range");
        ASSERT_GT(n, 0);
        done += static_cast<std::size_t>(n);
    }
    expect_content(server, "copy", model, "copy_file_range");
}

GUEST_TEST_P(Data, ServersWithoutPageCacheAreServedDirectly) {
    Passthrough::Options options = server_for(param);
    options.server_options = "cache=never";
    Passthrough server(options);
    std::string model = pattern(150000, 1);
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    pwrite_all(file, model, 0);
    pwrite_all(file, "odd", 4095);
    put(model, "odd", 4095);
    EXPECT_EQ(difference(model, pread_all(file, model.size() + 1, 0)), "");
    EXPECT_EQ(difference(model, read_file(server.backing("f"))), "");
}

// Under emulation the machine may need a minute for this much.
GUEST_TEST_P_WITHIN(Data, ABigFileKeepsItsChecksum, std::chrono::seconds(180)) {
    Passthrough server(server_for(param));
    constexpr std::size_t chunk = 1 << 20;
    const std::size_t chunks = param.name == std::string_view("Direct") ? 64 : 16;
    Fd file(server.mnt("big"), O_RDWR | O_CREAT);
    for (std::size_t i = 0; i < chunks; i++)
        pwrite_all(file, pattern(chunk, i), static_cast<off_t>(i * chunk));
    ASSERT_EQ(fsync(file), 0);
    Fd backing(server.backing("big"), O_RDONLY);
    drop_caches();
    for (std::size_t i = 0; i < chunks; i++) {
        std::string expected = pattern(chunk, i);
        ASSERT_EQ(difference(expected, pread_all(backing, chunk, static_cast<off_t>(i * chunk))),
                  "")
            << "backing, MiB " << i;
        ASSERT_EQ(difference(expected, pread_all(file, chunk, static_cast<off_t>(i * chunk))), "")
            << "mount, MiB " << i;
    }
}

GUEST_TEST_P(Data, RandomOperationsMatchAModelInMemory) {
    const std::uint64_t seed = 20260611;
    std::cout << "seed " << seed << std::endl;
    std::mt19937_64 random(seed);
    auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
    Passthrough server(server_for(param));
    constexpr std::size_t largest = 400000;
    std::string model;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    for (unsigned step = 0; step < 600 && !testing::Test::HasFailure(); step++) {
        std::size_t offset = below(largest), size = 1 + below(below(4) ? 5000 : 100000);
        std::string what;
        switch (below(12)) {
        case 0:
        case 1:
        case 2:
        case 3: {
            what = "pwrite " + std::to_string(size) + " at " + std::to_string(offset);
            std::string bytes = pattern(size, step + 1);
            pwrite_all(file, bytes, static_cast<off_t>(offset));
            put(model, bytes, offset);
            break;
        }
        case 4:
        case 5:
            what = "pread " + std::to_string(size) + " at " + std::to_string(offset);
            EXPECT_EQ(difference(offset < model.size()
                                     ? std::string_view(model).substr(offset, size)
                                     : std::string_view(),
                                 pread_all(file, size, static_cast<off_t>(offset))),
                      "")
                << "step " << step << ", " << what;
            break;
        case 6:
            what = "truncate to " + std::to_string(offset);
            ASSERT_EQ(ftruncate(file, static_cast<off_t>(offset)), 0);
            model.resize(offset);
            break;
        case 7:
            what = "fsync";
            ASSERT_EQ(fsync(file), 0);
            EXPECT_EQ(difference(model, read_file(server.backing("f"))), "") << "step " << step;
            break;
        case 8:
            what = "drop pages";
            drop_pages(file);
            break;
        case 9:
            what = "reopen";
            file = Fd(server.mnt("f"), O_RDWR);
            break;
        case 10: {
            if (model.size() < 2)
                break;
            std::size_t at = below(model.size());
            std::size_t length = std::min(size, model.size() - at);
            what = "store " + std::to_string(length) + " at " + std::to_string(at);
            std::string bytes = pattern(length, step + 1);
            Mapping mapping(file, model.size(), MAP_SHARED);
            EXPECT_EQ(difference(model, mapping.view()), "") << "step " << step << ", mapping";
            std::memcpy(mapping.bytes() + at, bytes.data(), bytes.size());
            put(model, bytes, at);
            break;
        }
        case 11:
            what = "sync";
            sync();
            break;
        }
        struct stat st;
        ASSERT_EQ(fstat(file, &st), 0);
        ASSERT_EQ(st.st_size, static_cast<off_t>(model.size())) << "step " << step << ", " << what;
    }
    expect_content(server, "f", model, "at the end");
}
