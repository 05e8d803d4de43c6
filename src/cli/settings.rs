//! The config that is in force: the file, then the environment over it, then the flags.

use std::ffi::OsString;
use std::path::{Path, PathBuf, absolute};
use std::str::FromStr;
use std::{env, fs, io};

use standin::config::{
    self, Admin, Config, DEFAULT_UPSTREAM, Level, Listen, LogFormat, Mode, Problem, Spec, Upstream,
};
use standin::diagnostic::{Code, Diagnostic, Severity};

use super::flags::{Run, Sources};

/// Neither a config file nor a document was named or found.
const NOTHING_NAMED: Code = Code("SI0911");
/// A config file that can't be read.
const UNREADABLE: Code = Code("SI0912");

/// Where a config file is looked for that was not named.
const USUAL_FILES: [&str; 2] = ["standin.yaml", "config/standin.yaml"];

/// The part of the flags that settings are made of. Kept as long as the process runs, since each
/// reload reads the file anew under the same flags.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    config: Option<PathBuf>,
    specs: Vec<Given>,
    root: Option<Given>,
    upstream: Option<Given>,
    listen: Option<Given>,
    admin: Option<Given>,
    mode: Option<Given>,
    validate: Option<Given>,
    validate_response: Option<Given>,
    dynamic: Option<Given>,
    cors: Option<Given>,
    log: Option<Given>,
    log_level: Option<Given>,
}

/// A value, and the flag or variable that it came by.
#[derive(Debug, Clone, PartialEq)]
struct Given {
    by: &'static str,
    value: String,
}

impl From<Run> for Overrides {
    fn from(run: Run) -> Self {
        Overrides {
            upstream: given("--upstream", run.upstream),
            listen: given("--listen", run.listen),
            admin: given("--admin", run.admin),
            mode: given("--mode", run.mode),
            validate: given("--validate", run.validate),
            validate_response: given("--validate-response", run.validate_response),
            dynamic: given("--dynamic", run.dynamic),
            cors: given("--cors", run.cors),
            log: given("--log", run.log),
            log_level: given("--log-level", run.log_level),
            ..Overrides::from(run.sources)
        }
    }
}

impl From<Sources> for Overrides {
    fn from(sources: Sources) -> Self {
        let specs = sources.specs.into_iter().map(|value| Given { by: "--spec", value }).collect();
        let root = given("--root", sources.root);
        Overrides { config: sources.config, specs, root, ..Overrides::default() }
    }
}

/// The config under these flags and the process's environment, and the absolute path of the file
/// that was read, if one was.
///
/// # Errors
///
/// All that is wrong with flags, environment and file: exit 2.
pub fn read(flags: &Overrides) -> Result<(Config, Option<PathBuf>), Vec<Diagnostic>> {
    let folder = env::current_dir()
        .map_err(|error| vec![problem(UNREADABLE, format!("no working folder: {}", reason(&error)))])?;
    read_in(flags, &folder, &|name| env::var_os(name))
}

