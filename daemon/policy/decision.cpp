// SPDX-License-Identifier: GPL-2.0-only
#include "policy/decision.h"

namespace fusewb::policy {

std::string_view name(Origin origin) {
    switch (origin) {
    case Origin::Default:
        return "default";
    case Origin::Rule:
        return "rule";
    case Origin::Set:
        return "set";
    case Origin::Hold:
        break;
    }
    return "hold";
}

Decision decide(std::span<const Rule> rules, const Subject &subject) {
    Decision decision;
    for (const Rule &rule : rules) {
        Verdict verdict{rule.name, rule.path, false, ""};
        if (decision.rule) {
            verdict.reason = "not asked, since " + decision.rule->name + " decides";
        } else if (auto reason = mismatch(rule, subject)) {
            verdict.reason = std::move(*reason);
        } else {
            verdict.matches = true;
            decision.rule = &rule;
        }
        decision.verdicts.push_back(std::move(verdict));
    }
    return decision;
}

Effective merge(std::span<const Layer> layers) {
    Effective effective;
    for (const Layer &layer : layers) {
        for (const Description &description : settings()) {
            const auto value = layer.values.get(description.setting);
            if (!value)
                continue;
            effective.values.set(description.setting, *value);
            effective.sources[static_cast<std::size_t>(description.setting)] = layer.source;
        }
    }
    return effective;
}

} // namespace fusewb::policy
