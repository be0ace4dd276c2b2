//! Plans where something is encrypted: keys are asked for before anything is begun, and handed on where they are named.

use super::{Case, exact, story};
use dbbak_core::{
    config::EngineChoice,
    facts::{CloneFacts, Facts, OwnerFact, ServerFacts},
    plan::{BackupRequest, Plan, PlanError, PrivateServer, Step},
    store::{BackedUpServer, Encryption},
};
use dbbak_testkit::history::Product;
use std::path::PathBuf;

fn encryption(keyring: &str) -> Encryption {
    Encryption {
        tablespaces: 2,
        example: Some("shop/orders".into()),
        logs: vec!["redo".into()],
        keyring: Some(keyring.into()),
        ..Encryption::default()
    }
}

/// A history whose second incremental was taken of a server that encrypted.
fn case(product: Product, keyring: &str) -> Case {
    let mut case = Case::of(story(product));
    let backup = case.catalog.backups.iter_mut().max_by_key(|backup| backup.ts()).unwrap();
    let server: &mut BackedUpServer = backup.entry.server.as_mut().unwrap();
    server.encryption = Some(encryption(keyring));
    case
}

fn server_of(plan: &Plan) -> &PrivateServer {
    let replay = plan.steps.iter().find_map(|step| match step {
        Step::Replay(replay) => Some(&replay.server),
        _ => None,
    });
    replay.expect("a replay")
}

#[test]
fn a_restore_without_keys_is_refused() {
    let case = case(Product::Mysql84, "component_keyring_file");
    let error = case.restore(&exact("04:35")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "backup 2025-10-02T04-00Z is encrypted (2 tablespaces (one is shop/orders), the redo log), and the section server names \
         no keyring for a private server; its keys are kept by component_keyring_file"
    );
    // Before it nothing was encrypted.
    case.restore(&exact("03:40")).unwrap();
}

#[test]
fn keyring_files_lie_in_the_data_directory_while_a_server_runs() {
    let mut case = case(Product::Mysql84, "component_keyring_file");
    let files = ["/etc/dbbak/mysqld.my", "/etc/dbbak/component_keyring_file.cnf"].map(PathBuf::from);
    case.config.server.keyring_files = Some(files.to_vec());
    let plan = case.restore(&exact("04:35")).unwrap();
    let said = plan.reasons.iter().find(|reason| reason.starts_with("backup 2025-10-02T04-00Z is encrypted (2 "));
    assert!(said.is_some_and(|said| said.ends_with("private servers get what `server` says of the keys")), "{said:?}");
    let datadir = plan.datadir();
    let placed: Vec<_> = server_of(&plan).keyring.iter().map(|file| (file.from.clone(), file.to.clone())).collect();
    let wanted = files.map(|from| (from.clone(), datadir.join(from.file_name().unwrap())));
    assert_eq!(placed, wanted);
    // It works on a copy of the keyring, which it may write.
    let keys = datadir.with_file_name("keyring");
    assert!(server_of(&plan).keyring.iter().all(|file| file.keys.as_ref() == Some(&keys) && !file.read_only));
    // It is the new owner's with the data, where it stays.
    let mut request = exact("04:35");
    request.finish.owner = Some("mysql".parse().unwrap());
    let owned = |facts: &mut Facts| {
        facts.host.root = true;
        facts.owner = Some(Ok(OwnerFact { uid: 105, gid: 112 }));
    };
    let given = case.restore_where(&request, owned).unwrap();
    let given =
        given.steps.iter().find_map(|step| if let Step::MakeReady(ready) = step { ready.owner.clone() } else { None });
    assert_eq!(given.unwrap().trees.last(), Some(&keys));
    let shared = |plan: &Plan| {
        plan.warnings.iter().any(|warning| warning.contains("a server that runs on the same file can lose keys"))
    };
    assert!(!shared(&plan));
    // A prepare gets the component's configuration by an option, and no other file.
    let prepares: Vec<String> = plan
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::RunTool(run) => Some(run.launch.command.to_string()),
            _ => None,
        })
        .collect();
    assert!(!prepares.is_empty());
    for prepare in prepares {
        assert!(prepare.contains(" --component-keyring-config=/etc/dbbak/component_keyring_file.cnf"), "{prepare}");
        assert!(!prepare.contains("mysqld.my"), "{prepare}");
    }
    // Said twice, the operator's own word stands alone.
    case.config.extra_prepare_options = vec!["--component-keyring-config=/other.cnf".into()];
    let plan = format!("{:?}", case.restore(&exact("04:35")).unwrap());
    assert!(plan.contains("/other.cnf") && !plan.contains("--component-keyring-config=/etc"));
    // A keyring that is not copied is told of.
    case.config.server.keyring_files = Some(Vec::new());
    assert!(shared(&case.restore(&exact("04:35")).unwrap()));
    case.config.server.keyring_files = None;
    case.config.server.options = vec!["--keyring_file_data=/var/lib/keyring".into()];
    assert!(shared(&case.restore(&exact("04:35")).unwrap()));
}

