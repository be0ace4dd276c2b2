//! An incremental is taken only where the end of its parent is proven to lie in the server's past; else a full is.

use super::{Case, story};
use chrono::DateTime;
use dbbak_core::{
    catalog::Backup,
    facts::{Facts, PastFact, PastFile, ServerFacts},
    model::{Lsn, RestoredFact, RestoredMark},
    plan::{BackupRequest, Plan, PlanError, Step, Summary, Unproven, check, parent_of},
    store::Digest,
};
use dbbak_testkit::history::{History, Product};
use uuid::Uuid;

const CHAINED: BackupRequest = BackupRequest::Incremental { base: None, differential: false };

/// A full, an incremental and transactions behind it in the same binlog.
fn idle(product: Product) -> History {
    let mut history = History::new(product);
    history.at("02:00").full();
    history.at("02:10").commit();
    history.at("03:00").incremental();
    history.at("03:10").commit();
    history
}

struct Past {
    case: Case,
    parent: Backup,
}

impl Past {
    fn of(history: History) -> Self {
        let mut case = Case::of(history);
        let parent = parent_of(&case.catalog, &CHAINED).unwrap().unwrap().clone();
        case.facts.past = Some(case.history.past(&parent));
        Past { case, parent }
    }

    fn plan(&self) -> Plan {
        let plan = self.case.backup(&CHAINED).unwrap();
        assert_eq!(check(&plan), []);
        plan
    }

    /// How it is proven, where an incremental is planned.
    fn proof(&self) -> String {
        let plan = self.plan();
        assert!(matches!(&plan.summary, Summary::Backup { id, .. } if id.starts_with("incr_")), "{:?}", plan.warnings);
        let reason = plan.reasons.iter().find_map(|reason| reason.strip_prefix("its end lies in the server's past: "));
        reason.expect("a proof").to_owned()
    }

    /// Why it is not, where a full is planned in its place; with the full named there is no plan at all.
    fn unproven(&self) -> Unproven {
        let plan = self.plan();
        assert!(matches!(&plan.summary, Summary::Backup { id, .. } if id.starts_with("full_")), "{:?}", plan.reasons);
        let named = BackupRequest::Incremental { base: Some(self.parent.id.root()), differential: false };
        let Err(PlanError::NotInPast { parent, why }) = self.case.backup(&named) else { panic!("a plan") };
        assert_eq!(parent, self.parent.ts());
        let said = format!(
            "a full is taken instead of an incremental: nothing proves that the end of backup {parent} lies in this server's past; {why}"
        );
        assert!(plan.warnings.contains(&said), "{:?}", plan.warnings);
        why
    }

    fn fact(&mut self) -> &mut PastFact {
        self.case.facts.past.as_mut().unwrap()
    }

