//! A full by MySQL's clone plugin against the bare statement and the start that its coordinates need, in interleaved pairs.

use crate::{
    Failure, Options,
    measure::{pairs, settle},
    report::{Row, Section},
    source::{BUFFER_POOL, Source, script},
};
use dbbak_testkit::server::Vendor;
use std::{fs, path::Path, process::Command};

const RATIO_ALLOWED: f64 = 1.15;

/// Measures clones.
pub(crate) fn measure(options: &Options, dbbak: &Path, dir: &Path) -> Result<Section, Failure> {
    let source = Source::start(Vendor::Mysql, options, dbbak, &dir.join("clone"))?;
    let bytes = source.fill(options.quick)?;
    source.server.try_sql("INSTALL PLUGIN clone SONAME 'mysql_clone.so'")?;
    let own = || {
        let config = source.configure("clone", "", &[])?;
        source.dbbak(&config, &["init"])?;
        settle()?;
        let run = source.dbbak(&config, &["backup-full", "--engine", "clone", "--exec"])?;
        fs::remove_dir_all(source.store("clone"))?;
        settle()?;
        Ok(run.seconds)
    };
    let hand = || {
        let (copy, work) = (source.dir.join("by-hand"), source.dir.join("by-hand-work"));
        settle()?;
        let mut command = Command::new(script("by-hand-clone.sh"));
        command.arg(Vendor::Mysql.program("mysqld")?).arg(Vendor::Mysql.program("mysql")?);
        command.arg(source.server.backup_option_file()).arg(source.server.root_option_file());
        command.arg(&copy).arg(&work).arg(BUFFER_POOL.to_string());
        let run = source.run(&mut command, "by-hand.log")?;
        fs::remove_dir_all(&copy)?;
        fs::remove_dir_all(&work)?;
        settle()?;
        Ok(run.seconds)
    };
    // Both sides once without being counted: they find the same page cache from then on.
    own()?;
    hand()?;
    let count = options.repetitions() + 2;
    let pairs = pairs("clone", count, &own, &hand)?;
    Ok(Section {
        name: "clone",
        title: format!("backup-full by a clone of {} MB of tables", bytes / 1_000_000),
        method: format!(
            "A MySQL server with four InnoDB tables of random text. `dbbak backup-full --engine clone --exec` against \
             `dbbak-testkit/bench/by-hand-clone.sh`: `CLONE LOCAL DATA DIRECTORY`, the start of a server on the copy (for only \
             then are the binlog coordinates known), the question for them, its shutdown, `sync`. {count} pairs, the order \
             changing from pair to pair, after one uncounted run of each; what the run before wrote is removed and `sync` has \
             ended before the clock starts; the server's files stay in the page cache for both. Both private servers have a \
             buffer pool of {BUFFER_POOL} bytes and no binlog. Both end with everything on the disk; dbbak also looks for tables \
             that a clone lacks, reads and hashes every file, checks the coordinates against the binlog, and enters the backup \
             into its store. The ratio is that of each pair."
        ),
        rows: vec![
            Row::free("dbbak backup-full: time".into(), pairs.own, 2, " s", 1.0),
            Row::free("by hand: time".into(), pairs.hand, 2, " s", 1.0),
            Row::limited("ratio dbbak / by hand".into(), pairs.ratio, 3, "", 1.0, RATIO_ALLOWED),
        ],
        table: Vec::new(),
    })
}
