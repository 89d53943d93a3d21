# SPDX-License-Identifier: GPL-2.0-only
#
# Makes the manual page org.fusewb1(5) from the interface XML: each comment "NAME: text" belongs to
# the member of that name behind it, whose types come from the XML itself. Fails if a member has no
# comment, or a comment no member.
#   awk -v version=VERSION -f org.fusewb1.awk org.fusewb1.*.xml

function value(line, name,    at) {
    at = match(line, name "=\"[^\"]*\"")
    return at ? substr(line, RSTART + length(name) + 2, RLENGTH - length(name) - 3) : ""
}

function wrong(text) {
    print FILENAME ":" FNR ": " text > "/dev/stderr"
    failed = 1
}

function plain(text) {
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    gsub(/&lt;/, "<", text)
    gsub(/&gt;/, ">", text)
    gsub(/&amp;/, "\\&&", text)
    if (text ~ /^['.]/)
        text = "\\&" text
    return text
}

# What the comment says, without the name; "@argument: text" begins a line of its own.
function say(    count, lines, i, text, begun) {
    count = split(comment, lines, "\n")
    for (i = 1; i <= count; i++) {
        text = lines[i]
        sub(/^[ \t]+/, "", text)
        if (i == 1)
            sub(/^[A-Za-z0-9]+:[ ]*/, "", text)
        if (text == "") {
            if (begun && i < count)
                print ".sp"
            continue
        }
        if (text ~ /^@[a-z_]+:/) {
            if (begun)
                print ".br"
            print ".IR " plain(substr(text, 2, index(text, ":") - 2)) " :"
            sub(/^@[a-z_]+:[ ]*/, "", text)
        }
        print plain(text)
        begun = 1
    }
}

function member(kind, name, types) {
    if (commented != name)
        wrong("the comment before " name " is not about it")
    print ".TP"
    print ".B " plain(name) " \\fR" plain(types) (kind == "signal" ? "  signal" : "") "\\fP"
    say()
    commented = ""
}

BEGIN {
    print ".\\\" SPDX-License-Identifier: GPL-2.0-only"
    print ".\\\" Made from the interface XML by org.fusewb1.awk."
    print ".TH ORG.FUSEWB1 5 \"\" \"fusewb " version "\" \"File formats\""
    print ".SH NAME"
    print "org.fusewb1 \\- the D\\-Bus interfaces of fusewbd"
    print ".SH DESCRIPTION"
    print ".BR fusewbd (8)"
    print "has the name"
    print ".B org.fusewb"
    print "on the system bus."
    print "Its objects and their interfaces are described here; types are written as D\\-Bus does."
}

/<!--/ {
    inside = 1
    comment = ""
    sub(/.*<!--[ ]*/, "")
}

inside {
    ended = index($0, "-->")
    text = $0
    if (ended)
        text = substr(text, 1, ended - 1)
    sub(/[ \t]+$/, "", text)
    if (comment != "" || text ~ /[^ \t]/)
        comment = comment (comment == "" ? "" : "\n") text
    if (!ended)
        next
    inside = 0
    first = comment
    sub(/^[ \t]+/, "", first)
    if (first ~ /^org\.fusewb1\./)
        overview = comment
    else if (match(first, /^[A-Za-z0-9]+:/)) {
        if (commented != "")
            wrong("the comment about " commented " has no member")
        commented = substr(first, 1, RLENGTH - 1)
    }
    next
}

/<interface / {
    print ".SH " plain(value($0, "name"))
    print ".nf"
    count = split(overview, lines, "\n")
    for (i = 1; i <= count; i++) {
        sub(/^    /, "", lines[i])
        print plain(lines[i])
    }
    print ".fi"
    members = 0
}

/<(method|signal) / {
    kind = $0 ~ /<method/ ? "method" : "signal"
    name = value($0, "name")
    into = out = ""
    if ($0 ~ /\/>/)
        member(kind, name, "()")
}

/<arg / {
    argument = value($0, "type") " " value($0, "name")
    if (value($0, "direction") == "out")
        out = out (out == "" ? "" : ", ") argument
    else
        into = into (into == "" ? "" : ", ") argument
}

/<\/(method|signal)>/ {
    member(kind, name, "(" into ")" (out == "" ? "" : " -> (" out ")"))
}

/<property / {
    member("property", value($0, "name"), value($0, "type") (value($0, "access") == "readwrite" ? \
           ", can be written" : ""))
}

END {
    print ".SH SEE ALSO"
    print ".BR fusewbctl (1),"
    print ".BR fusewbd (8),"
    print ".BR busctl (1)"
    exit failed
}
