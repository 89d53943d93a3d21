// SPDX-License-Identifier: GPL-2.0-only
// Policies, latencies and requests as the family carries them.
#include "kernel/decode.h"
#include "kernel/encode.h"
#include "messages.h"

#include <functional>
#include <gtest/gtest.h>
#include <linux/fusewb.h>
#include <memory>
#include <netlink/attr.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>

namespace fusewb {
namespace {

using kernel::Attribute;
using policy::Setting;
using policy::Values;
using test::Bytes;

Bytes message(int command, const std::function<void(nl_msg *)> &fill) {
    const std::unique_ptr<nl_msg, decltype(&nlmsg_free)> owner(nlmsg_alloc(), nlmsg_free);
    genlmsg_put(owner.get(), 0, 7, 0x21, 0, 0, static_cast<std::uint8_t>(command),
                FUSEWB_GENL_VERSION);
    fill(owner.get());
    const auto *begin = reinterpret_cast<const std::byte *>(nlmsg_hdr(owner.get()));
    return Bytes({begin, begin + nlmsg_hdr(owner.get())->nlmsg_len});
}

void put(nl_msg *into, const Attribute &attribute) {
    if (const auto *nested = std::get_if<std::vector<Attribute>>(&attribute.value)) {
        nlattr *nest = nla_nest_start(into, attribute.type);
        for (const Attribute &one : *nested)
            put(into, one);
        nla_nest_end(into, nest);
    } else if (const auto *wide = std::get_if<std::uint64_t>(&attribute.value)) {
        nla_put_u64(into, attribute.type, *wide);
    } else if (const auto *number = std::get_if<std::uint32_t>(&attribute.value)) {
        nla_put_u32(into, attribute.type, *number);
    } else {
        nla_put_u8(into, attribute.type, std::get<std::uint8_t>(attribute.value));
    }
}

void putConnection(nl_msg *into) {
    nla_put_u64(into, FUSEWB_A_CONN_ID, 5);
    nla_put_u32(into, FUSEWB_A_CONN_DEV, 0x2d);
    nla_put_u32(into, FUSEWB_A_CONN_STATE, FUSEWB_CONN_ABORTED);
}

Values largest() {
    Values values;
    for (const policy::Description &description : policy::settings())
        values.set(description.setting, description.maximum);
    return values;
}

TEST(Encode, IsWhatTheHeaderSays) {
    Values values;
    values.set(Setting::Writeback, 1);
    values.set(Setting::WritebackDeadline, 30'000'000);
    values.set(Setting::SyncWaits, 1);
    const Attribute nest = kernel::encodePolicy(FUSEWB_A_CONN_POLICY, values);
    EXPECT_EQ(nest,
              (Attribute{FUSEWB_A_CONN_POLICY,
                         std::vector<Attribute>{
                             {FUSEWB_A_POLICY_WRITEBACK, std::uint32_t{FUSEWB_WRITEBACK_DIRECT}},
                             {FUSEWB_A_POLICY_DEADLINE_WRITEBACK, std::uint32_t{30'000}},
                             {FUSEWB_A_POLICY_SYNC_WAITS, std::uint8_t{1}}}}));
}

TEST(Encode, HasAnAttributeForEverySettingAndNoOther) {
    const Attribute nest = kernel::encodePolicy(1, largest());
    EXPECT_EQ(std::get<std::vector<Attribute>>(nest.value).size(), policy::settingCount);
    EXPECT_EQ(policy::settingCount, static_cast<std::size_t>(FUSEWB_A_POLICY_MAX));
}

TEST(Decode, PolicyIsWhatWasEncoded) {
    const Bytes bytes = message(FUSEWB_CMD_CONN_CHANGED, [](nl_msg *into) {
        putConnection(into);
        put(into, kernel::encodePolicy(FUSEWB_A_CONN_POLICY, largest()));
        nla_put_u32(into, FUSEWB_A_CONN_SERVER_GID, 50);
        nla_put_u8(into, FUSEWB_A_CONN_SERVER_PRIVILEGED, 1);
        nla_put_u32(into, FUSEWB_A_CONN_ABORT_REASON, FUSEWB_ABORT_DEADLINE);
    });
    const auto facts = kernel::decodeConnection(bytes.header(), bytes.size());
    ASSERT_TRUE(facts) << facts.failure().what;
    EXPECT_EQ(facts->policy, largest());
    EXPECT_EQ(facts->serverGid, 50U);
    EXPECT_TRUE(facts->privileged);
    EXPECT_EQ(facts->abortReason, model::AbortReason::Deadline);
}

TEST(Decode, ValueThatIsNewerThanTheDaemonIsLeftOut) {
    const Bytes bytes = message(FUSEWB_CMD_CONN_GET, [](nl_msg *into) {
        putConnection(into);
        put(into, {FUSEWB_A_CONN_POLICY,
                   std::vector<Attribute>{{FUSEWB_A_POLICY_WRITEBACK, std::uint32_t{77}},
                                          {FUSEWB_A_POLICY_ACTION, std::uint32_t{77}},
                                          {FUSEWB_A_POLICY_RETRY, std::uint32_t{5}},
                                          {FUSEWB_A_POLICY_MAX + 1, std::uint32_t{5}}}});
        nla_put_u32(into, FUSEWB_A_CONN_ABORT_REASON, 77);
    });
    const auto facts = kernel::decodeConnection(bytes.header(), bytes.size());
    ASSERT_TRUE(facts) << facts.failure().what;
    EXPECT_EQ(facts->policy.get(Setting::Writeback), std::nullopt);
    EXPECT_EQ(facts->policy.get(Setting::DeadlineAction), std::nullopt);
    EXPECT_EQ(facts->policy.get(Setting::Retry), 5000U);
    EXPECT_EQ(facts->abortReason, model::AbortReason::Unknown);
}

// FUSEWB_WRITEBACK_THROUGH is a mode, but no policy.
TEST(Decode, WritebackThroughIsNoPolicy) {
    const Bytes bytes = message(FUSEWB_CMD_CONN_GET, [](nl_msg *into) {
        putConnection(into);
        put(into, {FUSEWB_A_CONN_POLICY,
                   std::vector<Attribute>{
                       {FUSEWB_A_POLICY_WRITEBACK, std::uint32_t{FUSEWB_WRITEBACK_THROUGH}}}});
    });
    const auto facts = kernel::decodeConnection(bytes.header(), bytes.size());
    ASSERT_TRUE(facts);
    EXPECT_EQ(facts->policy.get(Setting::Writeback), std::nullopt);
}

TEST(Decode, AttributeOfTheWrongWidthIsMalformed) {
    const Bytes bytes = message(FUSEWB_CMD_CONN_GET, [](nl_msg *into) {
        putConnection(into);
        put(into, {FUSEWB_A_CONN_POLICY,
                   std::vector<Attribute>{{FUSEWB_A_POLICY_RETRY, std::uint8_t{1}}}});
    });
    EXPECT_FALSE(kernel::decodeConnection(bytes.header(), bytes.size()));
}

TEST(Decode, LatenciesAreReadWhereverTheyLie) {
    model::Histogram histogram{};
    for (std::size_t i = 0; i < histogram.size(); ++i)
        histogram[i] = 1000 + i;
    const auto with = [&histogram](int size) {
        return message(FUSEWB_CMD_CONN_GET, [&histogram, size](nl_msg *into) {
            putConnection(into);
            nlattr *nest = nla_nest_start(into, FUSEWB_A_CONN_LATENCY);
            nla_put(into, FUSEWB_A_LATENCY_READ, size, histogram.data());
            nla_nest_end(into, nest);
        });
    };
    const Bytes whole = with(sizeof histogram);
    const auto facts = kernel::decodeConnection(whole.header(), whole.size());
    ASSERT_TRUE(facts) << facts.failure().what;
    EXPECT_EQ(facts->latencies[static_cast<std::size_t>(model::Class::Read)], histogram);
    EXPECT_EQ(facts->latencies[static_cast<std::size_t>(model::Class::Lock)], model::Histogram{});
    const Bytes cut = with(sizeof histogram - 8);
    EXPECT_FALSE(kernel::decodeConnection(cut.header(), cut.size()));
}

TEST(Decode, DefaultsThatAreNotToldAreEmpty) {
    const Bytes bytes = message(FUSEWB_CMD_POLICY_CHANGED, [](nl_msg *into) {
        put(into, kernel::encodePolicy(FUSEWB_A_DEFAULT_OTHERS, largest()));
    });
    const auto defaults = kernel::decodeDefaults(bytes.header(), bytes.size());
    ASSERT_TRUE(defaults) << defaults.failure().what;
    EXPECT_EQ(defaults->others, largest());
    EXPECT_TRUE(defaults->privileged.empty());
    EXPECT_FALSE(kernel::decodeConnection(bytes.header(), bytes.size()));
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const Bytes part = bytes.cut(size);
        EXPECT_FALSE(kernel::decodeDefaults(part.header(), part.size())) << size;
    }
}

void putRequest(nl_msg *into) {
    nla_put_u64(into, FUSEWB_A_REQUEST_CONN_ID, 5);
    nla_put_u64(into, FUSEWB_A_REQUEST_UNIQUE, 77);
    nla_put_u32(into, FUSEWB_A_REQUEST_OPCODE, 16);
    nla_put_u32(into, FUSEWB_A_REQUEST_CLASS, FUSEWB_CLASS_WRITEBACK);
    nla_put_u64(into, FUSEWB_A_REQUEST_NODEID, 9);
    nla_put_u32(into, FUSEWB_A_REQUEST_STATE, FUSEWB_REQUEST_SENT);
    nla_put_u64(into, FUSEWB_A_REQUEST_AGE_USEC, 123'456'789'012);
    nla_put_u32(into, FUSEWB_A_REQUEST_PID, 4242);
    nla_put_u32(into, FUSEWB_A_REQUEST_UID, 1000);
    nla_put_u32(into, FUSEWB_A_REQUEST_DEADLINE_MS, 30'000);
    nla_put_u32(into, FUSEWB_A_REQUEST_BYTES, 4096);
}

TEST(Decode, RequestHasAllItsParts) {
    const Bytes bytes = message(FUSEWB_CMD_REQUEST_GET, putRequest);
    const auto request = kernel::decodeRequest(bytes.header(), bytes.size());
    ASSERT_TRUE(request) << request.failure().what;
    model::Request expected;
    expected.connection = 5;
    expected.unique = 77;
    expected.opcode = 16;
    expected.operations = model::Class::Writeback;
    expected.nodeId = 9;
    expected.state = model::RequestState::Sent;
    expected.ageUSec = 123'456'789'012;
    expected.pid = 4242;
    expected.uid = 1000;
    expected.deadlineUSec = 30'000'000;
    expected.bytes = 4096;
    EXPECT_EQ(*request, expected);
}

TEST(Decode, RequestOfTheKernelHasNoUser) {
    const Bytes bytes = message(FUSEWB_CMD_REQUEST_GET, [](nl_msg *into) {
        nla_put_u64(into, FUSEWB_A_REQUEST_CONN_ID, 5);
        nla_put_u64(into, FUSEWB_A_REQUEST_UNIQUE, 77);
        nla_put_u32(into, FUSEWB_A_REQUEST_OPCODE, 4242);
        nla_put_u32(into, FUSEWB_A_REQUEST_STATE, 4242);
    });
    const auto request = kernel::decodeRequest(bytes.header(), bytes.size());
    ASSERT_TRUE(request);
    EXPECT_EQ(request->uid, std::nullopt);
    EXPECT_EQ(request->operations, model::Class::Unknown);
    EXPECT_EQ(request->state, model::RequestState::Unknown);
    EXPECT_EQ(model::operationName(request->opcode), "opcode 4242");
    EXPECT_EQ(model::operationName(16), "WRITE");
}

TEST(Decode, ExpiryNeedsItsAction) {
    const Bytes without = message(FUSEWB_CMD_DEADLINE_EXPIRED, putRequest);
    EXPECT_FALSE(kernel::decodeExpiry(without.header(), without.size()));
    const Bytes bytes = message(FUSEWB_CMD_DEADLINE_EXPIRED, [](nl_msg *into) {
        putRequest(into);
        nla_put_u32(into, FUSEWB_A_REQUEST_ACTION, FUSEWB_ACTION_ABORT);
    });
    const auto expiry = kernel::decodeExpiry(bytes.header(), bytes.size());
    ASSERT_TRUE(expiry) << expiry.failure().what;
    EXPECT_EQ(expiry->request.unique, 77U);
    EXPECT_EQ(policy::formatValue(policy::describe(Setting::DeadlineAction), expiry->action),
              "abort");
    EXPECT_FALSE(kernel::decodeRequest(bytes.header(), bytes.size()));
}

// Whatever arrives: an answer or a failure, never a read beyond the bytes.
TEST(Decode, EveryByteMayBeWrong) {
    const Bytes good = message(FUSEWB_CMD_CONN_GET, [](nl_msg *into) {
        putConnection(into);
        put(into, kernel::encodePolicy(FUSEWB_A_CONN_POLICY, largest()));
    });
    for (std::size_t at = 0; at < good.size(); ++at)
        for (const int value : {0, 1, 0x7f, 0x80, 0xff}) {
            Bytes bad = good.cut(good.size());
            bad.raw()[at] = static_cast<std::byte>(value);
            const auto facts = kernel::decodeConnection(bad.header(), bad.size());
            if (facts) {
                for (const policy::Description &description : policy::settings())
                    if (const auto number = facts->policy.get(description.setting)) {
                        EXPECT_TRUE(policy::check(description, *number));
                    }
            }
        }
}

} // namespace
} // namespace fusewb
