//! The numbers that stand for kinds in a transaction index. They are part of the format and never change.

use super::kinds::Kinds;
use crate::binlog::{DdlKind, DmlKind, EndKind, TableChange};

const INSERTS: u64 = 1;
const UPDATES: u64 = 1 << 1;
const DELETES: u64 = 1 << 2;
const UNCOUNTED: u64 = 1 << 3;
const DDL_SHIFT: u32 = 4;
const DML_SHIFT: u32 = 8;

const DDL: [DdlKind; 13] = [
    DdlKind::CreateTable,
    DdlKind::AlterTable,
    DdlKind::DropTable,
    DdlKind::TruncateTable,
    DdlKind::RenameTable,
    DdlKind::CreateIndex,
    DdlKind::DropIndex,
    DdlKind::CreateDatabase,
    DdlKind::AlterDatabase,
    DdlKind::DropDatabase,
    DdlKind::Program,
    DdlKind::Account,
    DdlKind::Other,
];

const DML: [DmlKind; 4] = [DmlKind::Insert, DmlKind::Update, DmlKind::Delete, DmlKind::Load];

const ENDS: [EndKind; 9] = [
    EndKind::Commit,
    EndKind::Rollback,
    EndKind::Ddl,
    EndKind::Statement,
    EndKind::XaPrepare,
    EndKind::XaCommit,
    EndKind::XaRollback,
    EndKind::Incident,
    EndKind::Payload,
];

/// What is done to one table, without the table and the numbers of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChangeCode(u16);

impl ChangeCode {
    pub(super) fn of(change: &TableChange) -> Self {
        let bit = |is: bool, bit: u64| if is { bit } else { 0 };
        let place = |found: Option<usize>| found.map_or(0, |place| place as u64 + 1);
        let ddl = place(change.ddl.and_then(|kind| DDL.iter().position(|known| *known == kind)));
        let dml = place(change.dml.and_then(|kind| DML.iter().position(|known| *known == kind)));
        let rows =
            bit(change.inserts > 0, INSERTS) | bit(change.updates > 0, UPDATES) | bit(change.deletes > 0, DELETES);
        ChangeCode((rows | bit(!change.counted, UNCOUNTED) | ddl << DDL_SHIFT | dml << DML_SHIFT) as u16)
    }

    pub(super) fn number(self) -> u64 {
        self.0.into()
    }

    /// `None` for a number that stands for nothing.
    pub(super) fn parse(number: u64) -> Option<Self> {
        let code = ChangeCode(u16::try_from(number).ok()?);
        let known = code.ddl_place() <= DDL.len() && code.dml_place() <= DML.len() && number < 1 << 11;
        known.then_some(code)
    }

    fn ddl_place(self) -> usize {
        usize::from(self.0 >> DDL_SHIFT & 0xf)
    }

    fn dml_place(self) -> usize {
        usize::from(self.0 >> DML_SHIFT & 0x7)
    }

    pub(super) fn inserts(self) -> bool {
        u64::from(self.0) & INSERTS != 0
    }

    pub(super) fn updates(self) -> bool {
        u64::from(self.0) & UPDATES != 0
    }

    pub(super) fn deletes(self) -> bool {
        u64::from(self.0) & DELETES != 0
    }

    pub(super) fn counted(self) -> bool {
        u64::from(self.0) & UNCOUNTED == 0
    }

    /// The same as a set of kinds.
    pub(super) fn kinds(self) -> Kinds {
        let when = |is: bool, kind: Kinds| if is { kind } else { Kinds::NONE };
        let rows = when(self.inserts(), Kinds::INSERT)
            .with(when(self.updates(), Kinds::UPDATE))
            .with(when(self.deletes(), Kinds::DELETE));
        rows.with(self.ddl().map_or(Kinds::NONE, Kinds::of_ddl)).with(self.dml().map_or(Kinds::NONE, Kinds::of_dml))
    }

    pub(super) fn ddl(self) -> Option<DdlKind> {
        DDL.get(self.ddl_place().checked_sub(1)?).copied()
    }

    pub(super) fn dml(self) -> Option<DmlKind> {
        DML.get(self.dml_place().checked_sub(1)?).copied()
    }
}

const HAS_ROWS: u8 = 1 << 4;
const COMPRESSED: u8 = 1 << 5;
const HAS_XA: u8 = 1 << 6;
const HAS_ERROR: u8 = 1 << 7;

/// The form of a transaction: one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) end_kind: EndKind,
    pub(super) has_rows: bool,
    pub(super) compressed: bool,
    pub(super) has_xa: bool,
    pub(super) has_error: bool,
}

impl Form {
    pub(super) fn number(self) -> u8 {
        let bit = |is: bool, bit: u8| if is { bit } else { 0 };
        let end = ENDS.iter().position(|known| *known == self.end_kind).unwrap_or(0) as u8;
        end | bit(self.has_rows, HAS_ROWS)
            | bit(self.compressed, COMPRESSED)
            | bit(self.has_xa, HAS_XA)
            | bit(self.has_error, HAS_ERROR)
    }

    /// `None` for a number that stands for nothing.
    pub(super) fn parse(number: u8) -> Option<Self> {
        Some(Form {
            end_kind: *ENDS.get(usize::from(number & 0xf))?,
            has_rows: number & HAS_ROWS != 0,
            compressed: number & COMPRESSED != 0,
            has_xa: number & HAS_XA != 0,
            has_error: number & HAS_ERROR != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_number_of_its_own() {
        let mut change = TableChange {
            database: String::new(),
            table: String::new(),
            inserts: 0,
            updates: 3,
            deletes: 0,
            counted: false,
            ddl: None,
            dml: None,
        };
        for ddl in DDL {
            for dml in DML {
                (change.ddl, change.dml) = (Some(ddl), Some(dml));
                let code = ChangeCode::parse(ChangeCode::of(&change).number()).unwrap();
                assert_eq!(
                    (code.ddl(), code.dml(), code.updates(), code.counted()),
                    (Some(ddl), Some(dml), true, false)
                );
                assert!(!code.inserts() && !code.deletes());
            }
        }
        assert_eq!(ChangeCode::parse(14 << DDL_SHIFT), None);
        assert_eq!(ChangeCode::parse(5 << DML_SHIFT), None);
        for end_kind in ENDS {
            let form = Form { end_kind, has_rows: true, compressed: false, has_xa: true, has_error: false };
            assert_eq!(Form::parse(form.number()), Some(form));
        }
        assert_eq!(Form::parse(9), None);
    }
}