fn read_in(
    flags: &Overrides,
    folder: &Path,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Result<(Config, Option<PathBuf>), Vec<Diagnostic>> {
    let flags = flags.clone().or_environment(environment)?;
    let file = flags.file(folder)?;
    let text_of = |name: &str| environment(name).and_then(|value| value.into_string().ok());
    let (config, file) = match file {
        Some(file) => {
            let path = absolute(folder.join(&file)).map_err(|error| vec![unreadable(&file, &error)])?;
            (parse(&file, &path, &text_of), Some(path))
        }
        None => (Ok(Config::default()), None),
    };
    let (mut config, mut problems) = match config {
        Ok(config) => (config, Vec::new()),
        Err(problems) => (Config::default(), problems),
    };
    flags.apply(&mut config, folder, &mut problems);
    if problems.is_empty() { Ok((config, file)) } else { Err(problems) }
}

fn parse(
    file: &Path,
    path: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, Vec<Diagnostic>> {
    let text = fs::read_to_string(path).map_err(|error| vec![unreadable(file, &error)])?;
    let folder = path.parent().unwrap_or(path);
    config::parse(&file.display().to_string(), &text, environment, folder)
}

impl Overrides {
    /// The same, with the environment where no flag says anything. An empty variable is none.
    fn or_environment(
        mut self,
        environment: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let path = |name| environment(name).filter(|value| !value.is_empty());
        let mut problems = Vec::new();
        let mut text = |name: &'static str| {
            let value = path(name)?.into_string();
            value
                .map_err(|_| problems.push(problem(config::BAD_VALUE, format!("`{name}`: no UTF-8 text"))))
                .ok()
        };
        for (flag, name) in [
            (&mut self.root, "STANDIN_ROOT"),
            (&mut self.upstream, "STANDIN_UPSTREAM"),
            (&mut self.listen, "STANDIN_LISTEN"),
            (&mut self.admin, "STANDIN_ADMIN"),
            (&mut self.mode, "STANDIN_MODE"),
            (&mut self.validate, "STANDIN_VALIDATE"),
            (&mut self.validate_response, "STANDIN_VALIDATE_RESPONSE"),
            (&mut self.dynamic, "STANDIN_DYNAMIC"),
            (&mut self.cors, "STANDIN_CORS"),
            (&mut self.log, "STANDIN_LOG"),
            (&mut self.log_level, "STANDIN_LOG_LEVEL"),
        ] {
            if flag.is_none() {
                *flag = given(name, text(name));
            }
        }
        if self.specs.is_empty() {
            let by = "STANDIN_SPEC";
            let sources = text(by).unwrap_or_default();
            self.specs =
                config::sources(&sources).map(|source| Given { by, value: source.to_owned() }).collect();
        }
        self.config = self.config.or_else(|| path("STANDIN_CONFIG").map(PathBuf::from));
        if problems.is_empty() { Ok(self) } else { Err(problems) }
    }

    /// The config file to read. A document alone needs none, so none is looked for.
    fn file(&self, folder: &Path) -> Result<Option<PathBuf>, Vec<Diagnostic>> {
        if self.config.is_some() || !self.specs.is_empty() {
            return Ok(self.config.clone());
        }
        match USUAL_FILES.iter().find(|file| folder.join(file).exists()) {
            Some(file) => Ok(Some(file.into())),
            None => Err(vec![
                problem(NOTHING_NAMED, "no config file and no document".to_owned()).hint(
                    "name one with `-c FILE` or `--spec SOURCE`, or put a `standin.yaml` here; `standin demo` needs neither",
                ),
            ]),
        }
    }

    fn apply(&self, config: &mut Config, folder: &Path, problems: &mut Vec<Diagnostic>) {
        let file_is_good = problems.is_empty();
        if !self.specs.is_empty() {
            config.specs = self.specs.iter().filter_map(|given| given.spec(folder, problems)).collect();
        }
        if let Some(root) = read_given(&self.root, |text| config::root(text, folder), problems) {
            config.specs.iter_mut().for_each(|spec| spec.root = Some(root.clone()));
        }
        if let Some(server) = read_given(&self.upstream, |text| config::server(text, folder), problems) {
            let upstream =
                config.upstreams.entry(DEFAULT_UPSTREAM.into()).or_insert_with(|| Upstream::new(Vec::new()));
            upstream.servers = vec![server];
        }
        if let Some(address) = read_given(&self.listen, |text| config::listen(text, folder), problems) {
            config.listen = vec![Listen { address, tls: None, h2c: false }];
        }
        // With the token that the file has, which is not known of a file with problems.
        let token = config.admin.token.clone();
        let admin = |text: &str| {
            let admin = Admin { address: Admin::address(text)?, token, ..Admin::default() };
            if file_is_good {
                admin.check()?;
            }
            Ok(admin.address)
        };
        if let Some(address) = read_given(&self.admin, admin, problems) {
            config.admin.address = address;
        }
        if let Some(mode) = read_given(&self.mode, Mode::from_str, problems) {
            config.mode = mode;
        }
        if let Some(level) = read_given(&self.validate, Level::from_str, problems) {
            config.validate.request = level;
            config.validate.security = level;
        }
        if let Some(level) = read_given(&self.validate_response, Level::from_str, problems) {
            config.validate.response = level;
        }
        if let Some(dynamic) = read_given(&self.dynamic, config::switch, problems) {
            config.dynamic = dynamic;
        }
        if let Some(cors) = read_given(&self.cors, config::switch, problems) {
            config.cors = cors;
        }
        if let Some(format) = read_given(&self.log, LogFormat::from_str, problems) {
            config.log.format = format;
        }
        if let Some(level) = read_given(&self.log_level, config::level, problems) {
            config.log.level = level;
        }
    }
}

impl Given {
    fn spec(&self, folder: &Path, problems: &mut Vec<Diagnostic>) -> Option<Spec> {
        let source = self.read(|text| config::source(text, folder), problems)?;
        Some(Spec::new(source))
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&str) -> Result<T, Problem>,
        problems: &mut Vec<Diagnostic>,
    ) -> Option<T> {
        read(&self.value).map_err(|problem| problems.push(problem.of(self.by))).ok()
    }
}

fn given(by: &'static str, value: Option<String>) -> Option<Given> {
    value.map(|value| Given { by, value })
}

fn read_given<T>(
    given: &Option<Given>,
    read: impl FnOnce(&str) -> Result<T, Problem>,
    problems: &mut Vec<Diagnostic>,
) -> Option<T> {
    given.as_ref()?.read(read, problems)
}

