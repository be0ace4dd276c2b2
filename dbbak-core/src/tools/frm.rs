//! Reads out of a table definition of MariaDB (`.frm`) which files its engine keeps beside it.

/// How many bytes of a definition [`files_of_frm`] reads.
pub const FRM_HEAD: usize = 64;

/// The files that a table's engine keeps beside its definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableFiles {
    /// Their names' ends, without the dot.
    pub extensions: &'static [&'static str],
    /// Whether there are such files for each partition, and none for the table.
    pub partitioned: bool,
}

/// Where the definition has the engine's number, and that of the partitions' engine.
/// Source: MariaDB's `sql/table.cc` (`open_binary_frm`); seen on 10.11.19 and 11.8.
const ENGINE_AT: usize = 3;
const PARTITIONS_ENGINE_AT: usize = 61;
/// The numbers, from MariaDB's `sql/handler.h` (`legacy_db_type`).
const PARTITIONED: u8 = 20;
const INNODB: u8 = 12;

/// Which files belong to a table, by the first bytes of its definition. `None`: a view, or an engine without files of its own, or one that is
/// looked at otherwise (InnoDB).
pub fn files_of_frm(head: &[u8; FRM_HEAD]) -> Option<TableFiles> {
    if head[..2] != [0xfe, 0x01] {
        return None;
    }
    let partitioned = head[ENGINE_AT] == PARTITIONED;
    let engine = if partitioned { head[PARTITIONS_ENGINE_AT] } else { head[ENGINE_AT] };
    let extensions: &[&str] = match engine {
        9 => &["MYI", "MYD"],
        10 => &["MRG"],
        16 => &["ARZ"],
        17 => &["CSV"],
        42 => &["MAI", "MAD"],
        _ => return None,
    };
    Some(TableFiles { extensions, partitioned })
}

/// How the definitions of views begin, which are text.
pub const TEXT_FRM: &[u8] = b"TYPE=";

/// Whether these are the first bytes of any definition.
pub fn is_frm(head: &[u8; FRM_HEAD]) -> bool {
    head[..2] == [0xfe, 0x01] || head.starts_with(TEXT_FRM)
}

/// Whether a definition is that of a table of InnoDB without partitions.
pub fn is_innodb_frm(head: &[u8; FRM_HEAD]) -> bool {
    head[..2] == [0xfe, 0x01] && head[ENGINE_AT] == INNODB
}

/// How many partitions (or subpartitions, where there are some) a table has, by its `.par` file.
/// Source: MariaDB's `sql/ha_partition.cc` (`create_handler_file`): words of four bytes, the third is the number.
pub fn parts_of_par(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(8..12)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_are_told_by_their_numbers() {
        let head = |engine, partitions| {
            let mut head = [0; FRM_HEAD];
            (head[0], head[1], head[3], head[61]) = (0xfe, 0x01, engine, partitions);
            head
        };
        let found = |engine, partitions| {
            files_of_frm(&head(engine, partitions)).map(|files| (files.extensions[0], files.partitioned))
        };
        assert_eq!(found(42, 0), Some(("MAI", false)));
        assert_eq!(found(9, 42), Some(("MYI", false)));
        assert_eq!(found(20, 42), Some(("MAI", true)));
        assert_eq!((found(20, 12), found(12, 0), found(19, 0)), (None, None, None));
        assert_eq!(files_of_frm(&[b'T'; FRM_HEAD]), None);
        // As MariaDB 10.11.19 writes it for three partitions.
        let par: Vec<u8> = [8_u32, 1_115_240_778, 3, 592_137].into_iter().flat_map(u32::to_le_bytes).collect();
        assert_eq!((parts_of_par(&par), parts_of_par(&par[..11])), (Some(3), None));
    }
}
