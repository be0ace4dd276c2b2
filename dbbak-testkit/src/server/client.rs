//! Talks to a server through the vendor's client: single questions, and sessions that stay open.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::{ServerError, Vendor, process};

/// The rows of an answer; SQL's NULL is the text `NULL`.
pub type Rows = Vec<Vec<String>>;

fn command(vendor: Vendor, option_file: &Path) -> Result<Command, ServerError> {
    let client = vendor.client()?;
    let mut command = process::dying_with_parent(&client.display().to_string());
    command
        .arg(format!("--defaults-file={}", option_file.display()))
        .args(["--batch", "--skip-column-names", "--default-character-set=utf8mb4", "--max-allowed-packet=1G"])
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Ok(command)
}

/// Runs statements in a session of their own and returns the rows of all of them, one after the other.
pub(super) fn ask(vendor: Vendor, option_file: &Path, sql: &str) -> Result<Rows, ServerError> {
    let mut child = process::spawn(command(vendor, option_file)?).map_err(ServerError::io("starting the client"))?;
    let stdin = child.stdin.take();
    let sql_bytes = sql.as_bytes().to_vec();
    // Written beside the reading: a long script and a long answer would block each other on full pipes.
    let writer = std::thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&sql_bytes)));
    let output = child.wait_with_output().map_err(ServerError::io("waiting for the client"))?;
    let _ = writer.join();
    if !output.status.success() {
        return Err(ServerError::Sql {
            sql: sql.to_owned(),
            message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(parse_row).collect())
}

/// One row of the client's batch output, in which a tab parts fields and a backslash escapes.
fn parse_row(line: &str) -> Vec<String> {
    line.split('\t')
        .map(|field| {
            let mut text = String::with_capacity(field.len());
            let mut chars = field.chars();
            while let Some(c) = chars.next() {
                match c {
                    '\\' => match chars.next() {
                        Some('n') => text.push('\n'),
                        Some('t') => text.push('\t'),
                        Some('0') => text.push('\0'),
                        Some(other) => text.push(other),
                        None => text.push('\\'),
                    },
                    c => text.push(c),
                }
            }
            text
        })
        .collect()
}

/// A client session that stays open: one connection, so that transactions, locks and session variables last.
///
/// The first error ends it, as it ends the client. Dropping it ends the connection, and what was not committed is
/// rolled back.
#[derive(Debug)]
pub struct Session {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    asked: u64,
}

impl Session {
    pub(super) fn open(vendor: Vendor, option_file: &Path) -> Result<Self, ServerError> {
        let mut command = command(vendor, option_file)?;
        command.arg("--unbuffered");
        let mut child = process::spawn(command).map_err(ServerError::io("starting the client"))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(ServerError::io("starting the client")(std::io::Error::other("no pipes")));
        };
        let mut session = Self { child, stdin: Some(stdin), stdout: BufReader::new(stdout), asked: 0 };
        session.run("SELECT CONNECTION_ID()")?;
        Ok(session)
    }

    /// Runs statements, parted by semicolons, and returns their rows once all are done.
    pub fn run(&mut self, sql: &str) -> Result<Rows, ServerError> {
        self.send(sql)?;
        self.receive(sql)
    }

    /// Sends statements and waits for nothing: [`receive`](Self::receive) gets their rows.
    pub fn send(&mut self, sql: &str) -> Result<(), ServerError> {
        self.asked += 1;
        let end = format!("--dbbak-end-of-answer-{}--", self.asked);
        let script = format!("{sql}\n;\nSELECT '{end}';\n");
        let sent = match &mut self.stdin {
            Some(stdin) => stdin.write_all(script.as_bytes()).and_then(|()| stdin.flush()),
            None => return Err(self.ended(sql)),
        };
        sent.map_err(|_| self.ended(sql))
    }

    /// Waits for the end of what was [sent](Self::send) last and returns its rows; the text is for the message of an error.
    pub fn receive(&mut self, sql: &str) -> Result<Rows, ServerError> {
        let end = format!("--dbbak-end-of-answer-{}--", self.asked);
        let mut rows = Rows::new();
        loop {
            let mut line = String::new();
            match self.stdout.read_line(&mut line) {
                Ok(0) | Err(_) => return Err(self.ended(sql)),
                Ok(_) => {}
            }
            let line = line.trim_end_matches('\n');
            if line == end {
                return Ok(rows);
            }
            rows.push(parse_row(line));
        }
    }

    /// The error of a client that is gone: what it said last.
    fn ended(&mut self, sql: &str) -> ServerError {
        self.stdin = None;
        let mut message = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = std::io::Read::read_to_string(&mut stderr, &mut message);
        }
        let _ = self.child.wait();
        let message = match message.trim() {
            "" => "the session had ended before".to_owned(),
            said => said.to_owned(),
        };
        ServerError::Sql { sql: sql.to_owned(), message }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.stdin = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::parse_row;

    #[test]
    fn batch_rows_are_unescaped() {
        assert_eq!(parse_row("a\\tb\tNULL\tc\\\\n\td\\ne"), ["a\tb", "NULL", "c\\n", "d\ne"]);
    }
}
