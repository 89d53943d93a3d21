// SPDX-License-Identifier: GPL-2.0-only
#include "kernel/decode.h"

#include "messages.h"

#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>
#include <linux/fusewb.h>
#include <linux/genetlink.h>
#include <netlink/netlink.h>
#include <sys/sysmacros.h>

namespace fusewb {
namespace {

using test::Bytes;
using test::connectionMessage;
using test::fromHex;
using test::Parts;

// What a kernel of little endian sends for an INFO_GET: version "0.1.0", FUSE 7.38, 2 connections.
constexpr const char *infoHex = "38000000 2100 0000 07000000 00000000"
                                "01 01 0000"
                                "0a00 0200 302e312e3000 0000"
                                "0800 0300 07000000"
                                "0800 0400 26000000"
                                "0800 0500 02000000";

// The same for an event of a connection that waits for its server, with a pad attribute before
// each 64-bit one: number 3, device 0:45, state init, process 77 of user 0, one request queued.
constexpr const char *addedHex = "58000000 2100 0000 00000000 00000000"
                                 "03 01 0000"
                                 "0400 0100"
                                 "0c00 0200 0300000000000000"
                                 "0800 0300 2d000000"
                                 "0800 0400 00000000"
                                 "0800 0600 4d000000"
                                 "0800 0700 00000000"
                                 "1400 0c80"
                                 "0400 0100"
                                 "0c00 0200 0100000000000000";

// NEWFAMILY of the controller for number 0x21, "fusewb".
constexpr const char *newFamilyHex = "28000000 1000 0000 00000000 00000000"
                                     "01 02 0000"
                                     "0b00 0200 66757365776200 00"
                                     "0600 0100 2100 0000";

TEST(DecodeInfo, RecordedReplyGivesVersions) {
    const Bytes message = fromHex(infoHex);
    const auto info = kernel::decodeInfo(message.header(), message.size());
    ASSERT_TRUE(info) << info.failure().what;
    EXPECT_EQ(info->version, "0.1.0");
    EXPECT_EQ(info->protocolMajor, 7U);
    EXPECT_EQ(info->protocolMinor, 38U);
}

TEST(DecodeInfo, MessageWithoutVersionIsRefused) {
    // Only the protocol's numbers.
    const Bytes message = fromHex("24000000 2100 0000 07000000 00000000"
                                  "01 01 0000 0800 0300 07000000 0800 0400 26000000");
    const auto info = kernel::decodeInfo(message.header(), message.size());
    ASSERT_FALSE(info);
    EXPECT_EQ(info.failure().error, EBADMSG);
}

TEST(DecodeInfo, MessageAboutAConnectionIsRefused) {
    const Bytes message = connectionMessage({.command = FUSEWB_CMD_CONN_GET});
    EXPECT_FALSE(kernel::decodeInfo(message.header(), message.size()));
}

TEST(DecodeConnection, RecordedEventGivesItsFacts) {
    const Bytes message = fromHex(addedHex);
    const auto facts = kernel::decodeConnection(message.header(), message.size());
    ASSERT_TRUE(facts) << facts.failure().what;
    model::KernelFacts expected;
    expected.id = 3;
    expected.load = 0x21;
    expected.device = makedev(0, 45);
    expected.state = model::State::Init;
    expected.serverPid = 77;
    expected.counters.requests = 1;
    EXPECT_EQ(*facts, expected);
    EXPECT_EQ(kernel::command(message.header()), FUSEWB_CMD_CONN_ADDED);
}

TEST(DecodeConnection, EveryAttributeGoesToItsMember) {
    for (const int command : {FUSEWB_CMD_CONN_GET, FUSEWB_CMD_CONN_ADDED, FUSEWB_CMD_CONN_READY,
                              FUSEWB_CMD_CONN_REMOVED}) {
        const Bytes message = connectionMessage({.command = command});
        const auto facts = kernel::decodeConnection(message.header(), message.size());
        ASSERT_TRUE(facts) << facts.failure().what;
        EXPECT_EQ(*facts, test::sample());
    }
}

TEST(DecodeConnection, MajorAndMinorNumberAreTakenApart) {
    Bytes message = fromHex(addedHex);
    const std::uint32_t encoded = 0xfedcb1a9;
    std::memcpy(message.raw().data() + 40, &encoded, sizeof encoded);
    const auto facts = kernel::decodeConnection(message.header(), message.size());
    ASSERT_TRUE(facts);
    EXPECT_EQ(facts->device, makedev(0xcb1, 0xfeda9));
}

TEST(DecodeConnection, MissingCountersAreZero) {
    const Bytes message = connectionMessage({.command = FUSEWB_CMD_CONN_GET, .counters = false});
    const auto facts = kernel::decodeConnection(message.header(), message.size());
    ASSERT_TRUE(facts);
    EXPECT_EQ(facts->counters, model::Counters{});
}

TEST(DecodeConnection, AttributeOfANewerModuleIsPassedOver) {
    const Bytes message =
        connectionMessage({.command = FUSEWB_CMD_CONN_GET, .extraType = FUSEWB_A_CONN_MAX + 5});
    const auto facts = kernel::decodeConnection(message.header(), message.size());
    ASSERT_TRUE(facts);
    EXPECT_EQ(*facts, test::sample());
}

TEST(DecodeConnection, ValuesOfANewerModuleAreUnknown) {
    const Bytes message =
        connectionMessage({.command = FUSEWB_CMD_CONN_GET, .stateValue = 99, .writebackValue = 98});
    const auto facts = kernel::decodeConnection(message.header(), message.size());
    ASSERT_TRUE(facts);
    EXPECT_EQ(facts->state, model::State::Unknown);
    EXPECT_EQ(facts->writeback, model::Writeback::Unknown);
}

TEST(DecodeConnection, WithoutNumberDeviceOrStateIsRefused) {
    const int get = FUSEWB_CMD_CONN_GET;
    for (const Parts &parts :
         {Parts{.command = get, .id = false}, Parts{.command = get, .device = false},
          Parts{.command = get, .state = false}}) {
        const Bytes message = connectionMessage(parts);
        const auto facts = kernel::decodeConnection(message.header(), message.size());
        ASSERT_FALSE(facts);
        EXPECT_EQ(facts.failure().error, EBADMSG);
    }
}

TEST(DecodeConnection, AttributeThatIsTooShortIsRefused) {
    const Bytes message = connectionMessage({.command = FUSEWB_CMD_CONN_GET, .shortDevice = true});
    EXPECT_FALSE(kernel::decodeConnection(message.header(), message.size()));
}

TEST(DecodeConnection, CounterThatIsTooShortIsRefused) {
    // A nest whose counter 2 has four bytes.
    const Bytes message = fromHex("44000000 2100 0000 00000000 00000000"
                                  "02 01 0000"
                                  "0c00 0200 0300000000000000"
                                  "0800 0300 2d000000"
                                  "0800 0400 00000000"
                                  "0c00 0c80"
                                  "0800 0200 01000000"
                                  "00000000");
    EXPECT_FALSE(kernel::decodeConnection(message.header(), message.size()));
}

TEST(DecodeConnection, SubtypeWithoutTerminatingZeroIsRefused) {
    const Bytes message = fromHex("38000000 2100 0000 00000000 00000000"
                                  "02 01 0000"
                                  "0c00 0200 0300000000000000"
                                  "0800 0300 2d000000"
                                  "0800 0400 01000000"
                                  "0800 0800 73736866");
    EXPECT_FALSE(kernel::decodeConnection(message.header(), message.size()));
}

TEST(DecodeConnection, OtherCommandIsRefused) {
    for (const int command :
         std::initializer_list<int>{FUSEWB_CMD_UNSPEC, FUSEWB_CMD_INFO_GET, FUSEWB_CMD_MAX + 1}) {
        const Bytes message = connectionMessage({.command = command});
        EXPECT_FALSE(kernel::decodeConnection(message.header(), message.size())) << command;
    }
}

TEST(DecodeConnection, EveryTruncationIsRefused) {
    const Bytes whole = connectionMessage({.command = FUSEWB_CMD_CONN_GET});
    for (std::size_t size = 0; size < whole.size(); ++size) {
        const Bytes message = whole.cut(size);
        EXPECT_FALSE(kernel::decodeConnection(message.header(), message.size())) << size;
    }
}

TEST(DecodeConnection, AttributeLongerThanTheMessageIsNotReadBeyondIt) {
    // The length of every attribute in turn is made far too large. Its own value is lost, and
    // those behind it; without the device or the state nothing is left to report.
    const Bytes whole = connectionMessage({.command = FUSEWB_CMD_CONN_GET});
    for (const std::size_t offset : {20U, 32U, 40U}) {
        Bytes message = whole;
        const std::uint16_t length = 0xfff0;
        std::memcpy(message.raw().data() + offset, &length, sizeof length);
        EXPECT_FALSE(kernel::decodeConnection(message.header(), message.size())) << offset;
    }
}

TEST(DecodeConnection, NoChangedByteIsReadBeyondTheMessage) {
    const Bytes whole = connectionMessage({.command = FUSEWB_CMD_CONN_GET});
    std::size_t refused = 0;
    for (std::size_t position = 0; position < whole.size(); ++position) {
        for (const int value : {0x00, 0x01, 0x7f, 0x80, 0xff}) {
            Bytes message = whole;
            message.raw()[position] = static_cast<std::byte>(value);
            if (!kernel::decodeConnection(message.header(), message.size()))
                ++refused;
        }
    }
    EXPECT_GT(refused, 0U);
}

TEST(DecodeFamilyName, RecordedNotificationGivesTheName) {
    const Bytes message = fromHex(newFamilyHex);
    const auto name = kernel::decodeFamilyName(message.header(), message.size());
    ASSERT_TRUE(name) << name.failure().what;
    EXPECT_EQ(*name, "fusewb");
    EXPECT_EQ(kernel::command(message.header()), CTRL_CMD_NEWFAMILY);
}

TEST(DecodeFamilyName, EveryTruncationIsRefused) {
    const Bytes whole = fromHex(newFamilyHex);
    for (std::size_t size = 0; size < whole.size(); ++size) {
        const Bytes message = whole.cut(size);
        EXPECT_FALSE(kernel::decodeFamilyName(message.header(), message.size())) << size;
    }
}

} // namespace
} // namespace fusewb
