// SPDX-License-Identifier: GPL-2.0-only
#include "bus/values.h"

#include "bus/errors.h"

namespace fusewb::bus {

namespace {

using policy::Kind;

sdbus::Variant toVariant(const policy::Description &description, std::uint64_t value) {
    switch (description.kind) {
    case Kind::Choice:
        return sdbus::Variant(policy::formatValue(description, value));
    case Kind::Duration:
        return sdbus::Variant(value);
    case Kind::Boolean:
        return sdbus::Variant(value != 0);
    case Kind::Percent:
    case Kind::Size:
        break;
    }
    return sdbus::Variant(static_cast<std::uint32_t>(value));
}

template <typename T> T as(const policy::Description &description, const sdbus::Variant &variant) {
    if (!variant.containsValueOfType<T>())
        throw invalidArgument(std::string(description.property) + " has the wrong type");
    return variant.get<T>();
}

std::uint64_t fromVariant(const policy::Description &description, const sdbus::Variant &variant) {
    switch (description.kind) {
    case Kind::Choice:
        return choice(description.setting, as<std::string>(description, variant));
    case Kind::Duration:
        return as<std::uint64_t>(description, variant);
    case Kind::Boolean:
        return as<bool>(description, variant) ? 1 : 0;
    case Kind::Percent:
    case Kind::Size:
        break;
    }
    return as<std::uint32_t>(description, variant);
}

} // namespace

Variants toVariants(const policy::Values &values) {
    Variants variants;
    for (const policy::Description &description : policy::settings())
        if (const auto value = values.get(description.setting))
            variants.emplace(description.property, toVariant(description, *value));
    return variants;
}

policy::Values fromVariants(const Variants &variants) {
    policy::Values values;
    if (variants.empty())
        throw invalidArgument("there is no value to set");
    for (const auto &[name, variant] : variants) {
        const policy::Description *description = policy::findByProperty(name);
        if (!description)
            throw invalidArgument("\"" + name + "\" is no property of a policy");
        const std::uint64_t value = fromVariant(*description, variant);
        if (const Outcome good = policy::check(*description, value); !good)
            throw invalidArgument(name + ": " + good.failure().what);
        values.set(description->setting, value);
    }
    return values;
}

std::uint64_t choice(policy::Setting setting, const std::string &name) {
    const policy::Description &description = policy::describe(setting);
    const auto value = policy::parseValue(description, name);
    if (!value)
        throw invalidArgument(std::string(description.property) + ": " + value.failure().what);
    return *value;
}

std::string choiceName(policy::Setting setting, std::uint64_t value) {
    return policy::formatValue(policy::describe(setting), value);
}

} // namespace fusewb::bus
