//! Reader of the binary log format of MySQL and MariaDB: pure, over any input.
//!
//! A binlog is framed into events and each event is verified (`reader`), its body decoded (`decode`), and events are
//! grouped to transactions (`transaction`). [`scan`] does all of it in one pass, in memory that does not grow with the
//! size of a file, an event or a row. [`read_head`] reads only a file's first events, [`boundary`] judges one offset.

mod blank;
mod client_lexer;
mod compressed;
mod ddl;
mod decode;
mod default_engine;
mod demands;
mod directories;
mod earlier_temporaries;
mod error;
mod filler;
mod format;
mod gtid_events;
mod gtid_lists;
mod head;
mod header;
mod objects;
mod pipe_hazards;
mod prefix;
mod reader;
mod rows;
mod scan;
mod session;
mod source;
mod statement;
mod status;
mod table_maps;
mod tables;
mod transaction;
mod untold;
mod usual_text;
mod window_look;
mod words;

pub(crate) use ddl::defines_event;
pub use ddl::{DdlKind, DmlKind};
use default_engine::DefaultEngines;
pub(crate) use demands::demands;
pub use directories::Outside;
pub(crate) use directories::{may_put_files, puts_outside};
use earlier_temporaries::EarlierTemporaries;
pub use error::{BinlogError, Damage, DamageKind};
pub(crate) use filler::fill;
pub use format::{ChecksumAlgorithm, LogFlavor};
pub use head::{FileHead, read_head};
pub use pipe_hazards::{Accounts, PipeHazard, PipeSession, ShortTime, pipe_hazard};
pub use prefix::prefix_digest;
pub use scan::{Boundary, Ending, FileScan, boundary, scan, scan_with_boundary};
pub use session::{SessionTables, TemporaryTable};
pub use statement::XaId;
pub(crate) use status::{Invoked, invoked};
pub use tables::TableChange;
pub use transaction::{EndKind, Incident, Transaction, TransactionTime};
pub use untold::{Untold, untold};
pub use window_look::WindowLook;
