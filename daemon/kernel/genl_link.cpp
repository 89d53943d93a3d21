// SPDX-License-Identifier: GPL-2.0-only
#include "kernel/genl_link.h"

#include "base/log.h"
#include "kernel/decode.h"
#include "kernel/encode.h"

#include <cerrno>
#include <linux/fusewb.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>

namespace fusewb::kernel {

namespace {

// A dump that keeps being overtaken is asked for this often; after that the next event helps.
constexpr int dumpAttempts = 16;

// What the messages say, in their order; what one of them does not say as it should is logged.
template <typename T>
std::vector<T> decodeAll(const Messages &messages, const char *what,
                         Result<T> (*decode)(const nlmsghdr *, std::size_t)) {
    std::vector<T> all;
    for (const Message &message : messages) {
        auto decoded = decode(message.header(), message.size());
        if (decoded)
            all.push_back(std::move(*decoded));
        else
            log::warning(what, " is passed over: ", decoded.failure().what);
    }
    return all;
}

} // namespace

Result<std::unique_ptr<Link>> GenlLink::open() {
    auto requests = GenlSocket::forRequests();
    if (!requests)
        return requests.failure();
    auto events = GenlSocket::forEvents();
    if (!events)
        return events.failure();
    return std::unique_ptr<Link>(new GenlLink(std::move(*requests), std::move(*events)));
}

Outcome GenlLink::start(LinkObserver &observer) {
    observer_ = &observer;
    const auto notify = requests_.resolveGroup("nlctrl", "notify");
    if (!notify)
        return notify.failure();
    if (Outcome joined = events_.join(*notify); !joined)
        return joined;
    return synchronise();
}

Outcome GenlLink::process() {
    const auto messages = events_.receive();
    if (!messages) {
        if (messages.failure().error != ENOBUFS)
            return messages.failure();
        log::warning("netlink messages were lost, asking for everything anew");
        return synchronise();
    }
    for (const Message &message : *messages) {
        if (!wellFormed(message.header(), message.size())) {
            log::warning("a netlink message is malformed and passed over");
        } else if (message.header()->nlmsg_type == GENL_ID_CTRL) {
            if (Outcome taken = familyChanged(message); !taken)
                return taken;
        } else if (family_ && message.header()->nlmsg_type == family_->number) {
            hear(message);
        }
    }
    return done();
}

Result<model::KernelFacts> GenlLink::fetch(model::ConnectionId id) {
    const auto messages = askOnce(FUSEWB_CMD_CONN_GET, {{FUSEWB_A_CONN_ID, id}});
    if (!messages)
        return messages.failure();
    return decodeConnection(messages->front().header(), messages->front().size());
}

Result<std::vector<model::Request>> GenlLink::requests(std::optional<model::ConnectionId> id,
                                                       std::uint64_t minimumAgeUSec) {
    std::vector<Attribute> limits;
    if (id)
        limits.push_back({FUSEWB_A_REQUEST_CONN_ID, *id});
    if (minimumAgeUSec > 0)
        limits.push_back({FUSEWB_A_REQUEST_AGE_USEC, minimumAgeUSec});
    const auto messages = dump(FUSEWB_CMD_REQUEST_GET, std::move(limits));
    if (!messages)
        return messages.failure();
    return decodeAll(*messages, "a request", decodeRequest);
}

Outcome GenlLink::set(model::ConnectionId id, const policy::Values &values) {
    return change(FUSEWB_CMD_CONN_SET,
                  {{FUSEWB_A_CONN_ID, id}, encodePolicy(FUSEWB_A_CONN_POLICY, values)});
}

Outcome GenlLink::abort(model::ConnectionId id) {
    return change(FUSEWB_CMD_CONN_ABORT, {{FUSEWB_A_CONN_ID, id}});
}

Outcome GenlLink::setDefaults(const model::Defaults &changes) {
    std::vector<Attribute> nests;
    if (!changes.privileged.empty())
        nests.push_back(encodePolicy(FUSEWB_A_DEFAULT_PRIVILEGED, changes.privileged));
    if (!changes.others.empty())
        nests.push_back(encodePolicy(FUSEWB_A_DEFAULT_OTHERS, changes.others));
    return change(FUSEWB_CMD_POLICY_SET, std::move(nests));
}

// Brings the observer up to date, whatever was known before.
Outcome GenlLink::synchronise() {
    Outcome attached = attach();
    if (attached) {
        absenceSaid_ = false;
        return done();
    }
    detach();
    observer_->moduleGone();
    switch (attached.failure().error) {
    case ENOENT:
        // It may be unloaded at any point of this; the controller tells when it is there again.
        if (!absenceSaid_)
            log::info("the fusewb module is not loaded, waiting for it");
        absenceSaid_ = true;
        return done();
    case EBADMSG:
        // Asking again would not help before another module is loaded.
        log::error("this daemon does not understand the fusewb module that is loaded: ",
                   attached.failure().what);
        return done();
    default:
        return attached;
    }
}

Outcome GenlLink::attach() {
    const auto number = requests_.resolveFamily(FUSEWB_GENL_NAME);
    if (!number)
        return number.failure();
    const auto group = requests_.resolveGroup(FUSEWB_GENL_NAME, FUSEWB_MCGRP_EVENTS);
    if (!group)
        return group.failure();
    // Of a module that was loaded anew while news were lost nothing has been said yet.
    if (family_ && (family_->number != *number || family_->group != *group)) {
        detach();
        observer_->moduleGone();
    }
    if (Outcome joined = events_.join(*group); !joined)
        return joined;
    family_ = Family{*number, *group};
    const auto info = askInfo();
    if (!info)
        return info.failure();
    auto defaults = askDefaults();
    // A module from before there were policies has none to tell of.
    if (!defaults && defaults.failure().error == EOPNOTSUPP)
        defaults = model::Defaults();
    if (!defaults)
        return defaults.failure();
    const auto all = askAll();
    if (!all)
        return all.failure();
    observer_->synchronised(*info, *defaults, *all);
    return done();
}

void GenlLink::detach() {
    if (family_)
        events_.leave(family_->group);
    family_.reset();
}

Result<Messages> GenlLink::askOnce(int command, std::vector<Attribute> attributes) {
    if (!family_)
        return Failure{"the fusewb module is not loaded", ENODEV};
    auto messages = requests_.ask({.family = family_->number,
                                   .version = FUSEWB_GENL_VERSION,
                                   .command = command,
                                   .attributes = std::move(attributes)});
    if (messages && messages->size() != 1)
        return Failure{"the kernel does not answer as it should", EBADMSG};
    return messages;
}

Result<Messages> GenlLink::dump(int command, std::vector<Attribute> attributes) {
    if (!family_)
        return Failure{"the fusewb module is not loaded", ENODEV};
    const Question question{.family = family_->number,
                            .version = FUSEWB_GENL_VERSION,
                            .command = command,
                            .dump = true,
                            .attributes = std::move(attributes)};
    auto messages = requests_.ask(question);
    for (int attempt = 1; !messages && messages.failure().error == EINTR && attempt < dumpAttempts;
         ++attempt)
        messages = requests_.ask(question);
    return messages;
}

Outcome GenlLink::change(int command, std::vector<Attribute> attributes) {
    if (!family_)
        return Failure{"the fusewb module is not loaded", ENODEV};
    const auto answer = requests_.ask({.family = family_->number,
                                       .version = FUSEWB_GENL_VERSION,
                                       .command = command,
                                       .attributes = std::move(attributes)});
    if (!answer)
        return answer.failure();
    return done();
}

Result<model::ModuleInfo> GenlLink::askInfo() {
    const auto messages = askOnce(FUSEWB_CMD_INFO_GET);
    if (!messages)
        return messages.failure();
    return decodeInfo(messages->front().header(), messages->front().size());
}

Result<model::Defaults> GenlLink::askDefaults() {
    const auto messages = askOnce(FUSEWB_CMD_POLICY_GET);
    if (!messages)
        return messages.failure();
    return decodeDefaults(messages->front().header(), messages->front().size());
}

Result<std::vector<model::KernelFacts>> GenlLink::askAll() {
    const auto messages = dump(FUSEWB_CMD_CONN_GET);
    if (!messages)
        return messages.failure();
    return decodeAll(*messages, "a connection", decodeConnection);
}

Outcome GenlLink::familyChanged(const Message &message) {
    const int news = command(message.header());
    if (news != CTRL_CMD_NEWFAMILY && news != CTRL_CMD_DELFAMILY)
        return done();
    const auto name = decodeFamilyName(message.header(), message.size());
    if (!name || *name != FUSEWB_GENL_NAME)
        return done();
    if (news == CTRL_CMD_NEWFAMILY)
        return synchronise();
    log::info("the fusewb module was unloaded");
    absenceSaid_ = true;
    detach();
    observer_->moduleGone();
    return done();
}

void GenlLink::hear(const Message &message) {
    const auto tell = [](const auto &decoded, auto how) {
        if (decoded)
            how(*decoded);
        else
            log::warning("an event is passed over: ", decoded.failure().what);
    };
    const nlmsghdr *header = message.header();
    const std::size_t size = message.size();
    switch (command(header)) {
    case FUSEWB_CMD_DEADLINE_EXPIRED:
        tell(decodeExpiry(header, size),
             [this](const model::Expiry &expiry) { observer_->deadlineExpired(expiry); });
        break;
    case FUSEWB_CMD_POLICY_CHANGED:
        tell(decodeDefaults(header, size),
             [this](const model::Defaults &changes) { observer_->defaultsChanged(changes); });
        break;
    case FUSEWB_CMD_CONN_REMOVED:
        tell(decodeConnection(header, size),
             [this](const model::KernelFacts &facts) { observer_->connectionRemoved(facts.id); });
        break;
    default:
        tell(decodeConnection(header, size),
             [this](const model::KernelFacts &facts) { observer_->connectionSeen(facts); });
    }
}

} // namespace fusewb::kernel
