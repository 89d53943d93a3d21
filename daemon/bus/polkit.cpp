// SPDX-License-Identifier: GPL-2.0-only
#include "bus/authority.h"

#include "base/log.h"

#include <map>

namespace fusewb::bus {

namespace {

constexpr const char *service = "org.freedesktop.PolicyKit1";
constexpr const char *path = "/org/freedesktop/PolicyKit1/Authority";
constexpr const char *interface = "org.freedesktop.PolicyKit1.Authority";

constexpr std::uint32_t allowUserInteraction = 1;

// How long a person may take over a password, and polkit over an answer of its own. Callers wait
// for 25 s if they say nothing else.
constexpr std::uint64_t personUSec = 300'000'000;
constexpr std::uint64_t machineUSec = 20'000'000;

using Details = std::map<std::string, std::string>;
using Subject = sdbus::Struct<std::string, std::map<std::string, sdbus::Variant>>;
using Answer = sdbus::Struct<bool, bool, Details>;

// The caller by its name on the bus, which cannot become another's while polkit looks.
Subject subjectOf(const Caller &caller) {
    return Subject{"system-bus-name", {{"name", sdbus::Variant(caller.name)}}};
}

Verdict verdictOf(const Answer &answer) {
    if (answer.get<0>())
        return Verdict::Yes;
    return answer.get<1>() ? Verdict::AfterQuestion : Verdict::No;
}

// A polkit that is not installed is no trouble; one that does not answer is.
Verdict verdictWithout(const sdbus::Error &error) {
    const std::string name = error.getName();
    if (name == "org.freedesktop.DBus.Error.ServiceUnknown" ||
        name == "org.freedesktop.DBus.Error.NameHasNoOwner")
        return Verdict::Nobody;
    log::warning("polkit does not answer, so only root is allowed: ", error.getMessage());
    return Verdict::No;
}

class Polkit final : public Authority {
public:
    explicit Polkit(sdbus::IConnection &bus)
        : proxy_(sdbus::createProxy(bus, compat::ServiceName(service), sdbus::ObjectPath(path))) {
        compat::finish(*proxy_);
    }

    void ask(const Caller &caller, const std::string &action,
             std::function<void(Verdict)> answer) override {
        const std::uint32_t flags = caller.interactive ? allowUserInteraction : 0;
        proxy_->callMethodAsync("CheckAuthorization")
            .onInterface(interface)
            .withTimeout(caller.interactive ? personUSec : machineUSec)
            .withArguments(subjectOf(caller), action, Details(), flags, std::string())
            .uponReplyInvoke(
                [answer = std::move(answer)](compat::AsyncError error, const Answer &reply) {
                    answer(error ? verdictWithout(*error) : verdictOf(reply));
                });
    }

private:
    std::unique_ptr<sdbus::IProxy> proxy_;
};

} // namespace

std::unique_ptr<Authority> makePolkit(sdbus::IConnection &bus) {
    return std::make_unique<Polkit>(bus);
}

} // namespace fusewb::bus
