//! Plans of a replay, and the settings of the source that its statements depend on.

use super::{Case, exact, story};
use dbbak_core::{
    facts::Facts,
    plan::{Plan, Step, Summary},
};
use dbbak_testkit::history::Product;

fn plan_with(product: Product, settings: &[(&str, &str)]) -> Plan {
    let mut case = Case::of(story(product));
    case.config.server.time_zone = None;
    let known = |facts: &mut Facts| {
        for stored in facts.stored.values_mut() {
            stored.variables.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        }
    };
    case.restore_where(&exact("04:35"), known).unwrap()
}

fn options_of(plan: &Plan) -> String {
    let replay = plan.steps.iter().find_map(|step| match step {
        Step::Replay(replay) => Some(replay.server.launch.command.to_string()),
        _ => None,
    });
    replay.expect("a replay")
}

#[test]
fn statements_are_replayed_under_the_sources_settings() {
    let mariadb =
        [("old_mode", ""), ("innodb_strict_mode", "OFF"), ("sysdate_is_now", "ON"), ("aria_block_size", "4096")];
    let options = options_of(&plan_with(Product::Mariadb, &mariadb));
    for wanted in [
        " --loose-old-mode= ",
        " --loose-innodb-strict-mode=OFF ",
        " --loose-sysdate-is-now=ON ",
        " --aria-block-size=4096 ",
    ] {
        assert!(options.contains(wanted), "{wanted}: {options}");
    }
    let mysql =
        [("partial_revokes", "ON"), ("disabled_storage_engines", "MyISAM"), ("init_connect", "SET NAMES latin1")];
    let options = options_of(&plan_with(Product::Mysql84, &mysql));
    for wanted in [" --loose-partial-revokes=ON ", " --loose-disabled-storage-engines=MyISAM "] {
        assert!(options.contains(wanted), "{wanted}: {options}");
    }
    assert!(!options.contains("init-connect"), "{options}");
}

/// What a session had switched off for itself is in no log, and what was logged was not refused.
#[test]
fn nothing_that_was_logged_is_refused_for_a_setting_of_the_server() {
    let strict = [("innodb_strict_mode", "ON"), ("system_versioning_alter_history", "ERROR")];
    let options = options_of(&plan_with(Product::Mariadb, &strict));
    for wanted in [" --loose-innodb-strict-mode=OFF ", " --loose-system-versioning-alter-history=KEEP "] {
        assert!(options.contains(wanted), "{wanted}: {options}");
    }
    let strict = [("innodb_strict_mode", "ON"), ("restrict_fk_on_non_standard_key", "ON")];
    let options = options_of(&plan_with(Product::Mysql84, &strict));
    for wanted in [" --loose-innodb-strict-mode=OFF ", " --loose-restrict-fk-on-non-standard-key=OFF "] {
        assert!(options.contains(wanted), "{wanted}: {options}");
    }
}

#[test]
fn what_is_not_taken_over_is_told() {
    let settings = [("ft_stopword_file", "/etc/words"), ("a_new_setting", "1")];
    let warnings = plan_with(Product::Mariadb, &settings).warnings.join("\n");
    for wanted in ["ft_stopword_file = /etc/words", "does not know, and does not take over: a_new_setting"] {
        assert!(warnings.contains(wanted), "{wanted}: {warnings}");
    }
    let harmless =
        plan_with(Product::Mariadb, &[("ft_stopword_file", "(built-in)"), ("net_read_timeout", "30")]).warnings;
    assert!(!harmless.iter().any(|warning| warning.contains("the server")), "{harmless:?}");
}

/// The plan warns, and the report says it.
#[test]
fn what_no_log_tells_is_in_the_report() {
    let plan = plan_with(Product::Mariadb, &[("binlog_ignore_db", "logs,tmp")]);
    let Summary::Restore { report } = &plan.summary else { panic!("{:?}", plan.summary) };
    let wanted = "binlog_ignore_db = logs,tmp: changes of these databases are in no log";
    for said in [&plan.warnings, &report.not_in_log] {
        assert!(said.iter().any(|line| line.contains(wanted)), "{said:?}");
    }
}

/// DDL is a statement under ROW too.
#[test]
fn the_zone_of_the_sources_machine_is_told_for_rows_too() {
    for format in ["ROW", "MIXED", "STATEMENT"] {
        let settings = [("time_zone", "SYSTEM"), ("system_time_zone", "EST"), ("binlog_format", format)];
        let warnings = plan_with(Product::Mariadb, &settings).warnings.join("\n");
        assert!(warnings.contains("(EST)") && warnings.contains("server.time_zone"), "{format}: {warnings}");
    }
    for (zone, system) in [("SYSTEM", "UTC"), ("+05:00", "EST")] {
        let warnings = plan_with(Product::Mariadb, &[("time_zone", zone), ("system_time_zone", system)]).warnings;
        assert!(!warnings.iter().any(|warning| warning.contains("time zone")), "{warnings:?}");
    }
}

/// No backup holds the rows of a MEMORY table.
#[test]
fn memory_tables_are_named_before_a_replay() {
    let mut case = Case::of(story(Product::Mariadb));
    case.config.server.time_zone = None;
    let known = |facts: &mut Facts| {
        facts.stored.values_mut().for_each(|stored| stored.standing.memory = vec!["shop.quick".into()]);
    };
    let warnings = case.restore_where(&exact("04:35"), known).unwrap().warnings.join("\n");
    assert!(
        warnings.contains("tables of the engine MEMORY are empty in the backup") && warnings.contains("shop.quick"),
        "{warnings}"
    );
}
