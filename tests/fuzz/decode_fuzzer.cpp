// SPDX-License-Identifier: GPL-2.0-only
// A message of any content is read within its bytes, or refused.
#include "kernel/decode.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <vector>

using namespace fusewb;

namespace {

void decode(const void *bytes, std::size_t size) {
    const auto *message = static_cast<const nlmsghdr *>(bytes);
    (void)kernel::decodeInfo(message, size);
    (void)kernel::decodeDefaults(message, size);
    (void)kernel::decodeRequest(message, size);
    (void)kernel::decodeExpiry(message, size);
    (void)kernel::decodeFamilyName(message, size);
    const auto facts = kernel::decodeConnection(message, size);
    if (!facts)
        return;
    for (const policy::Description &description : policy::settings()) {
        const auto value = facts->policy.get(description.setting);
        if (value && !policy::check(description, *value))
            std::abort();
    }
}

} // namespace

// The input as it is; and as the attributes behind headers that are right, its first byte being
// the command. Each in memory of its own size, so that a read beyond is seen.
extern "C" int LLVMFuzzerTestOneInput(const unsigned char *data, std::size_t size) {
    if (size == 0)
        return 0;
    const std::vector<unsigned char> plain(data, data + size);
    decode(plain.data(), plain.size());

    nlmsghdr header{};
    header.nlmsg_len = static_cast<std::uint32_t>(NLMSG_HDRLEN + GENL_HDRLEN + size - 1);
    header.nlmsg_type = 0x21;
    genlmsghdr command{};
    command.cmd = data[0];
    std::vector<unsigned char> framed(header.nlmsg_len);
    std::memcpy(framed.data(), &header, sizeof header);
    std::memcpy(framed.data() + NLMSG_HDRLEN, &command, sizeof command);
    std::copy(data + 1, data + size, framed.begin() + NLMSG_HDRLEN + GENL_HDRLEN);
    decode(framed.data(), framed.size());
    return 0;
}