fn unreadable(file: &Path, error: &io::Error) -> Diagnostic {
    problem(UNREADABLE, format!("can't read the config file `{}`: {}", file.display(), reason(error)))
}

/// In words, without the number that `io::Error` adds.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".into(),
        io::ErrorKind::InvalidData => "it is no UTF-8 text".into(),
        io::ErrorKind::IsADirectory => "it is a folder".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        _ => error.to_string(),
    }
}

fn problem(code: Code, message: String) -> Diagnostic {
    Diagnostic::new(Severity::Error, code, message)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::flags::{Command, Flags};
    use super::*;

    const FILE: &str = "\
mode: pass
listen: :1
specs: [{source: a.yaml}]
upstreams: {default: {servers: ['http://old'], connect_timeout: 9s}}
";

    /// A folder with `standin.yaml`, flags as typed, and variables as `NAME=value`.
    fn read_with(file: Option<&str>, flags: &str, variables: &[&str]) -> Result<Config, String> {
        let folder = tempfile::tempdir().expect("a folder");
        if let Some(text) = file {
            fs::write(folder.path().join("standin.yaml"), text).expect("to write");
        }
        let line = ["standin", "run"].into_iter().chain(flags.split_whitespace());
        let Command::Run(run) = Flags::try_parse_from(line).expect("good flags").command else {
            unreachable!()
        };
        let environment = |name: &str| {
            let value = variables.iter().find_map(|variable| variable.strip_prefix(name)?.strip_prefix('='));
            value.map(OsString::from)
        };
        let read = read_in(&(*run).into(), folder.path(), &environment);
        let lines = |problems: Vec<Diagnostic>| {
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        let here = format!("{}/", folder.path().display());
        read.map(|(mut config, _)| {
            let below = |path: &Path| PathBuf::from(path.to_string_lossy().replace(&here, ""));
            for spec in &mut config.specs {
                if let config::Source::Path(path) = &mut spec.source {
                    *path = below(path);
                }
                spec.root = spec.root.as_deref().map(below);
            }
            config
        })
        .map_err(lines)
    }

    fn sources(config: &Config) -> Vec<String> {
        config.specs.iter().map(|spec| spec.source.to_string()).collect()
    }

    #[track_caller]
    fn refuse(file: Option<&str>, flags: &str, variables: &[&str], expected: &str) {
        assert_eq!(read_with(file, flags, variables).expect_err("should be refused"), expected);
    }

    #[test]
    fn flags_win_over_environment_over_file() {
        let config =
            |flags, variables: &[&str]| read_with(Some(FILE), flags, variables).expect("a good config");
        assert_eq!(config("", &[]).listen, [Listen::plain("0.0.0.0:1")]);
        assert_eq!(config("", &["STANDIN_LISTEN=:2"]).listen, [Listen::plain("0.0.0.0:2")]);
        assert_eq!(config("--listen :3", &["STANDIN_LISTEN=:2"]).listen, [Listen::plain("0.0.0.0:3")]);
        assert_eq!(config("", &["STANDIN_MODE=mock"]).mode, Mode::Mock);
        assert_eq!(
            config("--log json", &["STANDIN_LOG_LEVEL=warn"]).log,
            config::Log { format: LogFormat::Json, level: "warn".into() }
        );
        assert_eq!(config("--admin off", &[]).admin.address, None);
        let levels = |config: Config| (config.validate.request, config.validate.security);
        assert_eq!(levels(config("--validate enforce", &[])), (Level::Enforce, Level::Enforce));
        assert_eq!(
            config("", &["STANDIN_VALIDATE_RESPONSE=report"]).validate,
            config::Validate { response: Level::Report, ..config::Validate::default() }
        );
        let dynamic = config("--dynamic --cors off", &["STANDIN_DYNAMIC=off"]);
        assert!(dynamic.dynamic && !dynamic.cors);
    }

    #[test]
    fn an_empty_variable_is_none_and_others_are_ignored() {
        let config = read_with(Some(FILE), "", &["STANDIN_LISTEN=", "STANDIN_SPEC=", "STANDIN_THREADS=x"])
            .expect("a good config");
        assert_eq!(config.listen, [Listen::plain("0.0.0.0:1")]);
        assert_eq!(sources(&config), ["a.yaml"]);
    }

    #[test]
    fn a_spec_flag_replaces_those_of_the_file() {
        let config = read_with(Some(FILE), "-c standin.yaml --spec b --spec c", &["STANDIN_SPEC=d"])
            .expect("a good config");
        assert_eq!(sources(&config), ["b", "c"]);
        assert_eq!(config.mode, Mode::Pass);

        let config = read_with(None, "", &["STANDIN_SPEC=d, e"]).expect("a good config");
        assert_eq!(sources(&config), ["d", "e"]);
    }

    #[test]
    fn a_root_flag_is_for_every_document() {
        let file = Some("specs: [{source: a, root: b}, {source: c}]");
        let roots = |flags, variables: &[&str]| {
            let config = read_with(file, flags, variables).expect("a good config");
            config.specs.into_iter().map(|spec| spec.root).collect::<Vec<_>>()
        };
        assert_eq!(roots("", &[]), [Some("b".into()), None]);
        assert_eq!(roots("", &["STANDIN_ROOT=d"]), [Some("d".into()), Some("d".into())]);
        assert_eq!(roots("--root /e", &["STANDIN_ROOT=d"]), [Some("/e".into()), Some("/e".into())]);
    }

    #[test]
    fn with_a_spec_alone_no_file_is_looked_for() {
        let config = read_with(Some("not: [good"), "--spec b", &[]).expect("a good config");
        assert_eq!(config.mode, Mode::Mock);
    }

    #[test]
    fn an_upstream_flag_replaces_the_servers_and_keeps_the_rest() {
        let config = read_with(Some(FILE), "--upstream https://new", &[]).expect("a good config");
        let upstream = &config.upstreams[DEFAULT_UPSTREAM];
        assert_eq!(upstream.servers, [config::server("https://new", Path::new("/")).expect("a server")]);
        assert_eq!(upstream.connect_timeout.as_secs(), 9);

        let config = read_with(None, "--spec a --upstream http://new", &[]).expect("a good config");
        assert_eq!(config.upstreams.len(), 1);
    }

    #[test]
    fn a_wrong_value_names_its_flag_or_variable() {
        refuse(
            Some(FILE),
            "--upstream api:80 --admin nowhere --mode mokc",
            &["STANDIN_LOG=xml"],
            "`--upstream`: `api:80` has no scheme; write `http://api:80`\n\
             `--admin`: `nowhere` has no port; write `host:port`, `:8080` or `8080`\n\
             `--mode`: unknown value `mokc`; did you mean `mock`?\n\
             `STANDIN_LOG`: unknown value `xml`; there are `text`, `json`",
        );
    }

    #[test]
    fn problems_of_file_and_flags_are_told_together() {
        refuse(
            Some("overides: true"),
            "--log-level inof",
            &[],
            "standin.yaml:1:1: unknown key `overides`; did you mean `overrides`?\n\
             `--log-level`: `inof` is no log level; did you mean `info`?",
        );
    }

    #[test]
    fn an_admin_port_past_loopback_needs_a_token_from_a_flag_too() {
        refuse(
            None,
            "--spec a --admin :9900",
            &[],
            "`--admin`: `0.0.0.0:9900` can be reached by others and has no token; set `admin.token`, or listen on 127.0.0.1",
        );
        read_with(Some("admin: {token: secret}"), "--admin :9900", &[]).expect("a good config");
        let broken = "admin: {token: secret}\nmode: x";
        let expected =
            "standin.yaml:2:7: `mode`: unknown value `x`; there are `mock`, `match`, `fallback`, `pass`";
        refuse(Some(broken), "--admin :9900", &[], expected);
    }

    #[test]
    fn nothing_named_and_nothing_found_is_a_usage_error() {
        refuse(
            None,
            "--upstream http://a",
            &[],
            "no config file and no document; name one with `-c FILE` or `--spec SOURCE`, or put a `standin.yaml` here; `standin demo` needs neither",
        );
    }

    #[test]
    fn a_file_that_is_not_there_is_said_so() {
        refuse(
            Some(FILE),
            "-c gone.yaml",
            &[],
            "can't read the config file `gone.yaml`: there is no such file",
        );
        refuse(None, "", &["STANDIN_CONFIG=."], "can't read the config file `.`: it is a folder");
    }

    #[test]
    fn the_usual_files_are_found_and_their_folder_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("config")).expect("to create");
        let file = folder.path().join("config/standin.yaml");
        fs::write(&file, FILE).expect("to write");
        let (config, read) = read_in(&Overrides::default(), folder.path(), &|_| None).expect("a good config");
        assert_eq!(read.as_deref(), Some(file.as_path()));
        assert_eq!(config.specs[0].source, config::Source::Path(folder.path().join("config/a.yaml")));
    }

    #[test]
    fn variables_of_the_file_come_from_the_same_environment() {
        let config = read_with(Some("listen: 127.0.0.1:${PORT:-1}\nspecs: []"), "", &["PORT=8081"])
            .expect("a good config");
        assert_eq!(config.listen, [Listen::plain("127.0.0.1:8081")]);
    }
}
