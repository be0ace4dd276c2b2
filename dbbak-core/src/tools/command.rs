//! Holds a command as data: what to run, never the running of it.

use super::run_as::RunAs;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeMap};
use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

/// What is printed and serialised in the place of a secret.
pub const MASK: &str = "***";

/// A command as data: comparable, serialisable, printable.
///
/// It always carries `TZ=UTC` and `LC_ALL=C`: the tools read and print times in the local zone and translate their
/// messages otherwise. The variables are added to the inherited ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandSpec {
    /// The program: an absolute path, or a name to look up on `PATH`.
    pub program: PathBuf,
    /// The arguments, without the program.
    #[serde(default)]
    pub args: Vec<Arg>,
    /// Variables to set, never a secret.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The directory to run in; `None` for the caller's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<PathBuf>,
    /// What the command reads.
    #[serde(default)]
    pub stdin: Stdin,
    /// Whom it runs as; `None` for the caller's own user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as: Option<RunAs>,
}

/// What a command finds on its standard input.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stdin {
    /// Nothing: end of file at once.
    #[default]
    Null,
    /// A text that everybody may read.
    Text(String),
    /// What the caller writes while the command runs.
    Pipe,
}

/// One argument. Serialised as a string, or as `{"secret": "***"}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arg {
    /// A text that everybody may read.
    Plain(String),
    /// A text that only the executor may read.
    Secret(Secret),
}

/// A text that is printed and serialised as `***`.
///
/// Reading a serialised one back gives a secret without its text: such a command can be shown, not run.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    text: Option<String>,
}

/// A command that only reads: `--version`, `SELECT` or `SHOW`, a name looked up. A read-only `Probe` accepts nothing else.
///
/// It is made in `tools/` alone, and it cannot be deserialised, so that no plan or file can turn another command into one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct QueryCommand(CommandSpec);

/// A command that cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// Arguments are text in plans; a lossy copy of such a path would name another file.
    #[error("path is not UTF-8: {}", path.display())]
    PathNotUtf8 {
        /// The path as it was given.
        path: PathBuf,
    },
    /// The path is relative, so that what it names would depend on the working directory.
    #[error("path is not absolute: {}", path.display())]
    PathNotAbsolute {
        /// The path as it was given.
        path: PathBuf,
    },
    /// An extra option that dbbak sets itself, or that breaks what it relies on.
    #[error("option {option} is reserved: {reason}")]
    ReservedOption {
        /// The option as it was given, without its value.
        option: String,
        /// What it would break.
        reason: &'static str,
    },
    /// An extra argument that is no option.
    #[error("extra argument is no option: {text:?}")]
    NotAnOption {
        /// The argument as it was given.
        text: String,
    },
    /// A setting of the source leads out of the data directory, where another server's files may lie.
    #[error("{setting} leads outside the data directory: {}", path.display())]
    PathOutside {
        /// The setting.
        setting: String,
        /// The path that it names.
        path: PathBuf,
    },
    /// Sockets have short paths.
    #[error("socket path has {length} bytes, at most {limit} are possible: {}", path.display())]
    SocketPathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
        /// The greatest possible length.
        limit: usize,
    },
    /// A command that would do nothing.
    #[error("there is no {what}")]
    NothingToDo {
        /// What is absent.
        what: &'static str,
    },
    /// The tool of this version lacks what was asked for.
    #[error("{tool} has no {feature}")]
    Unsupported {
        /// The tool and its series.
        tool: String,
        /// What was asked for.
        feature: &'static str,
    },
}

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Secret { text: Some(text.into()) }
    }

    /// The text itself; `None` where it was lost on the way through a printed plan.
    pub fn expose(&self) -> Option<&str> {
        self.text.as_deref()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

impl<'de> Deserialize<'de> for Secret {
    /// Takes the mask alone: a file must not be able to carry a secret in.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        if text == MASK {
            Ok(Secret { text: None })
        } else {
            Err(de::Error::custom("a serialised secret is always masked"))
        }
    }
}

impl Arg {
    /// The text as it may be shown.
    pub fn masked(&self) -> &str {
        match self {
            Arg::Plain(text) => text,
            Arg::Secret(_) => MASK,
        }
    }
}

