//! A replay by the private server's own applier against the vendor's reader piped into its client, in interleaved pairs.

use crate::{
    Failure, Options,
    measure::{Run, pairs, settle},
    report::{Row, Section},
    source::{BUFFER_POOL, Restored, Source, programs, script, vendors},
};
use dbbak_testkit::{
    planted::plant_full,
    server::{Checksums, Vendor, copy_tree},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The time that dbbak may take, as a part of the time by hand.
fn ratio_allowed(vendor: Vendor) -> f64 {
    match vendor {
        Vendor::Mariadb => 1.0 / 3.0,
        Vendor::Mysql => 1.0 / 3.3,
    }
}

/// Measures replays on both vendors.
pub(crate) fn measure(options: &Options, dbbak: &Path, dir: &Path) -> Result<Section, Failure> {
    let transactions: u64 = if options.quick { 2_000 } else { 100_000 };
    let mut rows = Vec::new();
    for (vendor, name) in vendors() {
        let bench = Bench::new(vendor, options, dbbak, &dir.join(format!("replay-{name}")), Load::Sell(transactions))?;
        let own = || bench.with_dbbak(&bench.config);
        // What both read was written a moment ago: one run of dbbak brings the rest into the page cache.
        own()?;
        let pairs = pairs(name, options.repetitions(), &own, &|| Ok(bench.by_hand()?.seconds))?;
        rows.push(Row::free(format!("{name}, dbbak: unpack, verify, replay, proof"), pairs.own, 2, " s", 1.0));
        rows.push(Row::free(format!("{name}, by hand: reader piped into client"), pairs.hand, 2, " s", 1.0));
        let what = format!("{name}: ratio dbbak / by hand");
        rows.push(Row::limited(what, pairs.ratio, 3, "", 1.0, ratio_allowed(vendor)));
    }
    Ok(Section {
        name: "replay",
        title: format!("Replay of {transactions} transactions, {} row changes", 3 * transactions),
        method: format!(
            "Transactions of one insert and two updates on three InnoDB tables. `dbbak restore --replay relay --exec` from a \
             copy of the stopped server's data directory, of which the steps that unpack and verify the archived binlogs and \
             that replay them count: start of the private server, the replay by its own applier, the comparison of what it \
             logged with the archive, and the clean shutdown. By hand, `dbbak-testkit/bench/by-hand-replay.sh` on a copy of \
             the same directory: start, `mysqlbinlog | mysql` (or MariaDB's) from the same position over the same files, not \
             compressed, and the clean shutdown; nothing is compared there. Neither side checks tables (`--check none`). Both servers log what they apply, with \
             sync_binlog=0 and innodb_flush_log_at_trx_commit=2 and a buffer pool of {BUFFER_POOL} bytes. The tables' \
             checksums are equal to the source's after each run. {} pairs, the order changing from pair to pair, \
             after one uncounted run of dbbak's. The ratio is that of each pair. By hand the reader, the client and the server \
             wait for each other at every statement: more than half of two cores is idle meanwhile.",
            options.repetitions()
        ),
        rows,
        table: Vec::new(),
    })
}

/// What is replayed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    /// So many transactions on rows of their own, most of them.
    Sell(u64),
    /// So many transactions on one row.
    Hot(u64),
}

/// A store with a base and binlogs behind it.
pub(crate) struct Bench<'a> {
    source: Source<'a>,
    /// For dbbak as it is.
    pub(crate) config: PathBuf,
    /// The planted full.
    base: PathBuf,
    /// The first file and the offset in it.
    from: (String, String),
    wanted: Checksums,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(
        vendor: Vendor,
        options: &Options,
        dbbak: &'a Path,
        dir: &Path,
        load: Load,
    ) -> Result<Self, Failure> {
        let mut source = Source::start(vendor, options, dbbak, dir)?;
        let config = source.configure("replay", "", &[])?;
        let from = source.place()?;
        let store = source.store("replay");
        let base = plant_full(&mut source.server, &store)?;
        match load {
            Load::Sell(transactions) => source.sell(transactions)?,
            Load::Hot(transactions) => source.count(transactions)?,
        }
        let wanted = source.server.checksums("bench")?;
        source.dbbak(&config, &["init"])?;
        source.dbbak(&config, &["ship-binlogs", "--flush", "--exec"])?;
        settle()?;
        Ok(Bench { source, config, base, from, wanted })
    }

    /// A configuration for the same store, with more options of the private server.
    pub(crate) fn configure(&self, name: &str, with: &[String]) -> Result<PathBuf, Failure> {
        let more = self.source.configure("replay", "", with)?;
        let path = self.source.dir.join(format!("{name}.yml"));
        fs::rename(&more, &path)?;
        self.source.configure("replay", "", &[])?;
        Ok(path)
    }

    /// Seconds of the steps that count.
    fn with_dbbak(&self, config: &Path) -> Result<f64, Failure> {
        Ok(self.restored(config)?.seconds(&["unpack", "replay"]))
    }

    /// Seconds in which the appliers are at work: without the server's start and shutdown, which takes MySQL whole seconds.
    pub(crate) fn of_the_appliers(&self, config: &Path) -> Result<f64, Failure> {
        Ok(self.restored(config)?.part_seconds("replay"))
    }

    fn restored(&self, config: &Path) -> Result<Restored, Failure> {
        settle()?;
        let restored = self.source.restore(config, &["--latest", "--replay", "relay", "--check", "none"])?;
        self.source.compare(&restored.datadir(), &self.wanted)?;
        fs::remove_dir_all(&restored.workdir)?;
        Ok(restored)
    }

    fn by_hand(&self) -> Result<Run, Failure> {
        let source = &self.source;
        let (datadir, work) = (source.dir.join("by-hand"), source.dir.join("by-hand-work"));
        copy_tree(&self.base, &datadir)?;
        settle()?;
        let mut command = Command::new(script("by-hand-replay.sh"));
        let [server_program, client] = programs(source.vendor);
        command.arg(source.vendor.program(server_program)?).arg(source.vendor.binlog_reader()?);
        command.arg(source.vendor.program(client)?);
        command.arg(source.server.root_option_file()).arg(&datadir).arg(&work);
        command.arg(BUFFER_POOL.to_string()).arg(&self.from.1).args(source.binlogs(&self.from.0)?);
        let measured = source.run(&mut command, "by-hand.log")?;
        source.compare(&datadir, &self.wanted)?;
        fs::remove_dir_all(&datadir)?;
        fs::remove_dir_all(&work)?;
        Ok(measured)
    }
}
