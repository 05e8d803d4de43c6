//! The shape of the code, kept: what `lib.rs`, `main.rs` and the `mod.rs` files say is the architecture.
//!
//! **Order.** A module uses only modules that are declared below it. Where a module M names a module
//! T (by `crate::`, `super::` or `self::`, or through what a module on that way imports or
//! re-exports), they part ways at their nearest common ancestor, and there the child that leads to M
//! is declared above the child that leads to T. So a module may use everything that its ancestors
//! declare below the branch that it is on. What is on M's own line is free to it: its descendants,
//! and the items that an ancestor defines itself. The library lies below the command line.
//!
//! **Purity.** The core does no IO, reads no clock, awaits nothing and logs nothing.
//!
//! **Doors.** Each outside crate that could spread is named in one place.
//!
//! **No way out.** Nothing outside tests is unsafe, unfinished, or panics on purpose.
//!
//! Comments, strings and `mod tests` do not count, nor do modules that are declared `#[cfg(test)]`.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

#[test]
fn a_module_uses_only_modules_declared_below_it() {
    let mut wrong = Vec::new();
    for crate_ in [Crate::read("lib.rs"), Crate::read("main.rs")] {
        for (name, module) in &crate_.modules {
            for path in module.paths() {
                let Some(used) = crate_.resolve(name, &path, 0) else { continue };
                if !crate_.may_use(name, &used) {
                    wrong.push(format!("{} uses {}", name.join("::"), used.join("::")));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "declared above what uses them, or beside it");
}

#[test]
fn the_core_does_no_io_reads_no_clock_and_does_not_log() {
    const CORE: [&str; 5] = ["mock", "spec", "config", "tree", "diagnostic"];
    const CRATES: [&str; 6] = ["pingora", "tokio", "reqwest", "prometheus", "tracing", "async_trait"];
    const STD: [&str; 8] =
        ["fs", "env", "process", "thread", "net::Tcp", "net::Udp", "os::unix::net", "io::std"];
    let mut wrong = Vec::new();
    for (name, module) in Crate::read("lib.rs").modules {
        if !name.first().is_some_and(|first| CORE.contains(&first.as_str())) {
            continue;
        }
        let code = &module.code;
        let crates = CRATES.iter().filter(|name| names(code, name)).map(|name| (*name).to_owned());
        let std = expanded(code, &["std"]).into_iter().map(|path| path[1..].join("::"));
        let std = std.filter(|path| STD.iter().any(|banned| path.starts_with(banned)));
        let clocks = code.contains("::now(").then(|| "a clock's now()".to_owned());
        let chance = code.contains("Rng::new(").then(|| "chance without a seed".to_owned());
        let found = crates.chain(std).chain(clocks).chain(chance);
        wrong.extend(found.map(|found| format!("{}: {found}", name.join("::"))));
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn each_outside_crate_has_one_door() {
    const DOORS: [(&str, &[&str]); 12] = [
        ("arc_swap", &["server/live.rs"]),
        ("reqwest", &["server/fetch.rs"]),
        ("granit_parser", &["tree/"]),
        ("globset", &["config/source.rs"]),
        ("prometheus", &["server/metrics.rs"]),
        ("notify", &["server/watch.rs"]),
        ("annotate_snippets", &["cli/"]),
        ("jsonschema", &["mock/schema.rs"]),
        ("fake", &["mock/generate/realistic.rs"]),
        ("roxmltree", &["mock/xml.rs"]),
        ("clap", &["cli/", "main.rs"]),
        ("flate2", &["server/intercept/drift.rs"]),
    ];
    let mut wrong = Vec::new();
    for module in all() {
        for (name, doors) in DOORS {
            if names(&module.code, name) && !doors.iter().any(|door| module.file.starts_with(door)) {
                wrong.push(format!("{} names {name}, which is for {}", module.file, doors.join(" and ")));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn nothing_is_unsafe_unfinished_or_panics_on_purpose() {
    const BANNED: [&str; 7] =
        ["unsafe", "todo!", "unimplemented!", "dbg!", "panic!", ".unwrap()", ".unwrap_err()"];
    let mut wrong = Vec::new();
    for module in all() {
        let found = BANNED.iter().filter(|word| starts(&module.code, word).next().is_some());
        wrong.extend(found.map(|word| format!("{}: {word}", module.file)));
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// A module's name from its crate's root, which has none.
type Name = Vec<String>;

struct Crate {
    modules: BTreeMap<Name, Module>,
}

struct Module {
    /// Below `src`.
    file: String,
    /// Without comments, the insides of strings, and tests.
    code: String,
    /// In the order of declaration.
    children: Vec<String>,
    /// What its `use` declarations bring in, by the name that it has there.
    imports: HashMap<String, Vec<String>>,
}

impl Crate {
    fn read(root: &str) -> Crate {
        let mut modules = BTreeMap::new();
        let mut open = vec![(Name::new(), PathBuf::from(root))];
        while let Some((name, file)) = open.pop() {
            let module = Module::read(&file);
            for child in &module.children {
                let name: Name = [name.as_slice(), std::slice::from_ref(child)].concat();
                let path: PathBuf = name.iter().collect();
                let folder = path.join("mod.rs");
                let file = if source(&folder).is_file() { folder } else { path.with_extension("rs") };
                open.push((name, file));
            }
            modules.insert(name, module);
        }
        Crate { modules }
    }

    /// The module that a path leads to; none where it leads out of the crate.
    fn resolve(&self, from: &[String], path: &[String], depth: usize) -> Option<Name> {
        let mut at = match path.first()?.as_str() {
            "crate" => Name::new(),
            "self" => from.to_vec(),
            "super" => from[..from.len().checked_sub(1)?].to_vec(),
            child if self.modules.get(from)?.children.iter().any(|known| known == child) => {
                [from, &path[..1]].concat()
            }
            _ => return None,
        };
        for (number, segment) in path.iter().enumerate().skip(1) {
            let next = [at.as_slice(), std::slice::from_ref(segment)].concat();
            match segment.as_str() {
                "super" => at.truncate(at.len().checked_sub(1)?),
                _ if self.modules.contains_key(&next) => at = next,
                // An import may lead on to where the item is; a name of its own ends the way.
                _ => match self.modules[&at].imports.get(segment) {
                    Some(import) if depth < 8 => {
                        let path = [import, &path[number + 1..]].concat();
                        return self.resolve(&at, &path, depth + 1);
                    }
                    _ => return Some(at),
                },
            }
        }
        Some(at)
    }

    fn may_use(&self, user: &[String], used: &[String]) -> bool {
        let shared = user.iter().zip(used).take_while(|(one, other)| one == other).count();
        let (Some(user_branch), Some(used_branch)) = (user.get(shared), used.get(shared)) else {
            return true;
        };
        let children = &self.modules[&user[..shared]].children;
        let place = |branch| children.iter().position(|child| child == branch);
        place(user_branch) < place(used_branch)
    }
}

impl Module {
    fn read(file: &Path) -> Module {
        let text = std::fs::read_to_string(source(file)).expect("a declared module has a file");
        let code = code_of(&text);
        let mut children = Vec::new();
        let mut for_tests = false;
        for line in code.lines().map(str::trim) {
            let child = line.strip_suffix(';').and_then(|line| match line.split_once("mod ") {
                Some((visibility, name)) if visibility.is_empty() || visibility.starts_with("pub") => {
                    Some(name)
                }
                _ => None,
            });
            children.extend(child.filter(|_| !for_tests).map(str::to_owned));
            for_tests = line == "#[cfg(test)]";
        }
        let imported = expanded(&code, &["use"]).into_iter().map(|path| path[1..].to_vec());
        let imports = imported.filter_map(|path| Some((path.last()?.clone(), path))).collect();
        Module { file: file.to_string_lossy().into_owned(), code, children, imports }
    }

    fn paths(&self) -> Vec<Vec<String>> {
        expanded(&self.code, &["crate", "super", "self"])
    }
}

/// Every module of both crates.
fn all() -> Vec<Module> {
    ["lib.rs", "main.rs"].into_iter().flat_map(|root| Crate::read(root).modules.into_values()).collect()
}

fn source(file: &Path) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file)
}

/// Whether code names an outside crate: in a path, or alone in an import.
fn names(code: &str, name: &str) -> bool {
    starts(code, name)
        .any(|at| code[at + name.len()..].starts_with("::") || code[..at].trim_end().ends_with("use"))
}

/// Where a word stands in code, as a word of its own.
fn starts<'c>(code: &'c str, word: &'c str) -> impl Iterator<Item = usize> + 'c {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let begins = !word.starts_with(inside) || !code[..at].ends_with(inside);
        begins && (!word.ends_with(inside) || !code[at + word.len()..].starts_with(inside))
    })
}

/// Every path that begins with one of these words, `{a, b}` taken apart; a `use` is a word of its path.
fn expanded(code: &str, first: &[&str]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for word in first {
        for at in starts(code, word) {
            let rest = &code[at + word.len()..];
            if let Some(rest) = rest.strip_prefix(if *word == "use" { " " } else { "::" })
                && !code[..at].ends_with("::")
            {
                expand(rest, vec![(*word).to_owned()], &mut found);
            }
        }
    }
    found
}

/// Takes one path, or what is in its braces, and gives what is after it.
fn expand<'c>(code: &'c str, mut path: Vec<String>, found: &mut Vec<Vec<String>>) -> &'c str {
    let mut rest = code.trim_start();
    if let Some(mut inside) = rest.strip_prefix('{') {
        while !inside.trim_start().starts_with('}') && !inside.is_empty() {
            inside = expand(inside, path.clone(), found).trim_start();
            inside = inside.strip_prefix(',').unwrap_or(inside);
        }
        return inside.trim_start().strip_prefix('}').unwrap_or("");
    }
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    let (segment, after) = rest.split_at(end);
    match segment {
        "self" if path.len() > 1 => {}
        "" => {}
        segment => path.push(segment.to_owned()),
    }
    rest = after;
    if let Some(rest) = rest.strip_prefix("::") {
        return expand(rest, path, found);
    }
    found.push(path);
    // `as name`, `*` and the like end at the list's next comma or brace.
    rest.find([',', '}', ';']).map_or("", |end| &rest[end..])
}

/// Code as it counts here: no comments, no insides of strings, nothing from `mod tests {` on.
fn code_of(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let raw = rest.strip_prefix('r').map(|rest| rest.trim_start_matches('#'));
        let word = code.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if raw.is_some_and(|raw| raw.starts_with('"')) && !word {
            let hashes = rest.len() - raw.map_or(0, str::len) - 1;
            let (open, close) = (hashes + 2, format!("\"{}", "#".repeat(hashes)));
            rest[open..].find(&close).map_or(rest.len(), |end| open + end + close.len())
        } else if first == '"' {
            let mut escaped = false;
            let end = rest[1..].find(|c: char| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            end.map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\''") {
            rest[2..].find('\'').map_or(rest.len(), |end| end + 3 + usize::from(rest.starts_with("'\\''")))
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        rest = &rest[skipped..];
    }
    code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned()
}
