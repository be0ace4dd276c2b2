#!/usr/bin/env bash
# What an expert would run by hand in the place of `dbbak restore`: a copy of the backup, its prepare, and the replay.
#
# usage: by-hand-restore.sh HOW BACKUP SERVER READER CLIENT OPTION_FILE DATADIR WORK_DIR BUFFER_POOL BINLOG...
#   HOW      the program mariadb-backup, for a raw tree of its own; or the word clone, for a clone of MySQL's
#   BINLOG   the files from the one on that the backup ends in
set -euo pipefail

how=$1 backup=$2 server=$3 reader=$4 client=$5 option_file=$6 datadir=$7 work=$8 buffer_pool=$9
shift 9

cp -a "$backup" "$datadir"
# Where a clone ends is known once a server has started on it.
position=clone
if [ "$how" != clone ]; then
    "$how" --prepare --target-dir="$datadir" --use-memory="$buffer_pool"
    read -r file position _ <"$datadir/xtrabackup_binlog_info"
    [ "$file" = "${1##*/}" ]
fi
exec "${0%/*}/by-hand-replay.sh" "$server" "$reader" "$client" "$option_file" "$datadir" "$work" "$buffer_pool" "$position" "$@"
