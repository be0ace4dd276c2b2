#!/usr/bin/env bash
# What an expert would run by hand in the place of dbbak's replay: the vendor's binlog reader piped into its client, on a
# server that nobody else uses, with the durability of single commits switched off.
#
# usage: by-hand-replay.sh SERVER READER CLIENT OPTION_FILE DATADIR WORK_DIR BUFFER_POOL POSITION BINLOG...
#   POSITION  in the first of the binlogs; or the word clone: where the clone ends that the server is started on
set -euo pipefail

server=$1 reader=$2 client=$3 option_file=$4 datadir=$5 work=$6 buffer_pool=$7 position=$8
shift 8

mkdir -p "$work"
as_root=
[ "$(id -u)" != 0 ] || as_root=--user=root
"$server" --no-defaults $as_root --datadir="$datadir" --socket="$work/s" --pid-file="$work/pid" --skip-networking \
    --loose-mysqlx=OFF --secure-file-priv= --server-id=4000000000 --log-bin="$work/replay" --sync-binlog=0 \
    --binlog-checksum=CRC32 --max-binlog-size=1073741824 --innodb-flush-log-at-trx-commit=2 \
    --innodb-buffer-pool-size="$buffer_pool" --loose-gtid-mode=ON --loose-enforce-gtid-consistency=ON \
    --max-allowed-packet=1073741824 --loose-auto-generate-certs=OFF --loose-sha256-password-auto-generate-rsa-keys=OFF \
    --loose-caching-sha2-password-auto-generate-rsa-keys=OFF >"$work/server.log" 2>&1 &
process=$!
until "$client" --defaults-file="$option_file" --socket="$work/s" --execute='SELECT 1' >/dev/null 2>&1; do
    kill -0 "$process"
    sleep 0.05
done
if [ "$position" = clone ]; then
    read -r file position < <("$client" --defaults-file="$option_file" --socket="$work/s" --batch --skip-column-names \
        --execute='SELECT BINLOG_FILE, BINLOG_POSITION FROM performance_schema.clone_status')
    [ "${file##*/}" = "${1##*/}" ]
fi
TZ=UTC "$reader" --no-defaults --verify-binlog-checksum --start-position="$position" "$@" |
    "$client" --defaults-file="$option_file" --socket="$work/s" --binary-mode --max-allowed-packet=1073741824
"$client" --defaults-file="$option_file" --socket="$work/s" --execute=SHUTDOWN
wait "$process"
