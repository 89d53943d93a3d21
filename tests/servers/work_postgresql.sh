# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# A PostgreSQL cluster on the mount: pgbench, every process of the database killed in the middle,
# recovery, and the sums that every transaction keeps equal.

as_postgres() {
    setpriv --reuid=postgres --regid=postgres --clear-groups env -C / "PATH=$programs:$PATH" "$@"
}

sql() {
    as_postgres psql -h "$base/run" -AtXq -d bench -c "$1"
}

start_database() {
    as_postgres pg_ctl -w -t 120 -D "$mnt/data" -l "$base/run/log" \
        -o "-k $base/run -c listen_addresses= -c shared_buffers=16MB -c max_connections=20" start
}

serve() {
    local sums before noted after
    programs=$(echo /usr/lib/postgresql/*/bin)
    mkdir "$base"/{back,run}
    chown postgres:postgres "$base"/{back,run}
    mount_passthrough -o setuid=postgres,allow_other
    # Of a server without privileges, writes are copied unless somebody says otherwise.
    fusewbctl set "$mnt" Writeback=direct
    as_postgres initdb -D "$mnt/data" -A trust --no-locale -E UTF8
    start_database
    as_postgres createdb -h "$base/run" bench
    as_postgres pgbench -h "$base/run" -i -s 1 -q bench
    # -n: or it would empty the history that the sums are compared with.
    as_postgres pgbench -n -h "$base/run" -c 4 -T 8 bench
    before=$(sql "SELECT count(*) FROM pgbench_history")
    # It notes each transaction that it was told is done.
    as_postgres pgbench -n -h "$base/run" -c 4 -T 60 -l --log-prefix="$base/run/done" bench &
    sleep 6
    kill -9 "$(head -n 1 "$mnt/data/postmaster.pid")"
    pkill -9 -u postgres -x postgres || true
    wait "$!" || true
    while pgrep -u postgres -x postgres; do sleep 0.2; done
    drop_caches
    start_database
    sums=$(sql "SELECT (SELECT sum(abalance) FROM pgbench_accounts),
        (SELECT sum(tbalance) FROM pgbench_tellers), (SELECT sum(bbalance) FROM pgbench_branches),
        (SELECT sum(delta) FROM pgbench_history)")
    after=$(sql "SELECT count(*) FROM pgbench_history")
    noted=$(cat "$base"/run/done.* | wc -l)
    echo "sums $sums, $((before + noted)) transactions were done, $after are there"
    ((noted > 0 && after >= before + noted))
    [[ $(tr '|' '\n' <<<"$sums" | sort -u | wc -l) == 1 ]]
    sql "VACUUM ANALYZE"
    as_postgres pg_ctl -w -D "$mnt/data" stop
    as_postgres pg_controldata "$mnt/data" | grep -q 'shut down'
    done_on "PostgreSQL" "$(as_postgres postgres --version | awk '{print $3}')" \
        "pgbench, killed with -9, recovered: $after transactions, sums equal"
}
