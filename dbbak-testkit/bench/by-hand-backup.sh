#!/usr/bin/env bash
# What an expert would run by hand in the place of `dbbak backup-full`: a raw backup that stays as it is, a copy prepared
# for incrementals and one prepared to the end, all of it on the disk when the script ends.
#
# usage: by-hand-backup.sh OPTION_FILE TARGET_DIR THREADS PREPARE_MEMORY
set -euo pipefail

option_file=$1
target=$2
threads=$3
memory=$4

mkdir -p "$target"
mariadb-backup --defaults-file="$option_file" --backup --target-dir="$target/raw" --parallel="$threads"
cp -a "$target/raw" "$target/prepared-redo"
cp -a "$target/raw" "$target/prepared-final"
mariadb-backup --prepare --target-dir="$target/prepared-redo" --use-memory="$memory"
mariadb-backup --prepare --target-dir="$target/prepared-final" --use-memory="$memory"
sync