impl From<&str> for Arg {
    fn from(text: &str) -> Self {
        Arg::Plain(text.to_owned())
    }
}

impl From<String> for Arg {
    fn from(text: String) -> Self {
        Arg::Plain(text)
    }
}

impl From<Secret> for Arg {
    fn from(secret: Secret) -> Self {
        Arg::Secret(secret)
    }
}

impl Serialize for Arg {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Arg::Plain(text) => serializer.serialize_str(text),
            Arg::Secret(secret) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("secret", secret)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Arg {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ArgVisitor;

        impl<'de> de::Visitor<'de> for ArgVisitor {
            type Value = Arg;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, or a map with a masked secret")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Arg, E> {
                Ok(Arg::from(text))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Arg, A::Error> {
                match map.next_entry::<String, Secret>()? {
                    Some((key, secret)) if key == "secret" => Ok(Arg::Secret(secret)),
                    _ => Err(de::Error::missing_field("secret")),
                }
            }
        }

        deserializer.deserialize_any(ArgVisitor)
    }
}

impl CommandSpec {
    /// A command without arguments, that reads nothing.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        CommandSpec {
            program: program.into(),
            args: Vec::new(),
            env: BTreeMap::from([("LC_ALL".into(), "C".into()), ("TZ".into(), "UTC".into())]),
            cwd: None,
            stdin: Stdin::Null,
            run_as: None,
        }
    }

    /// Adds one argument.
    pub fn arg(mut self, arg: impl Into<Arg>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds several arguments.
    pub fn args<A: Into<Arg>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds `--name=value` as one argument; `name` comes with its dashes.
    pub fn option(self, name: &str, value: impl fmt::Display) -> Self {
        self.arg(format!("{name}={value}"))
    }

    /// Adds `--name=PATH` as one argument; `name` comes with its dashes.
    ///
    /// # Errors
    /// [`CommandError::PathNotUtf8`].
    pub fn path_option(self, name: &str, path: &Path) -> Result<Self, CommandError> {
        let value = utf8(path)?;
        Ok(self.option(name, value))
    }

    /// Adds a path as one argument.
    ///
    /// # Errors
    /// [`CommandError::PathNotUtf8`].
    pub fn path_arg(self, path: &Path) -> Result<Self, CommandError> {
        let value = utf8(path)?.to_owned();
        Ok(self.arg(value))
    }

    /// Sets one variable, never to a secret.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Sets the directory to run in.
    pub fn cwd(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cwd = Some(dir.into());
        self
    }

    /// Sets what the command reads.
    pub fn stdin(mut self, stdin: Stdin) -> Self {
        self.stdin = stdin;
        self
    }

    /// Sets whom it runs as.
    pub fn run_as(mut self, user: Option<RunAs>) -> Self {
        if let Some(dir) = user.as_ref().and_then(|user| user.tmpdir.to_str()) {
            self.env.insert("TMPDIR".into(), dir.into());
        }
        self.run_as = user;
        self
    }

    /// The arguments as they may be shown: secrets are masked.
    pub fn masked_args(&self) -> impl Iterator<Item = &str> {
        self.args.iter().map(Arg::masked)
    }
}

impl fmt::Display for CommandSpec {
    /// The line that does the same in a POSIX shell, secrets masked. The variables that every command carries, the
    /// directory and the input are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = self
            .env
            .iter()
            .filter(|(name, value)| !matches!((name.as_str(), value.as_str()), ("TZ", "UTC") | ("LC_ALL", "C")));
        for (name, value) in own {
            write!(f, "{name}={} ", shell_quoted(value))?;
        }
        f.write_str(&shell_quoted(&self.program.to_string_lossy()))?;
        for arg in &self.args {
            match arg {
                Arg::Plain(text) => write!(f, " {}", shell_quoted(text))?,
                Arg::Secret(_) => write!(f, " {MASK}")?,
            }
        }
        Ok(())
    }
}

impl QueryCommand {
    /// Marks a command as one that only reads.
    pub(in crate::tools) fn of(spec: CommandSpec) -> Self {
        QueryCommand(spec)
    }

    /// The command.
    pub fn spec(&self) -> &CommandSpec {
        &self.0
    }
}