    fn server(&mut self) -> &mut ServerFacts {
        match &mut self.case.facts.server {
            Some(Ok(server)) => server,
            other => panic!("{other:?}"),
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Adds the binlog of a later start of the server.
    fn started(mut self) -> Self {
        let last = self.fact().files.last().unwrap().clone();
        let next = PastFile {
            name: last.name.successor(),
            head: Some(Digest::of(b"started")),
            begun_by_start: Some(true),
            prefix: None,
            content: None,
            ..last
        };
        self.fact().files.push(next);
        self
    }
}

fn both() -> [History; 2] {
    [idle(Product::Mariadb), idle(Product::Mysql84)]
}

#[test]
fn the_bytes_before_the_place_prove_it() {
    for history in both() {
        let past = Past::of(history);
        assert_eq!(past.proof(), "the server's binlog.000001 holds the very bytes before 500");
        // A rotation changes nothing. A start may have been with other data, the log left beside them.
        let rotated = past.started().with(|past| past.fact().files[1].begun_by_start = Some(false));
        assert_eq!(rotated.proof(), "the server's binlog.000001 holds the very bytes before 500");
        assert_eq!(rotated.started().started().unproven(), Unproven::Started { starts: 2 });
    }
    assert!(Past::of(story(Product::Mariadb)).proof().contains("holds the very bytes before"));
    // A backup of an older dbbak names the head alone.
    let old = Past::of(idle(Product::Mariadb)).with(|past| {
        past.case.catalog.backups.iter_mut().for_each(|backup| backup.entry.binlog_prefix = None);
    });
    assert_eq!(old.proof(), "the server's binlog.000001 is the very file, and reaches to 500");
}

#[test]
fn a_server_that_was_put_back_takes_a_full() {
    for history in both() {
        let file = history.files[0].name.clone();
        let case = |change: &dyn Fn(&mut Past)| Past::of(history.clone()).with(|past| change(past)).unproven();
        // A reset, another machine, a re-seeded replica: the name came again.
        assert_eq!(
            case(&|past| past.fact().files[0].head = Some(Digest::of(b"another"))),
            Unproven::OtherFile { file: file.clone() }
        );
        // Put back to before the place: the file was never written on.
        assert_eq!(
            case(&|past| past.fact().files[0].size = 499),
            Unproven::Shorter { file: file.clone(), size: 499, position: 500 }
        );
        // Put back with its memory: the file was written on, with other transactions.
        assert_eq!(
            case(&|past| past.fact().files[0].prefix = Some(Digest::of(b"other bytes"))),
            Unproven::OtherContent { file: file.clone(), position: 500 }
        );
        let lsn = Past::of(history.clone()).parent.to_lsn.unwrap();
        assert_eq!(
            case(&|past| past.server().lsn = Some(Lsn(5))),
            Unproven::LsnWentBack { expected: lsn, found: Lsn(5) }
        );
        assert_eq!(case(&|past| past.fact().files.clear()), Unproven::NotLooked);
        assert_eq!(case(&|past| past.fact().backup = "2025-10-02T02-00Z".parse().unwrap()), Unproven::NotLooked);
    }
}

#[test]
fn an_end_of_the_file_just_there_proves_nothing_once_the_server_was_started() {
    let just_there = |product| Past::of(idle(product)).with(|past| past.fact().files[0].size = 500);
    let nothing_behind =
        |mut past: Past| Unproven::NothingBehind { file: past.fact().files[0].name.clone(), position: 500 };
    let from = |at: u64| move |past: &mut Past| past.server().start_lsn = Some(Lsn(at));
    for product in [Product::Mariadb, Product::Mysql84] {
        assert!(just_there(product).proof().contains("the very bytes"));
        assert_eq!(just_there(product).started().unproven(), nothing_behind(just_there(product)));
        // One start, from data that reached so far.
        let lsn = just_there(product).parent.to_lsn.unwrap();
        assert!(just_there(product).started().with(from(lsn.0)).proof().contains("the very bytes"));
        // From data that did not, which MariaDB says just so; MySQL says no more than a lower bound.
        let before = just_there(product).started().with(from(lsn.0 - 1)).unproven();
        match product {
            Product::Mariadb => assert_eq!(before, Unproven::StartedBefore { expected: lsn, found: Lsn(lsn.0 - 1) }),
            _ => assert_eq!(before, nothing_behind(just_there(product))),
        }
        let twice = just_there(product).started().started().with(from(lsn.0));
        assert_eq!(twice.unproven(), nothing_behind(just_there(product)));
    }
}

#[test]
fn a_log_in_another_place_than_the_data_proves_nothing_of_them_once_the_server_was_started() {
    let elsewhere = || Past::of(idle(Product::Mysql84)).with(|past| past.fact().dir = Some("/binlogs".into()));
    assert!(elsewhere().proof().contains("the very bytes"));
    let unproven = |starts| Unproven::LogElsewhere { dir: "/binlogs".into(), starts };
    assert_eq!(elsewhere().started().unproven(), unproven(1));
    assert_eq!(elsewhere().started().started().unproven(), unproven(2));
    let lsn = elsewhere().parent.to_lsn;
    assert!(elsewhere().started().with(|past| past.server().start_lsn = lsn).proof().contains("the very bytes"));
    assert_eq!(elsewhere().started().started().with(|past| past.server().start_lsn = lsn).unproven(), unproven(2));
    // A file that cannot be read may have been begun by a start.
    let unread = elsewhere().started().with(|past| past.fact().files[1].begun_by_start = None);
    assert_eq!(unread.unproven(), unproven(1));
    let rotated = elsewhere().started().with(|past| past.fact().files[1].begun_by_start = Some(false));
    assert!(rotated.proof().contains("the very bytes"));
}

#[test]
fn data_files_that_are_others_are_no_past_whatever_lies_beside_them() {
    let born = |second: u32| DateTime::from_timestamp(1_759_300_000 + i64::from(second), 0);
    let past = |then: Option<_>, now: Option<_>| {
        Past::of(idle(Product::Mariadb)).started().with(|past| {
            let servers =
                past.case.catalog.backups.iter_mut().map(|backup| backup.entry.server.get_or_insert_default());
            servers.for_each(|server| server.data_born = then);
            past.case.facts.data_born = now;
        })
    };
    assert_eq!(past(born(1), born(1)).unproven(), Unproven::Started { starts: 1 });
    assert_eq!(past(born(1), born(2)).unproven(), Unproven::OtherFiles { born: born(2).unwrap() });
    // Older copies that were moved into place.
    assert_eq!(past(born(2), born(1)).unproven(), Unproven::OtherFiles { born: born(1).unwrap() });
    // An older program recorded nothing: files that are younger than the backup are others.
    let later = DateTime::from_timestamp(1_900_000_000, 0).unwrap();
    assert_eq!(past(None, born(1)).unproven(), Unproven::Started { starts: 1 });
    assert_eq!(past(None, Some(later)).unproven(), Unproven::OtherFiles { born: later });
    // A server that runs since then had no time for it; one that was started once, with data that reached so far, was moved.
    let running = Past::of(idle(Product::Mariadb)).with(|past| past.case.facts.data_born = Some(later));
    assert!(running.proof().contains("the very bytes"));
    let lsn = past(None, None).parent.to_lsn;
    assert!(past(born(1), born(2)).with(|past| past.server().start_lsn = lsn).proof().contains("the very bytes"));
    // Another file system may be put back alone.
    let apart = past(None, None).with(|past| past.fact().apart = Some(true)).unproven();
    assert!(matches!(apart, Unproven::LogElsewhere { starts: 1, .. }), "{apart:?}");
}

/// Two binlogs after the one that the parent ended in; the first two were shipped and purged, the third shipped.
fn purged(product: Product) -> History {
    let mut history = idle(product);
    for at in ["03:20", "03:40", "03:50"] {
        history.at(at).rotate();
        history.commit();
    }
    history.ship();
    history.purge_to(3);
    history
}

#[test]
fn archived_binlogs_lead_from_a_purged_file_to_one_that_the_server_has() {
    for product in [Product::Mariadb, Product::Mysql84, Product::Mysql57] {
        let past = Past::of(purged(product));
        assert_eq!(
            past.proof(),
            "archived binlogs lead without a gap from binlog.000001 to binlog.000003, which the server has"
        );
    }
}

#[test]
fn without_such_a_lead_a_full_is_taken() {
    let why = |past: &Past| match past.unproven() {
        Unproven::Purged { why, .. } => why,
        other => panic!("{other:?}"),
    };
    // Never archived.
    let mut history = purged(Product::Mariadb);
    history.archived.clear();
    assert_eq!(why(&Past::of(history)), "binlog.000001 is not archived");
    // A gap.
    let mut history = purged(Product::Mariadb);
    history.archived.remove(1);
    let gap = "they reach to binlog.000001 without a gap, and the server's files begin with binlog.000003";
    assert_eq!(why(&Past::of(history)), gap);
    // The server's file is another one of the same head.
    let other =
        Past::of(purged(Product::Mariadb)).with(|past| past.fact().files[0].content = Some(Digest::of(b"other")));
    let none = "they reach to binlog.000003 without a gap, and the server's files begin with binlog.000003";
    assert_eq!(why(&other), none);
    // The GTIDs of a set-back server come again: by themselves they prove nothing, and nobody asks for them.
    let other = Past::of(purged(Product::Mysql84)).with(|past| past.fact().files[0].head = Some(Digest::of(b"other")));
    assert_eq!(why(&other), none);
}

#[test]
fn a_log_that_begins_anew_or_bears_another_name_takes_a_full() {
    let mut history = purged(Product::Mysql84);
    history.reset();
    history.commit();
    history.files.iter_mut().filter(|file| file.history == 0).for_each(|file| file.present = false);
    let mut past = Past::of(history);
    let head = past.fact().files[0].head;
    assert!(head.is_some() && head != past.parent.entry.binlog_head);
    assert!(matches!(past.unproven(), Unproven::OtherFile { .. }));
    let renamed =
        Past::of(idle(Product::Mysql84)).with(|past| past.fact().files[0].name = "other-bin.000001".parse().unwrap());
    assert!(matches!(renamed.unproven(), Unproven::Renamed { found, .. } if found == "other-bin"));
    let mut history = purged(Product::Mysql84);
    history.incremental();
    let behind = Past::of(history).with(|past| {
        let fact = past.fact();
        fact.files[0].name = "binlog.000002".parse().unwrap();
    });
    assert!(matches!(behind.unproven(), Unproven::NotReached { .. }));
}

#[test]
fn without_a_log_the_server_must_have_run_since_then() {
    let without_log = |uptime: Option<u64>| {
        Past::of(idle(Product::Mysql84)).with(|past| {
            past.case.catalog.backups.iter_mut().for_each(|backup| backup.entry.binlog = None);
            past.server().uptime = uptime;
        })
    };
    // The parent was begun at 03:00, and it is 03:10.
    assert_eq!(without_log(Some(700)).proof(), "the server was not started anew since then");
    for uptime in [Some(599), Some(0), None] {
        assert_eq!(without_log(uptime).unproven(), Unproven::NoLog);
    }
    let off = without_log(None).with(|past| past.server().log_bin = false);
    assert_eq!(off.unproven(), Unproven::NoLog);
    // Binlogs that nobody but the server can read.
    let unread = |uptime| {
        Past::of(idle(Product::Mysql84)).with(|past| {
            let own = &mut past.fact().files[0];
            (own.head, own.prefix, own.problem) = (None, None, Some("permission denied".into()));
            past.server().uptime = uptime;
        })
    };
    assert!(unread(Some(700)).proof().ends_with("and was not started anew since then"));
    assert!(matches!(unread(Some(10)).unproven(), Unproven::Unread { problem, .. } if problem == "permission denied"));
}

/// What a plan that was made so needs no more: the facts of a full are those of an incremental.
#[test]
fn the_full_in_its_place_is_of_the_chain_s_own_engine() {
    let past = Past::of(idle(Product::Mariadb)).with(|past| past.fact().files[0].size = 4);
    let plan = past.plan();
    assert!(matches!(&plan.summary, Summary::Backup { engine, .. } if engine == "mariadb-backup"));
    let facts: &Facts = &past.case.facts;
    assert!(facts.clone.is_none());
}

/// A link that is marked: what stands on it is passed over, and the next backup is a full.
#[test]
fn a_link_that_cannot_be_applied_ends_its_chain() {
    let mut past = Past::of(story(Product::Mariadb));
    let link = past.case.catalog.backups[1].ts();
    past.case.catalog.pass_over(link, "its tables took each other's names");
    let plan = past.plan();
    assert!(matches!(&plan.summary, Summary::Backup { id, .. } if id.starts_with("full_")), "{:?}", plan.reasons);
    let last = past.parent.ts();
    let said = format!(
        "a full is taken instead of an incremental: backup {link} cannot be applied; its tables took each other's names"
    );
    assert!(plan.warnings.contains(&said), "{:?}", plan.warnings);
    let named = BackupRequest::Incremental { base: Some(past.parent.id.root()), differential: false };
    let error = past.case.backup(&named).unwrap_err();
    let unusable =
        |backup| PlanError::UnusableLink { backup, link, reason: "its tables took each other's names".into() };
    assert_eq!(error, unusable(last));
    // A differential does not need it.
    let differential = BackupRequest::Incremental { base: None, differential: true };
    past.case.facts.past = None;
    assert!(past.case.backup(&differential).is_ok());
    for backup in past.case.catalog.backups.clone() {
        let whole = backup.id.base.is_none();
        assert_eq!(past.case.catalog.is_whole(backup.ts()), whole, "{}", backup.ts());
        assert_eq!(past.case.catalog.chain(backup.ts()).is_ok(), whole, "{}", backup.ts());
    }

    // A restore takes the full and more binlogs, and says so; one that names the link is refused.
    let plan = past.case.restore(&super::exact("04:41")).unwrap();
    assert_eq!(check(&plan), []);
    let text = super::text(&plan);
    assert!(text.contains("2025-10-02T03-00Z cannot be applied") || text.contains("passed over"), "{text}");
    let named = dbbak_core::plan::RestoreRequest { backup: Some(last), ..super::exact("04:41") };
    assert_eq!(past.case.restore(&named).unwrap_err(), unusable(last));
}

/// A restore behind the parent's end with its binlogs leaves the very logs, on pages that are others.
#[test]
fn restored_data_are_no_past_of_what_was_backed_up_before() {
    let mark = |number: u128| RestoredMark {
        version: 1,
        restore: Uuid::from_u128(number),
        at: "2025-10-02T05:00:00Z".parse().unwrap(),
    };
    let by = |number| Some(RestoredFact::By(mark(number)));
    let taken_of = |past: &mut Past, number: Option<u128>| {
        for backup in &mut past.case.catalog.backups {
            let server = backup.entry.server.get_or_insert_default();
            server.restored = number.map(Uuid::from_u128);
        }
    };
    for history in both() {
        let case = |then: Option<u128>, now: Option<RestoredFact>| {
            Past::of(history.clone()).with(|past| {
                taken_of(past, then);
                past.case.facts.restored = now;
            })
        };
        assert_eq!(case(None, by(1)).unproven(), Unproven::Restored { restore: mark(1).restore, at: mark(1).at });
        assert_eq!(case(Some(2), by(1)).unproven(), Unproven::Restored { restore: mark(1).restore, at: mark(1).at });
        let gone = case(Some(2), Some(RestoredFact::Never)).unproven();
        assert_eq!(gone, Unproven::NotThatRestored { restore: Uuid::from_u128(2) });
        let problem = "permission denied".to_owned();
        let unread = case(None, Some(RestoredFact::Unread { problem: problem.clone() })).unproven();
        assert_eq!(unread, Unproven::MarkUnread { problem });
        assert_eq!(case(None, None).unproven(), Unproven::NotLooked);
        // What was taken of the restored data goes on.
        assert!(case(Some(1), by(1)).proof().contains("the very bytes"));
        // Each backup notes whose data they are.
        let recorded = |plan: &Plan| {
            let record = plan.steps.iter().find_map(|step| match step {
                Step::RecordBackup(record) => Some(record.server.restored),
                _ => None,
            });
            record.unwrap()
        };
        assert_eq!(recorded(&case(None, by(1)).plan()), Some(Uuid::from_u128(1)));
        assert_eq!(recorded(&case(Some(1), by(1)).plan()), Some(Uuid::from_u128(1)));
        assert_eq!(recorded(&case(None, Some(RestoredFact::Never)).plan()), None);
    }
}
