#!/usr/bin/env bash
# What an expert would run by hand in the place of `dbbak backup-full --engine clone`: the clone, and the start of a server
# on it, for only then are its binlog coordinates known. All of it is on the disk when the script ends.
#
# usage: by-hand-clone.sh SERVER CLIENT OPTION_FILE COPY_OPTION_FILE COPY WORK_DIR BUFFER_POOL
#   COPY_OPTION_FILE  with an account that may shut the server on the copy down
set -euo pipefail

server=$1 client=$2 option_file=$3 copy_option_file=$4 copy=$5 work=$6 buffer_pool=$7

mkdir -p "$work"
as_root=
[ "$(id -u)" != 0 ] || as_root=--user=root
"$client" --defaults-file="$option_file" --execute="CLONE LOCAL DATA DIRECTORY = '$copy'"
"$server" --no-defaults $as_root --datadir="$copy" --socket="$work/s" --pid-file="$work/pid" --skip-networking \
    --mysqlx=OFF --secure-file-priv= --server-id=4000000000 --skip-log-bin --gtid-mode=ON --enforce-gtid-consistency=ON \
    --skip-replica-start --innodb-buffer-pool-size="$buffer_pool" --loose-auto-generate-certs=OFF \
    --loose-sha256-password-auto-generate-rsa-keys=OFF --loose-caching-sha2-password-auto-generate-rsa-keys=OFF >"$work/server.log" 2>&1 &
process=$!
on_copy() {
    "$client" --defaults-file="$copy_option_file" --socket="$work/s" --batch --skip-column-names --execute="$1"
}
until on_copy 'SELECT 1' >/dev/null 2>&1; do
    kill -0 "$process"
    sleep 0.05
done
on_copy 'SELECT BINLOG_FILE, BINLOG_POSITION, GTID_EXECUTED FROM performance_schema.clone_status' >"$work/coordinates"
on_copy SHUTDOWN
wait "$process"
sync
