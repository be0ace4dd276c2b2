//! Examples that stand at the end of `--help`.

/// For the program.
pub(crate) const ALL: &str = "Examples:
  dbbak check                            is everything as it must be?
  dbbak backup-full -x                   take a full backup
  dbbak ship-binlogs -f -x               archive the binlogs up to now
  dbbak find -t shop.orders -k drop      who dropped it, and when?
  dbbak restore -t \"10 minutes ago\" -e   show how to get back to then; -x does it

Every command and option: docs/cli-reference.md";

/// For `backup-full`.
pub(crate) const BACKUP_FULL: &str = "Examples:
  dbbak backup-full                      show the plan
  dbbak backup-full -x                   carry it out
  dbbak backup-full -x --engine dump     with mysqldump or mariadb-dump";

/// For `backup-incr`.
pub(crate) const BACKUP_INCR: &str = "Examples:
  dbbak backup-incr -x                   on the newest backup of the newest chain
  dbbak backup-incr -x --differential    on the full of that chain
  dbbak backup-incr -x -b full_2025-10-02T02-00Z";

/// For `ship-binlogs`.
pub(crate) const SHIP: &str = "Examples:
  dbbak ship-binlogs -f -x               up to now: the server begins a new binlog first
  dbbak ship-binlogs -x --from-server    the server sends them
  dbbak ship-binlogs -x --rescue /mnt/dead-disk/mysql";

/// For `restore`.
pub(crate) const RESTORE: &str = "Examples:
  dbbak restore                                    show how to restore the latest moment
  dbbak restore -t \"2025-10-02 14:41:07\" -e -x     to just before this moment (UTC)
  dbbak restore -t \"10 minutes ago\" -e            show how to get back to then
  dbbak restore --before-gtid 0-1-8 -w /srv/rescue -x
  dbbak restore -b full_2025-10-02T02-00Z -x       this backup as it is";

/// For `timeline`.
pub(crate) const TIMELINE: &str = "Examples:
  dbbak timeline                         what can be restored, and what cannot
  dbbak timeline --html runbook.html     the same as a page";

/// For `find`.
pub(crate) const FIND: &str = "Examples:
  dbbak find -t shop.orders -k drop -k truncate
  dbbak find -t 'shop.*' --min-rows 1000 -s \"2 hours ago\"
  dbbak find --statement 'delete from orders'";

/// For `unmark`.
pub(crate) const UNMARK: &str = "Examples:
  dbbak unmark incr_2025-10-03T02-00Z_from_2025-10-02T02-00Z
  dbbak unmark 2025-10-03T02-00Z -x --reason 'the tool was broken that day'";

/// For `completions`.
pub(crate) const COMPLETIONS: &str = "Examples:
  dbbak completions bash > /etc/bash_completion.d/dbbak
  dbbak completions zsh > ~/.zfunc/_dbbak
  dbbak completions fish > ~/.config/fish/completions/dbbak.fish";

/// For `man`.
pub(crate) const MAN: &str = "Examples:
  dbbak man > /usr/local/share/man/man1/dbbak.1
  dbbak man restore | man -l -";
