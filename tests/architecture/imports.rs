//! The imports between the source files of the crate: a tokenizer and a name resolver that know
//! just enough Rust.
//!
//! Every `use` declaration and every other path that starts with `crate`, `self` or `super` is
//! resolved to the file that defines the name, through re-exports. Comments, strings and modules
//! named `tests` do not count. Not seen: names from globs of other crates, and paths made by
//! macros.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A module path inside the crate, without `crate`.
pub type ModulePath = Vec<String>;

/// The crate's source files and the paths in them.
pub struct Sources {
    files: BTreeMap<ModulePath, SourceFile>,
}

struct SourceFile {
    path: PathBuf,
    /// Absolute paths that the code mentions.
    mentions: BTreeSet<ModulePath>,
    /// Names that `use` declarations bring into the module, and what they stand for.
    imported: BTreeMap<String, ModulePath>,
    /// Modules whose names are all imported.
    globs: Vec<ModulePath>,
    /// Names that the file defines.
    defined: BTreeSet<String>,
}

impl Sources {
    /// Reads the files below `root`, the folder of `lib.rs`.
    pub fn read(root: &Path) -> Self {
        let files = rust_files(root).into_iter().map(|path| {
            let text = std::fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let relative = path.strip_prefix(root).expect("a file below the root");
            (relative.to_owned(), text)
        });
        Self::new(files)
    }

    /// From files' paths relative to the folder of `lib.rs`, and their texts. `main.rs` is another
    /// crate, and files named `tests.rs` are test modules.
    pub fn new(files: impl IntoIterator<Item = (PathBuf, String)>) -> Self {
        let mut sources = Self {
            files: BTreeMap::new(),
        };
        for (path, text) in files {
            let module = module_of(&path);
            if path != Path::new("main.rs") && !module.iter().any(|name| name == "tests") {
                let file = Parser::parse(path, module.clone(), &text);
                sources.files.insert(module, file);
            }
        }
        sources
    }

    /// For each file, the other files that it imports from.
    pub fn imports(&self) -> BTreeMap<&Path, BTreeSet<&Path>> {
        let graph = self.files.values().map(|file| {
            let targets = file.mentions.iter().map(|path| self.resolve(path, 8));
            let others = targets.filter(|target| *target != file.path);
            (file.path.as_path(), others.collect())
        });
        graph.collect()
    }

    /// The file that defines the name at the end of an absolute path. `depth` limits the
    /// re-exports that are followed.
    fn resolve(&self, path: &[String], depth: usize) -> &Path {
        let mut module = ModulePath::new();
        for (index, name) in path.iter().enumerate() {
            module.push(name.clone());
            if self.files.contains_key(&module) {
                continue;
            }
            module.pop();
            let file = &self.files[&module];
            if depth == 0 || file.defined.contains(name) {
                return &file.path;
            }
            let rest = &path[index + 1..];
            if let Some(target) = file.imported.get(name)
                && target[..] != path[..=index]
            {
                return self.resolve(&[target, rest].concat(), depth - 1);
            }
            for glob in &file.globs {
                if self.defines(glob, name) {
                    return self.resolve(&[glob, &path[index..]].concat(), depth - 1);
                }
            }
            return &file.path;
        }
        &self.files[&module].path
    }

    fn defines(&self, module: &[String], name: &str) -> bool {
        self.files
            .get(module)
            .is_some_and(|file| file.defined.contains(name) || file.imported.contains_key(name))
    }
}

