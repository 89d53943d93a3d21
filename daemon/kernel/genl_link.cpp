// SPDX-License-Identifier: GPL-2.0-only
#include "kernel/genl_link.h"

#include "base/log.h"
#include "kernel/decode.h"

#include <cerrno>
#include <linux/fusewb.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>

namespace fusewb::kernel {

namespace {

// A dump that keeps being overtaken is asked for this often; after that the next event helps.
constexpr int dumpAttempts = 16;

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
            connectionChanged(message);
        }
    }
    return done();
}

Result<model::KernelFacts> GenlLink::fetch(model::ConnectionId id) {
    if (!family_)
        return Failure{"the module is not loaded", ENOENT};
    auto messages = requests_.ask({.family = family_->number,
                                   .version = FUSEWB_GENL_VERSION,
                                   .command = FUSEWB_CMD_CONN_GET,
                                   .attribute = {{FUSEWB_A_CONN_ID, id}}});
    if (!messages)
        return messages.failure();
    if (messages->size() != 1)
        return Failure{"the kernel does not answer for one connection", EBADMSG};
    return decodeConnection(messages->front().header(), messages->front().size());
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
    if (!family_ || family_->number != *number || family_->group != *group) {
        if (family_)
            detach();
        if (Outcome joined = events_.join(*group); !joined)
            return joined;
        family_ = Family{*number, *group};
    }
    const auto info = askInfo();
    if (!info)
        return info.failure();
    const auto all = askAll();
    if (!all)
        return all.failure();
    observer_->synchronised(*info, *all);
    return done();
}

void GenlLink::detach() {
    if (family_)
        events_.leave(family_->group);
    family_.reset();
}

Result<model::ModuleInfo> GenlLink::askInfo() {
    const auto messages = requests_.ask({.family = family_->number,
                                         .version = FUSEWB_GENL_VERSION,
                                         .command = FUSEWB_CMD_INFO_GET});
    if (!messages)
        return messages.failure();
    if (messages->size() != 1)
        return Failure{"the kernel does not answer for the module", EBADMSG};
    return decodeInfo(messages->front().header(), messages->front().size());
}

Result<std::vector<model::KernelFacts>> GenlLink::askAll() {
    const Question question{.family = family_->number,
                            .version = FUSEWB_GENL_VERSION,
                            .command = FUSEWB_CMD_CONN_GET,
                            .dump = true};
    auto messages = requests_.ask(question);
    for (int attempt = 1; !messages && messages.failure().error == EINTR && attempt < dumpAttempts;
         ++attempt)
        messages = requests_.ask(question);
    if (!messages)
        return messages.failure();

    std::vector<model::KernelFacts> all;
    for (const Message &message : *messages) {
        auto facts = decodeConnection(message.header(), message.size());
        if (facts)
            all.push_back(std::move(*facts));
        else
            log::warning("a connection is passed over: ", facts.failure().what);
    }
    return all;
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

void GenlLink::connectionChanged(const Message &message) {
    const auto facts = decodeConnection(message.header(), message.size());
    if (!facts) {
        log::warning("an event is passed over: ", facts.failure().what);
        return;
    }
    if (command(message.header()) == FUSEWB_CMD_CONN_REMOVED)
        observer_->connectionRemoved(facts->id);
    else
        observer_->connectionSeen(*facts);
}

} // namespace fusewb::kernel