/// Looks a name or a number up wherever the system keeps accounts (files, LDAP, systemd): `database` is `passwd` or `group`.
/// One line as in that file, and status 2 for what it does not know.
pub fn account_query(getent: &Path, database: &str, name: &str) -> QueryCommand {
    QueryCommand::of(CommandSpec::new(getent).args([database, "--", name]))
}

/// Asks whether the system lets this process have a mount namespace of its own, in which nothing is changed.
pub fn namespace_query(unshare: &Path) -> QueryCommand {
    QueryCommand::of(CommandSpec::new(unshare).args(["--mount", "--propagation", "private", "--", "true"]))
}

impl fmt::Display for QueryCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The command that prints a tool's version, for `tool::parse_version`. Option files are not read, so that a broken one
/// does not hide the tool.
pub fn version_query(program: &Path) -> QueryCommand {
    QueryCommand::of(CommandSpec::new(program).args(["--no-defaults", "--version"]))
}

/// The command that prints a tool's help, for [`parse_version`](super::parse_version) where the version does not tell the
/// vendor.
pub fn help_query(program: &Path) -> QueryCommand {
    QueryCommand::of(CommandSpec::new(program).args(["--no-defaults", "--help"]))
}

/// A text as one word of a POSIX shell, quoted only where it must be.
pub fn shell_quoted(text: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=/.,:@%+".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
    }
}

fn utf8(path: &Path) -> Result<&str, CommandError> {
    path.to_str().ok_or_else(|| CommandError::PathNotUtf8 { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_secret() -> CommandSpec {
        CommandSpec::new("/usr/bin/tool").arg("--user=x").arg(Secret::new("--password=hunter2"))
    }

    #[test]
    fn prints_a_line_that_a_shell_reads_back() {
        let spec =
            CommandSpec::new("/opt/my tools/x").arg("--plain=/a/b").option("--quoted", "it's").arg("").env("A", "b c");
        assert_eq!(spec.to_string(), r"A='b c' '/opt/my tools/x' --plain=/a/b '--quoted=it'\''s' ''");
        for special in ["~", "$x", "a b", "*", "{a,b}", "#x", "a\nb", "é", "a;b", "!x"] {
            assert!(shell_quoted(special).starts_with('\''), "{special}");
        }
    }

    #[test]
    fn shows_a_secret_nowhere() {
        let spec = with_secret();
        let shown = format!("{spec} {spec:?} {:?}", spec.masked_args().collect::<Vec<_>>());
        let json = serde_json::to_string(&spec).unwrap();
        assert!(!shown.contains("hunter2") && !json.contains("hunter2"), "{shown} {json}");
        assert!(json.contains(r#"{"secret":"***"}"#), "{json}");
        let Arg::Secret(secret) = &spec.args[1] else { panic!() };
        assert_eq!(secret.expose(), Some("--password=hunter2"));
    }

    #[test]
    fn round_trips_without_secrets_and_loses_secrets() {
        let spec =
            CommandSpec::new("/bin/mysql").args(["--a", "--b"]).cwd("/work").stdin(Stdin::Text("SELECT 1".into()));
        let json = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<CommandSpec>(&json).unwrap(), spec);

        let json = serde_json::to_string(&with_secret()).unwrap();
        let read: CommandSpec = serde_json::from_str(&json).unwrap();
        let Arg::Secret(secret) = &read.args[1] else { panic!() };
        assert_eq!(secret.expose(), None);
        assert!(serde_json::from_str::<CommandSpec>(&json.replace(MASK, "hunter2")).is_err());
    }

    #[test]
    fn always_runs_in_utc_and_in_the_c_locale() {
        let env = CommandSpec::new("x").env;
        assert_eq!(env.get("TZ").map(String::as_str), Some("UTC"));
        assert_eq!(env.get("LC_ALL").map(String::as_str), Some("C"));
    }

    #[test]
    fn refuses_a_path_that_is_no_text() {
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"/a/\xff"));
        assert_eq!(
            CommandSpec::new("x").path_option("--target-dir", path),
            Err(CommandError::PathNotUtf8 { path: path.to_owned() })
        );
    }
}
