//! Why there is no plan: one case for each reason.

mod backups;
mod binlogs;
mod world;

use super::{Case, exact, restore_to, story};
use dbbak_core::{
    facts::{Facts, ServerProblem},
    model::{Lsn, Target},
    plan::{BackupRequest, PlanError, RestoreRequest, ShipRequest},
    probe::{Filesystem, PathState},
    store::{Digest, PitrState},
    tools::{ToolRole, Version},
};
use dbbak_testkit::history::{DATADIR, History, Product, ROOT, SCRATCH, at};
use std::path::Path;

const INCREMENTAL: BackupRequest = BackupRequest::Incremental { base: None, differential: false };

fn mysql() -> History {
    story(Product::Mysql84)
}

/// What a restore of a history answers.
#[track_caller]
fn restore(history: History, request: &RestoreRequest, expected: &str) {
    refused(&Case::of(history).restore(request).unwrap_err(), expected);
}

#[track_caller]
fn refused(error: &PlanError, expected: &str) {
    assert_eq!(error.to_string(), expected);
}

/// What a restore to 4:41 answers when the facts are changed.
#[track_caller]
fn restore_where(change: impl FnOnce(&mut Facts), expected: &str) {
    refused(&Case::of(mysql()).restore_where(&exact("04:41"), change).unwrap_err(), expected);
}

/// What a backup answers when the facts are changed.
#[track_caller]
fn backup_where(request: &BackupRequest, change: impl FnOnce(&mut Facts), expected: &str) {
    let mut case = Case::of(mysql());
    change(&mut case.facts);
    refused(&case.backup(request).unwrap_err(), expected);
}
