//! The status variables of a Query event: what the session that ran the statement had set.

use super::error::BinlogError;
use super::head::open;
use super::header::event_type;
use super::reader::{EventReader, Frame};
use super::source::Source;
use std::io::Read;

/// Status variables of a Query event, those that matter here. A server writes only what the statement depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) sql_mode: Option<u64>,
    /// The number of the client's character set.
    pub(super) charset: Option<u16>,
    pub(super) time_zone: Option<Vec<u8>>,
    /// The user and the host of the account (or the role) whose rights the statement goes by.
    pub(super) invoker: Option<(String, String)>,
    /// MariaDB: the microseconds of the statement's time, where it depends on them (`Q_HRNOW`).
    pub(super) microseconds: Option<u32>,
}

impl Status {
    /// Reads them as far as they are known: what another server adds stands behind these.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let mut status = Status::default();
        let mut rest = bytes;
        while status.next(&mut rest).is_some() {}
        status
    }

    fn next(&mut self, rest: &mut &[u8]) -> Option<()> {
        match rest.u8()? {
            // Flags, increments of AUTO_INCREMENT, length of the statement at the source.
            0 | 3 | 10 => rest.skip(4),
            1 => {
                self.sql_mode = Some(rest.u64()?);
                Some(())
            }
            4 => {
                self.charset = Some(rest.u16()?);
                rest.skip(4)
            }
            5 => {
                self.time_zone = Some(text(rest)?);
                Some(())
            }
            // The catalog.
            6 => text(rest).map(drop),
            // Names of months, the default database's collation.
            7 | 8 => rest.skip(2),
            // The tables of a multi-table update.
            9 => rest.skip(8),
            11 => {
                let (user, host) = (text(rest)?, text(rest)?);
                let shown = |name: Vec<u8>| String::from_utf8_lossy(&name).into_owned();
                self.invoker = Some((shown(user), shown(host)));
                Some(())
            }
            128 => {
                self.microseconds = u32::try_from(rest.uint(3)?).ok();
                Some(())
            }
            _ => None,
        }
    }
}

fn text(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let length = usize::from(rest.u8()?);
    Some(rest.chunk(length)?.to_vec())
}

/// Who ran a statement, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invoked {
    /// The server that ran it first.
    pub(crate) server_id: u32,
    /// User and host, where what the statement does depends on them and its text does not name them.
    pub(crate) invoker: Option<(String, String)>,
}

/// Who ran the first statement between two offsets of a binlog; `None` where there is none.
///
/// # Errors
/// The input is no binlog that can be read, or fails.
pub(crate) fn invoked(input: &mut dyn Read, from: u64, until: u64) -> Result<Option<Invoked>, BinlogError> {
    let mut reader = EventReader::new(input);
    open(&mut reader)?;
    reader.stream();
    while reader.offset() < until {
        let Frame::Event(mut event) = reader.next()? else { break };
        let kind = event.header.event_type;
        if event.at >= from && matches!(kind, event_type::QUERY | event_type::QUERY_COMPRESSED) {
            let server_id = event.header.server_id;
            let status = status_of(&mut event.body).unwrap_or_default();
            return Ok(Some(Invoked { server_id, invoker: status.invoker }));
        }
        if event.finish()?.is_some() {
            break;
        }
    }
    Ok(None)
}

fn status_of<S: Source>(body: &mut S) -> Option<Status> {
    // Session, time, length of the database's name, error.
    body.skip(4 + 4 + 1 + 2)?;
    let length = usize::from(body.u16()?);
    Some(Status::read(body.chunk(length)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of `alter event ev.e on schedule every 2 day`, as MariaDB 10.11 wrote them.
    #[test]
    fn reads_who_ran_a_statement() {
        let mut bytes = vec![0, 0, 0, 0, 0, 1, 0, 0, 0x20, 0x54, 0, 0, 0, 0, 6, 3, b's', b't', b'd'];
        bytes.extend_from_slice(&[4, 0x21, 0, 0x21, 0, 8, 0, 11, 3, b'a', b'p', b'p', 9]);
        bytes.extend_from_slice(b"localhost\x80\xa0\xf0\x00");
        let status = Status::read(&bytes);
        assert_eq!(status.invoker, Some(("app".to_owned(), "localhost".to_owned())));
        assert_eq!((status.sql_mode, status.charset), (Some(0x5420_0000), Some(33)));
        assert_eq!(Status::read(&bytes[..30]).invoker, None);
    }
}