#[test]
fn a_server_with_keys_encrypts_what_the_source_did() {
    let mut case = case(Product::Mariadb, "file_key_management");
    case.config.server.options =
        vec!["--plugin-load-add=file_key_management".into(), "--file-key-management-filename=/keys".into()];
    let settings = [("innodb_encrypt_tables", "FORCE"), ("innodb_encrypt_log", "ON"), ("encrypt_binlog", "ON")];
    let plan = case
        .restore_where(&exact("04:35"), |facts| {
            for stored in facts.stored.values_mut() {
                stored.variables.extend(settings.map(|(name, value)| (name.to_owned(), value.to_owned())));
            }
        })
        .unwrap();
    let command = server_of(&plan).launch.command.to_string();
    assert!(command.contains(" --loose-innodb-encrypt-tables=FORCE"), "{command}");
    assert!(command.contains(" --loose-innodb-encrypt-log=ON"), "{command}");
    // Its log is to be read.
    assert!(!command.contains("encrypt-binlog"), "{command}");
    assert!(command.contains(" --file-key-management-filename=/keys"), "{command}");
}

/// Backups that were taken before encryption was recorded: the settings that were kept with them tell.
#[test]
fn settings_tell_of_older_backups() {
    let case = Case::of(story(Product::Mariadb));
    for (name, value) in [("innodb_encrypt_tables", "ON"), ("innodb_encrypt_log", "ON"), ("aria_encrypt_tables", "ON")]
    {
        let refused = case.restore_where(&exact("04:35"), |facts| {
            for stored in facts.stored.values_mut() {
                stored.variables.insert(name.to_owned(), value.to_owned());
            }
        });
        assert!(matches!(refused, Err(PlanError::NoKeyring { .. })), "{name}: {refused:?}");
    }
    // A plugin alone encrypts nothing: it may be there for the binlogs, which are archived in the clear.
    let planned = case.restore_where(&exact("04:35"), |facts| {
        for stored in facts.stored.values_mut() {
            let plugin = "file_key_management=file_key_management";
            stored.settings.insert("plugin_load".to_owned(), plugin.to_owned());
        }
    });
    assert!(planned.is_ok(), "{planned:?}");
}

fn server(case: &mut Case) -> &mut ServerFacts {
    case.facts.server.as_mut().unwrap().as_mut().unwrap()
}

#[test]
fn a_clone_is_opened_with_the_keys() {
    let mut case = Case::of(story(Product::Mysql84));
    case.config.engine = EngineChoice::Clone;
    case.facts.clone =
        Some(CloneFacts { plugin: Some("ACTIVE".into()), uncloned: Vec::new(), ..CloneFacts::default() });
    server(&mut case).encryption = Some(encryption("component_keyring_file"));
    let error = case.backup(&BackupRequest::Full).unwrap_err();
    assert!(error.to_string().starts_with("the server is encrypted (2 tablespaces"), "{error}");
    case.config.server.keyring_files = Some(Vec::new());
    let plan = case.backup(&BackupRequest::Full).unwrap();
    case.config.server.keyring_files = Some(vec!["/etc/dbbak/component_keyring_file.cnf".into()]);
    let opened = serde_json::to_value(case.backup(&BackupRequest::Full).unwrap()).unwrap().to_string();
    assert!(opened.contains(r#""read_only":true"#), "{opened}");
    let recorded = plan.steps.iter().find_map(|step| match step {
        Step::RecordBackup(record) => record.server.encryption.clone(),
        _ => None,
    });
    assert_eq!(recorded, Some(encryption("component_keyring_file")));
    // A backup tool needs no server on the copy.
    case.config.server.keyring_files = None;
    case.config.engine = EngineChoice::Xtrabackup;
    case.backup(&BackupRequest::Full).unwrap();
}

/// mariadb-backup writes the plugin's variables into the backup; the survey has masked what is a secret.
#[test]
fn a_secret_that_a_tool_would_write_into_the_backup() {
    let mut case = Case::of(story(Product::Mariadb));
    let variable = "file_key_management_filekey";
    for (value, refused) in [("***", true), ("FILE:/etc/mysql/secret", false), ("", false)] {
        server(&mut case).variables.insert(variable.into(), value.into());
        let plan = case.backup(&BackupRequest::Full);
        assert_eq!(matches!(plan, Err(PlanError::KeyInTheClear { .. })), refused, "{value}: {plan:?}");
    }
}