/// Groups of files that import one another in a circle. Imports between a module and those inside
/// it do not count.
pub fn circles(imports: &BTreeMap<&Path, BTreeSet<&Path>>) -> Vec<BTreeSet<PathBuf>> {
    let reachable: BTreeMap<&Path, BTreeSet<&Path>> = imports
        .keys()
        .map(|&start| {
            let mut found = BTreeSet::new();
            let mut pending = vec![start];
            while let Some(file) = pending.pop() {
                for &next in imports.get(file).into_iter().flatten() {
                    if !are_nested(file, next) && found.insert(next) {
                        pending.push(next);
                    }
                }
            }
            (start, found)
        })
        .collect();
    let mut circles = BTreeSet::new();
    for (&file, others) in &reachable {
        let members = others
            .iter()
            .filter(|other| reachable[**other].contains(file));
        let circle: BTreeSet<PathBuf> = members.map(|&member| member.to_owned()).collect();
        if !circle.is_empty() {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

/// Whether one file's module is inside the other's.
fn are_nested(a: &Path, b: &Path) -> bool {
    let (a, b) = (module_of(a), module_of(b));
    a.starts_with(&b) || b.starts_with(&a)
}

/// The module of a file, given relative to the folder of `lib.rs`.
fn module_of(path: &Path) -> ModulePath {
    let mut module: ModulePath = path
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if module
        .last()
        .is_some_and(|name| name == "mod" || name == "lib")
    {
        module.pop();
    }
    module
}

/// The Rust files below a folder, or the file itself.
pub fn rust_files(path: &Path) -> Vec<PathBuf> {
    let mut pending = vec![path.to_owned()];
    let mut files = Vec::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            pending.extend(
                entries.map(|entry| entry.unwrap_or_else(|error| panic!("{error}")).path()),
            );
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// Identifiers, and every other character that is not white space, a comment or a literal.
fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let starts = |at: usize, pattern: &str| {
        pattern
            .chars()
            .enumerate()
            .all(|(offset, c)| chars.get(at + offset) == Some(&c))
    };
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        if starts(at, "//") {
            while at < chars.len() && chars[at] != '\n' {
                at += 1;
            }
        } else if starts(at, "/*") {
            at += 2;
            while at < chars.len() && !starts(at, "*/") {
                at += 1;
            }
            at += 2;
        } else if c == '"' {
            at = string_end(&chars, at);
        } else if c == '\'' {
            // A lifetime has no closing quote.
            if chars.get(at + 1) == Some(&'\\') {
                at += 3;
                while at < chars.len() && chars[at] != '\'' {
                    at += 1;
                }
                at += 1;
            } else if chars.get(at + 2) == Some(&'\'') {
                at += 3;
            } else {
                at += 1;
            }
        } else if c.is_alphanumeric() || c == '_' {
            let start = at;
            while at < chars.len() && (chars[at].is_alphanumeric() || chars[at] == '_') {
                at += 1;
            }
            let word: String = chars[start..at].iter().collect();
            if (word == "r" || word == "br") && matches!(chars.get(at), Some('"' | '#')) {
                at = raw_string_end(&chars, at);
            } else {
                tokens.push(word);
            }
        } else {
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
            at += 1;
        }
    }
    tokens
}

/// The index after a string that opens at `at`.
fn string_end(chars: &[char], mut at: usize) -> usize {
    at += 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The index after a raw string whose `#`s or quote stand at `at`.
fn raw_string_end(chars: &[char], mut at: usize) -> usize {
    let hashes = chars[at..].iter().take_while(|c| **c == '#').count();
    at += hashes;
    if chars.get(at) != Some(&'"') {
        // A raw identifier.
        return at;
    }
    at += 1;
    while at < chars.len() {
        let closing = chars[at + 1..].iter().take_while(|c| **c == '#').count();
        if chars[at] == '"' && closing >= hashes {
            return at + 1 + hashes;
        }
        at += 1;
    }
    at
}

/// Walks the tokens of one file.
struct Parser {
    tokens: Vec<String>,
    at: usize,
    /// The module that the tokens are in: the file's, and modules with a body in it.
    module: ModulePath,
    file: SourceFile,
}

impl Parser {
    fn parse(path: PathBuf, module: ModulePath, text: &str) -> SourceFile {
        let mut parser = Self {
            tokens: tokens(text),
            at: 0,
            module,
            file: SourceFile {
                path,
                mentions: BTreeSet::new(),
                imported: BTreeMap::new(),
                globs: Vec::new(),
                defined: BTreeSet::new(),
            },
        };
        parser.items(true);
        parser.file
    }

    fn peek(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", String::as_str)
    }

    fn is_path_separator(&self, ahead: usize) -> bool {
        self.peek(ahead) == ":" && self.peek(ahead + 1) == ":"
    }

    /// Reads to the end of the module, or of the file. `outermost`: this is the file's own module.
    fn items(&mut self, outermost: bool) {
        let mut depth = 0_usize;
        while self.at < self.tokens.len() {
            let token = self.peek(0).to_owned();
            match token.as_str() {
                "{" => depth += 1,
                "}" if depth == 0 => return,
                "}" => depth -= 1,
                "mod" if self.peek(2) == "{" => {
                    let name = self.peek(1).to_owned();
                    self.at += 3;
                    self.inline_module(name);
                }
                "use" => {
                    self.at += 1;
                    self.use_tree(&[], outermost && depth == 0);
                }
                "crate" | "self" | "super" if self.is_path_separator(1) => {
                    let path = self.path();
                    if let Some(target) = self.absolute(&path) {
                        self.file.mentions.insert(target);
                    }
                    continue;
                }
                "fn" | "struct" | "enum" | "trait" | "type" | "const" | "static" | "union"
                | "macro_rules"
                    if outermost && depth == 0 =>
                {
                    let ahead = if self.peek(1) == "!" { 2 } else { 1 };
                    self.file.defined.insert(self.peek(ahead).to_owned());
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    /// Reads the body of a module up to its closing brace.
    fn inline_module(&mut self, name: String) {
        if name == "tests" {
            let mut depth = 0_usize;
            while self.at < self.tokens.len() {
                match self.peek(0) {
                    "{" => depth += 1,
                    "}" if depth == 0 => return,
                    "}" => depth -= 1,
                    _ => {}
                }
                self.at += 1;
            }
            return;
        }
        self.module.push(name);
        self.items(false);
        self.module.pop();
    }

    /// Reads a path of identifiers: `a::b::c`.
    fn path(&mut self) -> Vec<String> {
        let mut path = vec![self.peek(0).to_owned()];
        self.at += 1;
        while self.is_path_separator(0) {
            let next = self.peek(2);
            if !next.starts_with(|c: char| c.is_alphabetic() || c == '_') {
                break;
            }
            path.push(next.to_owned());
            self.at += 3;
        }
        path
    }

    /// Reads one tree of a `use` declaration after `prefix`. `record`: its names belong to the
    /// file's module.
    fn use_tree(&mut self, prefix: &[String], record: bool) {
        let mut path = prefix.to_vec();
        if self.peek(0) != "{" && self.peek(0) != "*" {
            path.extend(self.path());
            if self.is_path_separator(0) {
                self.at += 2;
            }
        }
        match self.peek(0) {
            "{" => {
                self.at += 1;
                while !matches!(self.peek(0), "}" | "") {
                    self.use_tree(&path, record);
                    if self.peek(0) == "," {
                        self.at += 1;
                    }
                }
                self.at += 1;
            }
            "*" => {
                self.at += 1;
                if let Some(target) = self.absolute(&path) {
                    self.file.mentions.insert(target.clone());
                    if record {
                        self.file.globs.push(target);
                    }
                }
            }
            _ => {
                let mut name = path.last().cloned().unwrap_or_default();
                if name == "self" {
                    path.pop();
                    name = path.last().cloned().unwrap_or_default();
                }
                if self.peek(0) == "as" {
                    name = self.peek(1).to_owned();
                    self.at += 2;
                }
                if let Some(target) = self.absolute(&path) {
                    self.file.mentions.insert(target.clone());
                    if record {
                        self.file.imported.insert(name, target);
                    }
                }
            }
        }
    }

    /// The absolute form of a path in the current module; none above the crate. A path that starts
    /// with another name leads to a child module or to another crate. It counts as a path inside
    /// this module, and an import from another crate then resolves to this file.
    fn absolute(&self, path: &[String]) -> Option<ModulePath> {
        let mut absolute = self.module.clone();
        let mut rest = path;
        match path.first().map(String::as_str) {
            Some("crate") => {
                absolute.clear();
                rest = &path[1..];
            }
            Some("self") => rest = &path[1..],
            Some("super") => {}
            _ => {}
        }
        while rest.first().is_some_and(|name| name == "super") {
            absolute.pop()?;
            rest = &rest[1..];
        }
        absolute.extend_from_slice(rest);
        Some(absolute)
    }
}
