//! Archiving a binlog against the programs that each do a part of it, in interleaved pairs.

use crate::{
    Failure, Options,
    measure::{Run, Spread, run, settle},
    report::{Row, Section},
    transactions::small_binlog,
};
use dbbak_core::{
    binlog::{self, Ending},
    store::{
        HashingReader,
        transactions::{IndexedFile, TransactionIndex, TransactionWriter},
    },
};
use dbbak_testkit::server::{MariadbServer, Options as ServerOptions};
use std::{
    fs::{self, File},
    io::{self, BufWriter},
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const TICK: Duration = Duration::from_millis(2);
/// How this program is called to make the pass alone.
pub(crate) const PASS: &str = "--pass";
const PLAIN_ALLOWED: f64 = 0.25;
const GZIP_TIME_ALLOWED: f64 = 1.0 / 3.0;
const GZIP_SIZE_ALLOWED: f64 = 1.03;
const ZSTD_ALLOWED: f64 = 1.25;
const PEAK_ALLOWED: f64 = 150e6;
const INDEX_ALLOWED: f64 = 0.05;

/// Measures archiving.
pub(crate) fn measure(options: &Options, dbbak: &Path, dir: &Path) -> Result<Section, Failure> {
    let bytes: u64 = if options.quick { 30_000_000 } else { 320_000_000 };
    let mut rows = Vec::new();
    let mut sizes = Vec::new();
    for (name, title) in [("real", "a server's"), ("small", "small transactions")] {
        let source = dir.join(format!("binlogs-{name}"));
        fs::create_dir_all(&source)?;
        let file = source.join("mysql-bin.000001");
        crate::say(&format!("making a binlog: {title}"));
        match name {
            "real" => real_binlog(dir, &file, bytes)?,
            _ => fs::write(&file, small_binlog(bytes))?,
        }
        // A file after it, so that the large one is a closed one.
        fs::write(source.join("mysql-bin.000002"), small_binlog(0))?;
        sizes.push(fs::metadata(&file)?.len() / 1_000_000);
        let bench = Bench { dbbak, dir, source, file, repetitions: options.repetitions() };
        rows.extend(bench.pairs(title)?);
    }
    Ok(Section {
        name: "archive",
        title: format!("Archiving binlogs of {} MB (a server's) and {} MB (small transactions)", sizes[0], sizes[1]),
        method: "One binlog that a MariaDB server wrote for this bench (transactions of ten inserted, six updated and four \
                 deleted rows, row format, with the statements' text), and one of the synthetic writer with transactions of about 250 bytes. \
                 `dbbak ship-binlogs --rescue DIR --exec` with two threads into a fresh store: a new process that verifies \
                 every event, digests, packs, summarises, writes the transaction index and forces it all to the disk. It is \
                 paired with `gzip -6 -c` and `zstd -3 -T2 -c` into a file, and `sync` of that file. Against \
                 `mariadb-binlog FILE > /dev/null` stands the same pass without the copy: verify, digest, summarise, write the \
                 transaction index and force it to the disk; the order changes from pair to pair, after one uncounted run of \
                 each, and `sync` has ended before each. The ratios are those of each pair. Sizes are those of the archived \
                 file. Memory is the high-water mark of dbbak's own process. \
                 What dbbak does with small transactions beside packing (to verify, summarise and index a million of them) takes \
                 about 0.8 s of CPU. So it packs with zstd's level 1, whose files are hardly larger here than those of level 3 \
                 (see the sizes); with level 3 in its place the time on small transactions was 1.6 times that of `zstd -3 -T2`."
            .into(),
        rows,
        table: Vec::new(),
    })
}

/// The pass over a binlog that archiving makes, without the copy: verifies, digests, summarises, and writes the transaction
/// index.
pub(crate) fn pass(file: &Path, index: &Path) -> Result<(), Failure> {
    let mut writer = TransactionWriter::new(BufWriter::new(File::create(index)?))?;
    let mut input = HashingReader::new(File::open(file)?);
    let mut failed = None;
    let scan = binlog::scan(&mut input, &mut |transaction| match writer.push(transaction) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    let found = IndexedFile { digest: input.digest(), size: scan.size, max_event_stamp: scan.max_event_time };
    writer.finish(&found)?.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    match scan.ending {
        Ending::Rotate { .. } => Ok(()),
        other => Err(Failure(format!("{} ends {other}", file.display()))),
    }
}

/// Has a server write a binlog of at least so many bytes.
fn real_binlog(dir: &Path, to: &Path, bytes: u64) -> Result<(), Failure> {
    let options = ServerOptions::default().with("--max-binlog-size=1G").with("--innodb-log-file-size=256M");
    let server = MariadbServer::start(&dir.join("archive-server"), options)?;
    server.try_sql(
        "CREATE DATABASE bench; CREATE TABLE bench.orders (id INT AUTO_INCREMENT PRIMARY KEY, customer VARCHAR(64), \
         token CHAR(40), note VARCHAR(200), at DATETIME(6), amount DECIMAL(10,2)) ENGINE=InnoDB;
         CREATE TABLE bench.stock LIKE bench.orders; FLUSH BINARY LOGS",
    )?;
    let current = || -> Result<(String, u64), Failure> {
        let listed = server.try_sql("SHOW BINARY LOGS")?;
        let last = listed.last().ok_or_else(|| Failure("the server lists no binlogs".into()))?;
        Ok((last[0].clone(), last[1].parse()?))
    };
    server.try_sql(
        "USE bench; INSERT INTO orders (customer, token, note, at, amount) SELECT CONCAT('customer ', seq), SHA1(RAND()), \
         REPEAT('as it was ordered ', seq % 6), NOW(6), seq FROM seq_1_to_20000;
         INSERT INTO stock SELECT * FROM orders; FLUSH BINARY LOGS",
    )?;
    // Twenty rows in each transaction, as an application's ORM writes them.
    server.try_sql(
        "DELIMITER //
         CREATE PROCEDURE bench.work(rounds INT) BEGIN
           DECLARE place INT;
           FOR round IN 1..rounds DO
             SET place = 1 + FLOOR(RAND() * 19000);
             START TRANSACTION;
             INSERT INTO bench.orders (customer, token, note, at, amount) SELECT CONCAT('customer ', place + seq), \
               SHA1(RAND()), REPEAT('as it was ordered ', seq % 6), NOW(6), RAND() * 1000 FROM seq_1_to_10;
             UPDATE bench.stock SET amount = amount + 1 WHERE id BETWEEN place AND place + 5;
             DELETE FROM bench.orders WHERE id > place ORDER BY id LIMIT 4;
             COMMIT;
           END FOR;
         END//
         DELIMITER ;",
    )?;
    while current()?.1 < bytes {
        server.try_sql("CALL bench.work(2000)")?;
    }
    let (name, _) = current()?;
    server.try_sql("FLUSH BINARY LOGS")?;
    let base = server.try_sql("SELECT @@log_bin_basename")?;
    let base = base.first().and_then(|row| row.first()).ok_or_else(|| Failure("the server has no binlog".into()))?;
    let dir = Path::new(base).parent().unwrap_or(Path::new("/"));
    fs::copy(dir.join(name), to)?;
    Ok(())
}

struct Bench<'a> {
    dbbak: &'a Path,
    dir: &'a Path,
    source: PathBuf,
    file: PathBuf,
    repetitions: usize,
}

/// One run of dbbak: what it took, the archived file's bytes, and the transaction index.
struct Shipped {
    run: Run,
    stored: u64,
    index: Vec<u8>,
}

impl Bench<'_> {
    fn pairs(&self, title: &str) -> Result<Vec<Row>, Failure> {
        let tools: [(&str, &str, &[&str]); 3] = [
            ("", "mariadb-binlog", &[]),
            ("", "gzip", &["-6", "-c"]),
            ("binlog_compression: zstd\n", "zstd", &["-3", "-T2", "-q", "-c"]),
        ];
        let mut rows = Vec::new();
        let mut peak: Vec<f64> = Vec::new();
        let original = fs::metadata(&self.file)?.len() as f64;
        for (config, program, arguments) in tools {
            let own = || if program == "mariadb-binlog" { self.pass() } else { self.ship(config) };
            own()?;
            self.tool(program, arguments)?;
            let mut pairs = Vec::new();
            for number in 0..self.repetitions {
                let (own, other) = if number % 2 == 0 {
                    let own = own()?;
                    (own, self.tool(program, arguments)?)
                } else {
                    let other = self.tool(program, arguments)?;
                    (own()?, other)
                };
                crate::say(&format!(
                    "{title}: dbbak {:.2} s, {program} {:.2} s; {} and {} bytes",
                    own.run.seconds, other.0.seconds, own.stored, other.1
                ));
                pairs.push((own, other));
            }
            let ratio = Spread::of(pairs.iter().map(|(own, (other, _))| own.run.seconds / other.seconds));
            let seconds = Spread::of(pairs.iter().map(|(own, _)| own.run.seconds));
            let others = Spread::of(pairs.iter().map(|(_, (other, _))| other.seconds));
            peak.extend(pairs.iter().map(|(own, _)| own.run.peak as f64));
            rows.push(Row::free(format!("{title}: dbbak, paired with {program}: time"), seconds, 2, " s", 1.0));
            rows.push(Row::free(format!("{title}: {program}: time"), others, 2, " s", 1.0));
            let allowed = match program {
                "gzip" => GZIP_TIME_ALLOWED,
                "zstd" => ZSTD_ALLOWED,
                _ => PLAIN_ALLOWED,
            };
            rows.push(Row::limited(format!("{title}: dbbak / {program}: time"), ratio, 3, "", 1.0, allowed));
            let size = Spread::of(pairs.iter().map(|(own, (_, bytes))| own.stored as f64 / *bytes as f64));
            match program {
                "gzip" => {
                    let what = format!("{title}: dbbak / gzip: size");
                    rows.push(Row::limited(what, size, 3, "", 1.0, GZIP_SIZE_ALLOWED));
                }
                "zstd" => rows.push(Row::free(format!("{title}: dbbak / zstd: size"), size, 3, "", 1.0)),
                _ => {
                    let index = pairs.into_iter().next().map(|(own, _)| own.index).unwrap_or_default();
                    let whole = index.len() as f64;
                    let (text, _) = TransactionIndex::open(index)?.contents().stored_bytes();
                    let share = Spread::of([(whole - text as f64) / original]);
                    let what = format!("{title}: transaction index without text / binlog");
                    rows.push(Row::limited(what, share, 2, " %", 100.0, INDEX_ALLOWED));
                    let text = Spread::of([text as f64 / original]);
                    rows.push(Row::free(format!("{title}: the text's part / binlog"), text, 2, " %", 100.0));
                }
            }
        }
        rows.push(Row::limited(format!("{title}: peak memory"), Spread::of(peak), 0, " MB", 1e-6, PEAK_ALLOWED));
        Ok(rows)
    }

    /// One pass over the binlog by this program itself: no copy is written.
    fn pass(&self) -> Result<Shipped, Failure> {
        let index = self.dir.join("pass.tx");
        settle()?;
        let mut command = Command::new(std::env::current_exe()?);
        let run = run(command.arg(PASS).arg(&self.file).arg(&index), &self.dir.join("pass.log"), TICK)?;
        Ok(Shipped { run, stored: 0, index: fs::read(index)? })
    }

    fn ship(&self, more: &str) -> Result<Shipped, Failure> {
        let root = self.dir.join("archive-store");
        let config = self.dir.join("archive.yml");
        fs::write(&config, format!("nfs_root: {}\nparallel: 2\n{more}", root.display()))?;
        let log = self.dir.join("archive.log");
        let dbbak = |arguments: &[&str]| {
            let mut command = Command::new(self.dbbak);
            command.arg("--config-path").arg(&config).args(arguments);
            command
        };
        run(&mut dbbak(&["init"]), &log, TICK)?;
        settle()?;
        let source = self.source.display().to_string();
        let run = run(&mut dbbak(&["ship-binlogs", "--rescue", &source, "--exec"]), &log, TICK)?;
        let named = |path: &Path| path.to_string_lossy().contains("mysql-bin.000001");
        let (mut stored, mut index) = (0, Vec::new());
        for entry in fs::read_dir(root.join("binlogs"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "tx") && named(&path) {
                index = fs::read(path)?;
            } else if named(&path) {
                stored = fs::metadata(path)?.len();
            }
        }
        fs::remove_dir_all(&root)?;
        settle()?;
        Ok(Shipped { run, stored, index })
    }

    /// Runs a program on the file; returns also the bytes that it wrote.
    fn tool(&self, program: &str, arguments: &[&str]) -> Result<(Run, u64), Failure> {
        settle()?;
        let nothing = program == "mariadb-binlog";
        let out = if nothing { PathBuf::from("/dev/null") } else { self.dir.join("tool.out") };
        let mut command = Command::new("sh");
        // As dbbak does it: the file is on the disk when the clock stops.
        command.args(["-c", if nothing { "exec \"$@\"" } else { "\"$@\" && sync \"$OUT\"" }, "sh", program]);
        let measured = run(command.args(arguments).arg(&self.file).env("OUT", &out), &out, TICK)?;
        let bytes = fs::metadata(&out)?.len();
        if !nothing {
            fs::remove_file(out)?;
        }
        Ok((measured, bytes.max(1)))
    }
}
