// SPDX-License-Identifier: GPL-2.0-only
// inih takes the lines apart. It is more forgiving than an administrator's typing error deserves
// (a key may end in a colon, a line may be continued by indenting the next, what does not fit its
// buffer is a new line), so each line is looked at before it gets there.
#include "policy/rule_file.h"

#include "policy/space.h"
#include "policy/units.h"

#include <algorithm>
#include <cstring>
#include <ini.h>
#include <set>

namespace fusewb::policy {

namespace {

// inih's own limits, as distributions build it; a line is counted with its end.
constexpr std::size_t maxLine = 198;

constexpr std::string_view matchSection = "Match";
constexpr std::string_view policySection = "Policy";

class Parser {
public:
    Parser(const std::string &name, const std::string &path, std::string_view text,
           const Accounts &accounts)
        : rest_(text), accounts_(accounts) {
        rule_.name = name;
        rule_.path = path;
    }

    std::variant<Rule, std::vector<RuleError>> run() {
        ini_parse_stream(readLine, this, takePair, this);
        if (errors_.empty() && rule_.values.empty()) {
            line_ = 0;
            fault("the rule decides nothing: [Policy] has no value");
        }
        if (errors_.empty())
            return std::move(rule_);
        return std::move(errors_);
    }

private:
    void fault(std::string reason) { errors_.push_back({rule_.path, line_, std::move(reason)}); }

    // inih's fgets(). A line with a fault is handed over as an empty one.
    static char *readLine(char *buffer, int size, void *data) {
        auto &parser = *static_cast<Parser *>(data);
        if (parser.rest_.empty())
            return nullptr;
        const std::size_t end = parser.rest_.find('\n');
        std::string_view line = parser.rest_.substr(0, end);
        parser.rest_.remove_prefix(end == std::string_view::npos ? line.size() : end + 1);
        ++parser.line_;
        if (!parser.inspect(line) || line.size() + 2 > static_cast<std::size_t>(size))
            line = {};
        line.copy(buffer, line.size());
        std::memcpy(buffer + line.size(), "\n", 2);
        return buffer;
    }

    // Whether inih reads the line as it is meant; takes note of sections.
    bool inspect(std::string_view line) {
        const std::string_view text = trimmed(line);
        if (text.empty() || text.front() == '#' || text.front() == ';')
            return true;
        if (line.size() > maxLine)
            return refuse("the line is longer than " + std::to_string(maxLine) + " bytes");
        if (std::any_of(line.begin(), line.end(), [](char c) {
                return c != '\t' && c != '\r' && static_cast<unsigned char>(c) < ' ';
            }))
            return refuse("the line has a control character in it");
        if (isSpace(line.front()))
            return refuse("the line is indented; each line is a [Section], a Key=Value or a "
                          "# comment");
        if (text.back() == '\\')
            return refuse("a line cannot be continued; give the key once more instead");
        if (text.front() == '[')
            return inspectSection(text);
        const std::size_t split = text.find_first_of("=:");
        if (split == std::string_view::npos || text[split] != '=' || split == 0)
            return refuse("\"" + std::string(text) + "\" is not Key=Value");
        if (text.find(" ;") != std::string_view::npos || text.find("\t;") != std::string_view::npos)
            return refuse("a comment has to be on a line of its own");
        if (section_.empty())
            return refuse(sectionSeen_ ? "the key is in no section that is known"
                                       : "the key is before the first [Section]");
        return true;
    }

    bool inspectSection(std::string_view text) {
        section_ = {};
        sectionSeen_ = true;
        const std::string_view name =
            text.back() == ']' ? text.substr(1, text.size() - 2) : std::string_view();
        if (name != matchSection && name != policySection)
            return refuse("\"" + std::string(text) + "\" is neither [Match] nor [Policy]");
        if (!seenSections_.insert(name).second)
            return refuse("there is a second [" + std::string(name) + "]; a file is one rule");
        section_ = name;
        return true;
    }

    bool refuse(std::string reason) {
        fault(std::move(reason));
        return false;
    }

    // Called from C: nothing may be thrown further.
    static int takePair(void *data, const char *section, const char *key,
                        const char *value) noexcept {
        auto &parser = *static_cast<Parser *>(data);
        try {
            if (section == policySection)
                parser.takeValue(key, value);
            else
                parser.takePattern(key, value);
        } catch (...) {
            return 0;
        }
        return 1;
    }

    void takeValue(std::string_view key, std::string_view text) {
        const Description *description = findByKey(key);
        if (!description) {
            fault("\"" + std::string(key) + "\" is no key of [Policy]" +
                  (findCriterion(key) ? "; it belongs into [Match]" : ""));
            return;
        }
        if (rule_.values.get(description->setting)) {
            fault(std::string(key) + " is given twice");
            return;
        }
        const auto value = parseValue(*description, text);
        if (value)
            rule_.values.set(description->setting, *value);
        else
            fault(std::string(key) + ": " + value.failure().what);
    }

    void takePattern(std::string_view key, const std::string &text) {
        const auto criterion = findCriterion(key);
        if (!criterion) {
            fault("\"" + std::string(key) + "\" is no key of [Match]" +
                  (findByKey(key) ? "; it belongs into [Policy]" : ""));
            return;
        }
        if (text.empty()) {
            fault(std::string(key) + " has no value");
            return;
        }
        Pattern pattern{text, std::nullopt};
        switch (*criterion) {
        case Criterion::Executable:
        case Criterion::MountPoint:
            if (text.front() != '/') {
                fault(std::string(key) + ": \"" + text +
                      "\" is not an absolute path: it begins with a slash, and * stops at one");
                return;
            }
            break;
        case Criterion::User:
        case Criterion::Group:
            pattern.id = account(*criterion, text);
            break;
        case Criterion::Unit:
        case Criterion::Subtype:
            break;
        }
        rule_.match[static_cast<std::size_t>(*criterion)].push_back(std::move(pattern));
    }

    std::optional<std::uint32_t> account(Criterion criterion, const std::string &text) const {
        // The last number stands for nobody in the interfaces of the kernel.
        if (const auto number = parseNumber(text))
            return *number < 0xffffffffU
                       ? std::optional<std::uint32_t>(static_cast<std::uint32_t>(*number))
                       : std::nullopt;
        return criterion == Criterion::User ? accounts_.user(text) : accounts_.group(text);
    }

    std::string_view rest_;
    const Accounts &accounts_;
    unsigned line_ = 0;
    std::string_view section_; // empty: none that is known
    bool sectionSeen_ = false;
    std::set<std::string_view> seenSections_;
    Rule rule_;
    std::vector<RuleError> errors_;
};

} // namespace

std::string RuleError::text() const {
    return path + (line == 0 ? "" : ":" + std::to_string(line)) + ": " + reason;
}

std::variant<Rule, std::vector<RuleError>> parseRule(const std::string &name,
                                                     const std::string &path, std::string_view text,
                                                     const Accounts &accounts) {
    return Parser(name, path, text, accounts).run();
}

std::string formatRule(const Rule &rule) {
    std::string text;
    for (std::size_t i = 0; i < criterionCount; ++i)
        for (const Pattern &pattern : rule.match[i])
            text += (text.empty() ? "[Match]\n" : "") +
                    std::string(name(static_cast<Criterion>(i))) + "=" + pattern.text + "\n";
    text += "[Policy]\n";
    for (const Description &description : settings())
        if (const auto value = rule.values.get(description.setting))
            text += std::string(description.key) + "=" + formatValue(description, *value) + "\n";
    return text;
}

} // namespace fusewb::policy
