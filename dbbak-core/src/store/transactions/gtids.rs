//! GTIDs in two columns: who gave it out, and its number.

use super::columns::{Cursor, difference, put, put_bytes, put_signed};
use crate::model::Gtid;
use uuid::Uuid;

/// Who gives out GTIDs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum GtidSource {
    Mysql { uuid: Uuid, tag: Option<String> },
    Mariadb { domain: u32, server: u32 },
}

const MYSQL: u64 = 1;
const MARIADB: u64 = 2;

impl GtidSource {
    fn number_of(&self, gtid: &Gtid) -> Option<u64> {
        match (self, gtid) {
            (GtidSource::Mysql { uuid, tag }, Gtid::Mysql { uuid: own, tag: own_tag, gno })
                if uuid == own && tag == own_tag =>
            {
                Some(*gno)
            }
            (GtidSource::Mariadb { domain, server }, Gtid::Mariadb { domain: own, server: own_server, seq })
                if domain == own && server == own_server =>
            {
                Some(*seq)
            }
            _ => None,
        }
    }

    fn of(gtid: &Gtid) -> (Self, u64) {
        match gtid {
            Gtid::Mysql { uuid, tag, gno } => (GtidSource::Mysql { uuid: *uuid, tag: tag.clone() }, *gno),
            Gtid::Mariadb { domain, server, seq } => (GtidSource::Mariadb { domain: *domain, server: *server }, *seq),
        }
    }

    pub(super) fn gtid(&self, number: u64) -> Gtid {
        match self {
            GtidSource::Mysql { uuid, tag } => Gtid::Mysql { uuid: *uuid, tag: tag.clone(), gno: number },
            GtidSource::Mariadb { domain, server } => Gtid::Mariadb { domain: *domain, server: *server, seq: number },
        }
    }
}

/// Gathers the two columns of a block.
#[derive(Debug, Default)]
pub(super) struct GtidColumns {
    sources: Vec<(GtidSource, u64)>,
    /// The place of the source used last: it is nearly always the next one's too.
    last: usize,
    rows: Vec<u8>,
    numbers: Vec<u8>,
}

impl GtidColumns {
    pub(super) fn push(&mut self, gtid: Option<&Gtid>) {
        let Some(gtid) = gtid else {
            put(&mut self.rows, 0);
            return;
        };
        let known = |place: usize| Some((place, self.sources.get(place)?.0.number_of(gtid)?));
        let found = known(self.last).or_else(|| (0..self.sources.len()).find_map(known));
        let (place, number) = found.unwrap_or_else(|| {
            let (source, number) = GtidSource::of(gtid);
            self.sources.push((source, 0));
            (self.sources.len() - 1, number)
        });
        self.last = place;
        put(&mut self.rows, place as u64 + 1);
        if let Some((_, before)) = self.sources.get_mut(place) {
            put_signed(&mut self.numbers, difference(number, before.wrapping_add(1)));
            *before = number;
        }
    }

    /// The source column and the number column.
    pub(super) fn finish(self) -> (Vec<u8>, Vec<u8>) {
        let mut sources = Vec::with_capacity(self.rows.len() + 64);
        put(&mut sources, self.sources.len() as u64);
        for (source, _) in &self.sources {
            match source {
                GtidSource::Mysql { uuid, tag } => {
                    put(&mut sources, MYSQL);
                    sources.extend_from_slice(uuid.as_bytes());
                    put_bytes(&mut sources, tag.as_deref().unwrap_or_default().as_bytes());
                }
                GtidSource::Mariadb { domain, server } => {
                    put(&mut sources, MARIADB);
                    put(&mut sources, (*domain).into());
                    put(&mut sources, (*server).into());
                }
            }
        }
        sources.extend_from_slice(&self.rows);
        (sources, self.numbers)
    }
}

/// Reads the two columns of a block.
#[derive(Debug)]
pub(super) struct Gtids {
    sources: Vec<GtidSource>,
    /// For each transaction the place of its source and its number.
    rows: Vec<Option<(u32, u64)>>,
}

impl Gtids {
    pub(super) fn parse(count: usize, sources: &[u8], numbers: &[u8]) -> Option<Self> {
        let (mut cursor, mut numbers) = (Cursor::new(sources), Cursor::new(numbers));
        let known = usize::try_from(cursor.number()?).ok().filter(|known| *known <= count)?;
        let mut list = Vec::with_capacity(known);
        for _ in 0..known {
            list.push(match cursor.number()? {
                MYSQL => {
                    let uuid = Uuid::from_slice(cursor.take(16)?).ok()?;
                    let tag = Some(cursor.text()?).filter(|tag| !tag.is_empty()).map(str::to_owned);
                    GtidSource::Mysql { uuid, tag }
                }
                MARIADB => GtidSource::Mariadb {
                    domain: cursor.number()?.try_into().ok()?,
                    server: cursor.number()?.try_into().ok()?,
                },
                _ => return None,
            });
        }
        let mut before = vec![0_u64; known];
        let mut rows = Vec::with_capacity(count);
        for _ in 0..count {
            rows.push(match cursor.number()? {
                0 => None,
                place => {
                    let place = usize::try_from(place - 1).ok()?;
                    let before = before.get_mut(place)?;
                    *before = before.wrapping_add(1).wrapping_add(numbers.signed()? as u64);
                    Some((place as u32, *before))
                }
            });
        }
        (cursor.is_empty() && numbers.is_empty()).then_some(Gtids { sources: list, rows })
    }

    /// The GTID of a transaction.
    pub(super) fn get(&self, row: usize) -> Option<Gtid> {
        let (place, number) = (*self.rows.get(row)?)?;
        Some(self.sources.get(place as usize)?.gtid(number))
    }

    /// The transactions that have a GTID.
    pub(super) fn rows_with(&self, gtid: &Gtid) -> Vec<u32> {
        let wanted: Vec<Option<u64>> = self.sources.iter().map(|source| source.number_of(gtid)).collect();
        if wanted.iter().all(Option::is_none) {
            return Vec::new();
        }
        let is = |row: &Option<(u32, u64)>| {
            row.is_some_and(|(place, number)| wanted.get(place as usize).copied().flatten() == Some(number))
        };
        (0..).zip(&self.rows).filter(|(_, row)| is(row)).map(|(place, _)| place).collect()
    }
}
