# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# Two writers and a reader of one database, one writer killed; what was committed is there.

# insert NAME FILE: rows in transactions of ten, and after each its number to FILE.
insert() {
    local first
    for ((first = 0; first < ${rows:?}; first += 10)); do
        sqlite3 "$mnt/db" ".timeout 60000" "BEGIN IMMEDIATE;" \
            "WITH RECURSIVE n(i) AS (VALUES(0) UNION ALL SELECT i + 1 FROM n WHERE i < 9)
                INSERT INTO t SELECT '$1', $first + i, hex(randomblob(200)) FROM n;" "COMMIT;"
        echo "$((first + 10))" >"$2"
    done
}

serve() {
    local mode rows=300 killed there first second
    mount_passthrough
    for mode in wal delete; do
        rm -f "$mnt"/db* "$base"/{one,two}
        sqlite3 "$mnt/db" "PRAGMA journal_mode=$mode;" "PRAGMA synchronous=FULL;" \
            "CREATE TABLE t(name TEXT, number INTEGER, data TEXT, PRIMARY KEY(name, number));"
        insert one "$base/one" &
        first=$!
        insert two "$base/two" &
        second=$!
        until [[ -s $base/one && $(<"$base/one") -ge 50 ]]; do
            sqlite3 "$mnt/db" ".timeout 60000" "SELECT count(*) FROM t;" >/dev/null
        done
        # With whatever it runs just then, which may have ended it already.
        pkill -9 -P "$first" || true
        kill -9 "$first" || true
        wait "$second"
        killed=$(<"$base/one")
        drop_caches
        [[ $(sqlite3 "$mnt/db" "PRAGMA integrity_check;") == ok ]]
        [[ $(sqlite3 "$mnt/db" "SELECT count(*) FROM t WHERE name = 'two';") == "$rows" ]]
        there=$(sqlite3 "$mnt/db" "SELECT count(*) FROM t WHERE name = 'one';")
        ((there >= killed && there % 10 == 0))
    done
    done_on "SQLite" "$(version_of sqlite3)" \
        "journals wal and delete, a writer killed; integrity ok, every commit there"
}
