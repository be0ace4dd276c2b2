//! A whole restore, from the backup to the proof, against the expert's script, in interleaved pairs.

use crate::{
    Failure, Options,
    measure::{Run, Spread, pairs, settle},
    report::{Row, Section},
    source::{BUFFER_POOL, Restored, Source, programs, script, vendors, warm},
};
use dbbak_testkit::server::{Checksums, Vendor};
use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The time that dbbak may take, as a part of the time by hand.
fn ratio_allowed(vendor: Vendor) -> f64 {
    match vendor {
        Vendor::Mariadb => 0.5,
        Vendor::Mysql => 0.4,
    }
}

/// Parts of a restore of dbbak's, by the beginnings of its steps' titles.
const PARTS: [(&str, &[&str]); 4] = [
    ("copy and verify the backup", &["copy"]),
    ("prepare", &["prepare", "apply"]),
    ("unpack and verify the binlogs", &["unpack"]),
    ("replay, proof, check of all tables, clean shutdown", &["replay"]),
];

/// Measures whole restores on both vendors.
pub(crate) fn measure(options: &Options, dbbak: &Path, dir: &Path) -> Result<Section, Failure> {
    let transactions: u64 = if options.quick { 2_000 } else { 100_000 };
    let mut rows = Vec::new();
    let mut bytes = 0;
    for (vendor, name) in vendors() {
        let bench = Bench::new(vendor, options, dbbak, &dir.join(format!("restore-{name}")), transactions)?;
        bytes = bench.bytes;
        // What is read is in the page cache before the first run, for both.
        warm(&bench.source.store("restore"))?;
        warm(&bench.by_hand)?;
        let pairs = pairs(name, options.repetitions(), &|| bench.with_dbbak(), &|| Ok(bench.by_hand()?.seconds))?;
        rows.push(Row::free(format!("{name}, dbbak: restore"), pairs.own, 2, " s", 1.0));
        for (part, begins) in PARTS {
            let seconds = Spread::of(bench.runs.borrow().iter().map(|restored| restored.seconds(begins)));
            if seconds.greatest > 0.0 {
                rows.push(Row::free(format!("{name}, dbbak: of it, {part}"), seconds, 2, " s", 1.0));
            }
        }
        rows.push(Row::free(format!("{name}, by hand"), pairs.hand, 2, " s", 1.0));
        let what = format!("{name}: ratio dbbak / by hand");
        rows.push(Row::limited(what, pairs.ratio, 3, "", 1.0, ratio_allowed(vendor)));
    }
    Ok(Section {
        name: "restore",
        title: format!("A restore of {} MB and {transactions} transactions", bytes / 1_000_000),
        method: format!(
            "The same tables as in the replay, and four of random text. `dbbak restore --latest --exec`, a new process from \
             its start to its end: plan, copy with every digest verified, prepare (MariaDB), unpacking and verifying the \
             binlogs, replay by the server's own applier, the comparison of what it logged with the archive, the check of \
             all tables (`--check fast`, the default), and the clean shutdown. By hand, \
             `dbbak-testkit/bench/by-hand-restore.sh`: `cp -a` of the backup, on MariaDB `mariadb-backup --prepare`, start, \
             `mysqlbinlog | mysql` (or MariaDB's) from the backup's coordinates over files that are not compressed, clean \
             shutdown; nothing is verified, compared or checked there. Both begin with what the vendor's own tool left: on \
             MariaDB the raw tree of mariadb-backup (dbbak's store keeps no prepared one here: `prepared: none`; with one, as \
             by default, dbbak has no prepare to do), on MySQL the tree of a clone (dbbak's was opened once when it was taken, \
             the other is recovered by the server's first start on it). Both servers log what they apply, with sync_binlog=0 and \
             innodb_flush_log_at_trx_commit=2 and a buffer pool of {BUFFER_POOL} bytes. The tables' checksums are equal to \
             the source's after each run. {} pairs, the order changing from pair to pair; backups and binlogs are in the \
             page cache. The ratio is that of each pair.",
            options.repetitions()
        ),
        rows,
        table: Vec::new(),
    })
}

struct Bench<'a> {
    source: Source<'a>,
    config: PathBuf,
    /// The tree that the expert restores from.
    by_hand: PathBuf,
    /// The first file that is replayed.
    from: String,
    wanted: Checksums,
    /// The tables' files.
    bytes: u64,
    runs: RefCell<Vec<Restored>>,
}

impl<'a> Bench<'a> {
    fn new(vendor: Vendor, options: &Options, dbbak: &'a Path, dir: &Path, transactions: u64) -> Result<Self, Failure> {
        let source = Source::start(vendor, options, dbbak, dir)?;
        let bytes = source.fill(options.quick)?;
        let engine = match vendor {
            Vendor::Mariadb => "mariadb-backup",
            Vendor::Mysql => "clone",
        };
        crate::say(&format!("taking two fulls by {engine}"));
        let (from, _) = source.place()?;
        let by_hand = dir.join("by-hand-full");
        match vendor {
            Vendor::Mariadb => {
                let mut command = Command::new(vendor.program("mariadb-backup")?);
                command.arg(format!("--defaults-file={}", source.server.backup_option_file().display()));
                command.arg("--backup").arg(format!("--target-dir={}", by_hand.display()));
                source.run(&mut command, "by-hand-full.log")?;
            }
            Vendor::Mysql => {
                source.server.try_sql(&format!(
                    "INSTALL PLUGIN clone SONAME 'mysql_clone.so'; CLONE LOCAL DATA DIRECTORY = '{}'",
                    by_hand.display()
                ))?;
            }
        }
        let config = source.configure("restore", "prepared: none\n", &[])?;
        source.dbbak(&config, &["init"])?;
        source.dbbak(&config, &["backup-full", "--engine", engine, "--exec"])?;
        source.sell(transactions)?;
        let wanted = source.server.checksums("bench")?;
        source.dbbak(&config, &["ship-binlogs", "--flush", "--exec"])?;
        settle()?;
        Ok(Bench { source, config, by_hand, from, wanted, bytes, runs: RefCell::default() })
    }

    fn with_dbbak(&self) -> Result<f64, Failure> {
        settle()?;
        let restored = self.source.restore(&self.config, &["--latest"])?;
        self.source.compare(&restored.datadir(), &self.wanted)?;
        fs::remove_dir_all(&restored.workdir)?;
        let seconds = restored.run.seconds;
        self.runs.borrow_mut().push(restored);
        Ok(seconds)
    }

    fn by_hand(&self) -> Result<Run, Failure> {
        let (source, vendor) = (&self.source, self.source.vendor);
        let (datadir, work) = (source.dir.join("by-hand"), source.dir.join("by-hand-work"));
        settle()?;
        let mut command = Command::new(script("by-hand-restore.sh"));
        match vendor {
            Vendor::Mariadb => command.arg(vendor.program("mariadb-backup")?),
            Vendor::Mysql => command.arg("clone"),
        };
        let [server_program, client] = programs(vendor);
        command.arg(&self.by_hand).arg(vendor.program(server_program)?).arg(vendor.binlog_reader()?);
        command.arg(vendor.program(client)?).arg(source.server.root_option_file()).arg(&datadir).arg(&work);
        command.arg(BUFFER_POOL.to_string()).args(source.binlogs(&self.from)?);
        let measured = source.run(&mut command, "by-hand.log")?;
        source.compare(&datadir, &self.wanted)?;
        fs::remove_dir_all(&datadir)?;
        fs::remove_dir_all(&work)?;
        Ok(measured)
    }
}
