//! Counts the rows of a row event, by the sizes that its table map's column types give.

use super::source::Source;

/// A column as a table map describes it: its type and the two bytes of its metadata, the first one low.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column {
    kind: u8,
    meta: [u8; 2],
}

/// Column types, as `enum_field_types` numbers them.
mod kind {
    pub(super) const TINY: u8 = 1;
    pub(super) const SHORT: u8 = 2;
    pub(super) const LONG: u8 = 3;
    pub(super) const FLOAT: u8 = 4;
    pub(super) const DOUBLE: u8 = 5;
    pub(super) const NULL: u8 = 6;
    pub(super) const TIMESTAMP: u8 = 7;
    pub(super) const LONGLONG: u8 = 8;
    pub(super) const INT24: u8 = 9;
    pub(super) const DATE: u8 = 10;
    pub(super) const TIME: u8 = 11;
    pub(super) const DATETIME: u8 = 12;
    pub(super) const YEAR: u8 = 13;
    pub(super) const NEWDATE: u8 = 14;
    pub(super) const VARCHAR: u8 = 15;
    pub(super) const BIT: u8 = 16;
    pub(super) const TIMESTAMP2: u8 = 17;
    pub(super) const DATETIME2: u8 = 18;
    pub(super) const TIME2: u8 = 19;
    pub(super) const BLOB_COMPRESSED: u8 = 140;
    pub(super) const VARCHAR_COMPRESSED: u8 = 141;
    pub(super) const VECTOR: u8 = 242;
    pub(super) const JSON: u8 = 245;
    pub(super) const NEWDECIMAL: u8 = 246;
    pub(super) const ENUM: u8 = 247;
    pub(super) const SET: u8 = 248;
    pub(super) const TINY_BLOB: u8 = 249;
    pub(super) const MEDIUM_BLOB: u8 = 250;
    pub(super) const LONG_BLOB: u8 = 251;
    pub(super) const BLOB: u8 = 252;
    pub(super) const VAR_STRING: u8 = 253;
    pub(super) const STRING: u8 = 254;
    pub(super) const GEOMETRY: u8 = 255;
}

/// How many bytes a value of a column takes.
enum Size {
    Fixed(u64),
    /// As many bytes of a length stand before the value.
    Prefixed(usize),
}

/// Reads the types and their metadata; `None` where a type is not known, and rows cannot be counted.
pub(super) fn parse_columns(types: &[u8], mut metadata: &[u8]) -> Option<Vec<Column>> {
    let mut columns = Vec::with_capacity(types.len());
    for &kind in types {
        let meta = match metadata_length(kind)? {
            0 => [0, 0],
            1 => [metadata.u8()?, 0],
            _ => [metadata.u8()?, metadata.u8()?],
        };
        columns.push(Column { kind, meta });
    }
    Some(columns)
}

fn metadata_length(kind: u8) -> Option<usize> {
    Some(match kind {
        kind::TINY
        | kind::SHORT
        | kind::LONG
        | kind::NULL
        | kind::TIMESTAMP
        | kind::LONGLONG
        | kind::INT24
        | kind::DATE
        | kind::TIME
        | kind::DATETIME
        | kind::YEAR
        | kind::NEWDATE => 0,
        kind::FLOAT
        | kind::DOUBLE
        | kind::TIMESTAMP2
        | kind::DATETIME2
        | kind::TIME2
        | kind::BLOB_COMPRESSED
        | kind::VECTOR
        | kind::JSON
        | kind::TINY_BLOB
        | kind::MEDIUM_BLOB
        | kind::LONG_BLOB
        | kind::BLOB
        | kind::GEOMETRY => 1,
        kind::VARCHAR
        | kind::BIT
        | kind::VARCHAR_COMPRESSED
        | kind::NEWDECIMAL
        | kind::ENUM
        | kind::SET
        | kind::VAR_STRING
        | kind::STRING => 2,
        _ => return None,
    })
}

