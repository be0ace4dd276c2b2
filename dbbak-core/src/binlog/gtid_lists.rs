//! The events near a file's start that name the transactions before it: Previous_gtids and Gtid_list.

use super::header::event_type;
use super::source::Source;
use crate::model::{GtidSet, MariadbGtidState, MysqlGtidSet};
use uuid::Uuid;

/// In the first eight bytes of a Previous_gtids event whose set knows tags: format 1 in the first and the last byte,
/// the number of entries between them.
const TAGGED: u64 = 0x0100_0000_0000_0001;
const TAGGED_MASK: u64 = 0xff00_0000_0000_00ff;

/// MariaDB's Gtid_list: the upper four bits of the count are flags.
const LIST_COUNT: u32 = 0x0fff_ffff;

/// Whether an event of this type is such a list.
pub(super) fn is_gtid_list(event_type: u8) -> bool {
    matches!(event_type, event_type::PREVIOUS_GTIDS | event_type::GTID_LIST)
}

/// Reads the body of either event.
pub(super) fn parse_gtid_list<S: Source>(event_type: u8, body: &mut S) -> Option<GtidSet> {
    if event_type == event_type::GTID_LIST {
        parse_list(body).map(GtidSet::Mariadb)
    } else {
        parse_previous(body).map(GtidSet::Mysql)
    }
}

fn parse_previous<S: Source>(body: &mut S) -> Option<MysqlGtidSet> {
    let first = body.u64()?;
    let tagged = first & TAGGED_MASK == TAGGED;
    let owners = if tagged { (first & !TAGGED_MASK) >> 8 } else { first };
    let mut set = MysqlGtidSet::default();
    for _ in 0..owners {
        let uuid = Uuid::from_slice(body.chunk(16)?).ok()?;
        let tag = if tagged {
            let length = usize::try_from(body.varint()?).ok().filter(|length| *length <= 32)?;
            Some(String::from_utf8(body.chunk(length)?.to_vec()).ok()?).filter(|tag| !tag.is_empty())
        } else {
            None
        };
        for _ in 0..body.u64()? {
            // The end is the first number that is not in the interval.
            let (start, end) = (body.u64()?, body.u64()?);
            if start == 0 || end <= start {
                return None;
            }
            set.insert(uuid, tag.as_deref(), start, end - 1);
        }
    }
    Some(set)
}

fn parse_list<S: Source>(body: &mut S) -> Option<MariadbGtidState> {
    let count = body.u32()? & LIST_COUNT;
    let mut state = MariadbGtidState::default();
    for _ in 0..count {
        state.insert(body.u32()?, body.u32()?, body.u64()?);
    }
    Some(state)
}
