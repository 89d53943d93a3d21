// SPDX-License-Identifier: GPL-2.0-only
// Methods that not everybody may call: asked about first, answered later.
#pragma once

#include "bus/bouncer.h"
#include "bus/errors.h"

#include <memory>
#include <set>
#include <tuple>

namespace fusewb::bus {

/// The value, or the error of the bus for why there is none.
template <typename T> T succeed(Result<T> result) {
    if (!result)
        throw errorFor(result.failure());
    return std::move(*result);
}

/// Has the action done if the caller may, and answers with the tuple that it returns or with the
/// error that it throws.
template <typename... Results, typename Action>
void answerGuarded(Bouncer &bouncer, const Caller &caller, const char *interface,
                   const char *member, std::optional<uid_t> owner,
                   sdbus::Result<Results...> &&result, Action action) {
    // A function has to be copyable, an answer is not.
    auto pending = std::make_shared<sdbus::Result<Results...>>(std::move(result));
    bouncer.ask(
        caller, interface, member, owner,
        [pending, action = std::move(action)](std::optional<sdbus::Error> refusal) {
            if (refusal) {
                pending->returnError(*refusal);
                return;
            }
            try {
                std::apply([&](const auto &...values) { pending->returnResults(values...); },
                           action());
            } catch (const sdbus::Error &error) {
                pending->returnError(error);
            } catch (const std::exception &error) {
                pending->returnError(makeError("org.freedesktop.DBus.Error.Failed", error.what()));
            }
        });
}

/// Answers that are still to be given. They reach into the connection to the bus and have to go
/// before it does: whoever has that has them.
using Unanswered = std::set<std::shared_ptr<sdbus::Result<>>>;

/// Has the action begun if the caller may. The action calls back with the outcome, then or later,
/// which is the answer; once those that are still to be given are gone, it is nobody's.
template <typename Action>
void answerGuardedLater(Bouncer &bouncer, Unanswered &unanswered, const Caller &caller,
                        const char *interface, const char *member, std::optional<uid_t> owner,
                        sdbus::Result<> &&result, Action action) {
    auto pending = std::make_shared<sdbus::Result<>>(std::move(result));
    bouncer.ask(
        caller, interface, member, owner,
        [&unanswered, pending, action = std::move(action)](std::optional<sdbus::Error> refusal) {
            if (refusal) {
                pending->returnError(*refusal);
                return;
            }
            unanswered.insert(pending);
            action([&unanswered, waiting = std::weak_ptr(pending)](const Outcome &outcome) {
                const auto answer = waiting.lock();
                if (!answer)
                    return;
                unanswered.erase(answer);
                if (outcome)
                    answer->returnResults();
                else
                    answer->returnError(errorFor(outcome.failure()));
            });
        });
}

} // namespace fusewb::bus