impl Column {
    fn size(&self) -> Option<Size> {
        let [low, high] = self.meta;
        Some(match self.kind {
            kind::NULL => Size::Fixed(0),
            kind::TINY | kind::YEAR => Size::Fixed(1),
            kind::SHORT => Size::Fixed(2),
            kind::INT24 | kind::DATE | kind::TIME | kind::NEWDATE => Size::Fixed(3),
            kind::LONG | kind::TIMESTAMP => Size::Fixed(4),
            kind::LONGLONG | kind::DATETIME => Size::Fixed(8),
            kind::FLOAT | kind::DOUBLE => Size::Fixed(low.into()),
            kind::TIMESTAMP2 => Size::Fixed(4 + fraction(low)?),
            kind::DATETIME2 => Size::Fixed(5 + fraction(low)?),
            kind::TIME2 => Size::Fixed(3 + fraction(low)?),
            // Bits beyond whole bytes, and whole bytes.
            kind::BIT => Size::Fixed(u64::from(high) + u64::from(low > 0)),
            kind::NEWDECIMAL => Size::Fixed(decimal_size(low, high)?),
            kind::VARCHAR | kind::VAR_STRING | kind::VARCHAR_COMPRESSED => {
                Size::Prefixed(if u16::from_le_bytes([low, high]) > 255 { 2 } else { 1 })
            }
            kind::ENUM | kind::SET => Size::Fixed(high.into()),
            kind::STRING => string_size(low, high),
            kind::BLOB_COMPRESSED
            | kind::VECTOR
            | kind::JSON
            | kind::TINY_BLOB
            | kind::MEDIUM_BLOB
            | kind::LONG_BLOB
            | kind::BLOB
            | kind::GEOMETRY => Size::Prefixed(Some(low).filter(|bytes| (1..=4).contains(bytes))?.into()),
            _ => return None,
        })
    }
}

/// Bytes that the fraction of a second takes.
fn fraction(digits: u8) -> Option<u64> {
    (digits <= 6).then(|| u64::from(digits).div_ceil(2))
}

/// Nine digits take four bytes, fewer take as few as hold them; before and after the point separately.
fn decimal_size(precision: u8, scale: u8) -> Option<u64> {
    const REST: [u64; 9] = [0, 1, 1, 2, 2, 3, 3, 4, 4];
    let digits = |count: u8| Some(u64::from(count / 9) * 4 + REST.get(usize::from(count % 9))?);
    Some(digits(precision.checked_sub(scale)?)? + digits(scale)?)
}

/// CHAR, BINARY, and ENUM and SET in CHAR's clothes. Two bits of the type hold the inverted top bits of the length.
fn string_size(low: u8, high: u8) -> Size {
    let real = low | 0x30;
    if real == kind::ENUM || real == kind::SET {
        return Size::Fixed(high.into());
    }
    let length = u16::from(high) | u16::from((low & 0x30) ^ 0x30) << 4;
    Size::Prefixed(if length > 255 { 2 } else { 1 })
}

/// What a row event holds for each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Images {
    /// One image: inserts and deletes.
    One,
    /// The row before and after.
    Two,
    /// The row before and after, JSON values of the latter as differences.
    TwoPartial,
}

/// Counts the rows in what is left of a row event; the bitmaps say which columns the images hold.
///
/// `None` where the bytes do not fall into rows of these columns.
pub(super) fn count_rows<S: Source>(
    body: &mut S,
    columns: &[Column],
    images: Images,
    before: &[u8],
    after: &[u8],
) -> Option<u64> {
    // An insert of defaults only, logged minimally, leaves nothing to count by: the event was written for one row.
    if body.remaining() == 0 {
        return Some(1);
    }
    let mut nulls = Vec::new();
    let mut rows = 0_u64;
    while body.remaining() > 0 {
        let left = body.remaining();
        skip_image(body, columns, before, &mut nulls)?;
        if images == Images::TwoPartial {
            skip_partial_bits(body, columns)?;
        }
        if images != Images::One {
            skip_image(body, columns, after, &mut nulls)?;
        }
        if body.remaining() == left {
            return None;
        }
        rows += 1;
    }
    Some(rows)
}

fn skip_image<S: Source>(body: &mut S, columns: &[Column], present: &[u8], nulls: &mut Vec<u8>) -> Option<()> {
    let count = (0..columns.len()).filter(|column| bit(present, *column)).count();
    nulls.clear();
    nulls.extend_from_slice(body.chunk(count.div_ceil(8))?);
    let mut place = 0;
    for (at, column) in columns.iter().enumerate() {
        if !bit(present, at) {
            continue;
        }
        if !bit(nulls, place) {
            let size = match column.size()? {
                Size::Fixed(size) => size,
                Size::Prefixed(bytes) => body.uint(bytes)?,
            };
            body.skip(size)?;
        }
        place += 1;
    }
    Some(())
}

/// Passes over what precedes the after image of a partial update: options, and which JSON values are differences.
fn skip_partial_bits<S: Source>(body: &mut S, columns: &[Column]) -> Option<()> {
    const PARTIAL_JSON: u64 = 1;
    if body.packed()? & PARTIAL_JSON != 0 {
        let json = columns.iter().filter(|column| column.kind == kind::JSON).count();
        body.skip(json.div_ceil(8) as u64)?;
    }
    Some(())
}

fn bit(bits: &[u8], at: usize) -> bool {
    bits.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(types: &[u8], metadata: &[u8], row: &[u8], rows: Option<u64>) {
        let columns = parse_columns(types, metadata).unwrap();
        let all = vec![0xff; types.len().div_ceil(8)];
        let found = count_rows(&mut &row.repeat(3)[..], &columns, Images::One, &all, &all);
        assert_eq!(found, rows, "{types:?}");
    }

    #[test]
    fn knows_the_size_of_every_type() {
        let fixed = [
            (kind::TINY, &[][..], 1),
            (kind::SHORT, &[], 2),
            (kind::INT24, &[], 3),
            (kind::LONG, &[], 4),
            (kind::LONGLONG, &[], 8),
            (kind::FLOAT, &[4], 4),
            (kind::DOUBLE, &[8], 8),
            (kind::YEAR, &[], 1),
            (kind::DATE, &[], 3),
            (kind::TIME, &[], 3),
            (kind::DATETIME, &[], 8),
            (kind::TIMESTAMP, &[], 4),
            (kind::TIMESTAMP2, &[0], 4),
            (kind::TIMESTAMP2, &[6], 7),
            (kind::DATETIME2, &[3], 7),
            (kind::TIME2, &[1], 4),
            (kind::BIT, &[0, 2], 2),
            (kind::BIT, &[1, 2], 3),
            (kind::NEWDECIMAL, &[12, 2], 6),
            (kind::NEWDECIMAL, &[65, 30], 30),
            (kind::STRING, &[kind::ENUM, 2], 2),
            (kind::STRING, &[kind::SET, 8], 8),
        ];
        for (kind, metadata, size) in fixed {
            let row = vec![0; 1 + size];
            check(&[kind], metadata, &row, Some(3));
        }
        check(&[kind::VARCHAR], &[255, 0], &[0, 2, 0, 0], Some(3));
        check(&[kind::VARCHAR], &[0, 1], &[0, 2, 0, 0, 0], Some(3));
        check(&[kind::STRING], &[254, 40], &[0, 1, 0], Some(3));
        // CHAR(255) of four-byte characters: 1020 bytes at most.
        check(&[kind::STRING], &[0xce, 0xfc], &[0, 1, 0, 0], Some(3));
        check(&[kind::BLOB], &[2], &[0, 3, 0, 9, 9, 9], Some(3));
        check(&[kind::JSON], &[4], &[0, 1, 0, 0, 0, 9], Some(3));
        check(&[kind::VECTOR], &[4], &[0, 1, 0, 0, 0, 9], Some(3));
        assert_eq!(parse_columns(&[200], &[]), None);
        assert_eq!(parse_columns(&[kind::VARCHAR], &[1]), None);
    }

    #[test]
    fn counts_only_what_falls_into_rows() {
        let columns = parse_columns(&[kind::LONG, kind::VARCHAR, kind::TINY], &[40, 0]).unwrap();
        // Null, "ab", 7.
        let row = [0b001, 2, b'a', b'b', 7];
        let count = |bytes: &[u8], images, before: &[u8], after: &[u8]| {
            count_rows(&mut &bytes[..], &columns, images, before, after)
        };
        assert_eq!(count(&row.repeat(5), Images::One, &[7], &[]), Some(5));
        assert_eq!(count(&row.repeat(4), Images::Two, &[7], &[7]), Some(2));
        assert_eq!(count(&row.repeat(3), Images::Two, &[7], &[7]), None);
        assert_eq!(count(&row[..4], Images::One, &[7], &[]), None);
        // Only the last column before, only the first after.
        assert_eq!(count(&[0, 7, 0, 1, 2, 3, 4], Images::Two, &[4], &[1]), Some(1));
        assert_eq!(count(&[], Images::One, &[0], &[]), Some(1));
    }
}
