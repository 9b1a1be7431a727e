//! How `java` is told what to execute: options, files of options, and variables of its environment.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::command::Told;

/// Options that begin with two hyphens and take no value: all others take one, behind `=` or as the next argument.
const FLAGS: [&str; 8] = [
    "--version",
    "--show-version",
    "--help",
    "--help-extra",
    "--dry-run",
    "--list-modules",
    "--validate-modules",
    "--enable-preview",
];

/// Variables whose value stands before (`JDK_JAVA_OPTIONS`) or behind the options of the command line.
pub(crate) const VARIABLES: [&str; 3] = ["JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS"];

/// `java [options] -jar file`, `java -cp path class`, `java File.java`.
pub(super) fn read(arguments: &[&[u8]], told: &mut Told) {
    let mut rest = arguments.iter();
    let mut has_path = false;
    let mut is_doubtful = false;
    while let Some(argument) = rest.next() {
        let may_be_value = std::mem::take(&mut is_doubtful);
        match *argument {
            b"-jar" => {
                rest.next().into_iter().for_each(|file| told.file(file));
                return;
            }
            b"-cp" | b"-classpath" | b"--class-path" | b"-p" | b"--module-path" | b"--upgrade-module-path" => {
                has_path = true;
                rest.next().into_iter().for_each(|path| class_path(path, told));
            }
            b"-m" | b"--module" => return,
            b"--patch-module" => rest.next().into_iter().for_each(|patch| patched(patch, told)),
            option if option.starts_with(b"-") => {
                let text = std::str::from_utf8(option).unwrap_or_default();
                let path = [
                    "--class-path=",
                    "--module-path=",
                    "--upgrade-module-path=",
                    "-Djava.class.path=",
                    "-Xbootclasspath/a:",
                    "-Xbootclasspath:",
                    "-javaagent:",
                ];
                if let Some(path) = path.iter().find_map(|name| text.strip_prefix(name)) {
                    has_path |= !text.starts_with("-X") && !text.starts_with("-javaagent");
                    class_path(path.split('=').next().unwrap_or_default().as_bytes(), told);
                } else if let Some(patch) = text.strip_prefix("--patch-module=") {
                    patched(patch.as_bytes(), told);
                } else if let Some(path) = text.strip_prefix("-Djava.library.path=") {
                    told.search(path.as_bytes());
                } else {
                    is_doubtful = text.starts_with("--") && !text.contains('=') && !FLAGS.contains(&text);
                }
            }
            main => {
                if Path::new(OsStr::from_bytes(main)).extension().is_some_and(|ending| ending == "java") {
                    told.file(main);
                } else if !has_path {
                    // Without a path the class is looked for in the working directory.
                    let name = String::from_utf8_lossy(main).replace('.', "/");
                    told.perhaps.push(format!("{name}.class").into());
                }
                if !may_be_value {
                    return;
                }
            }
        }
    }
}

/// Entries of a class path: archives are executed, directories are looked through.
pub(super) fn class_path(path: &[u8], told: &mut Told) {
    for entry in path.split(|byte| *byte == b':').filter(|entry| !entry.is_empty()) {
        let entry = entry.strip_suffix(b"/*").unwrap_or(entry);
        told.file(entry);
        told.search(entry);
    }
}

/// `module=path`.
fn patched(patch: &[u8], told: &mut Told) {
    let at = patch.iter().position(|byte| *byte == b'=').map_or(patch.len(), |at| at + 1);
    class_path(patch.get(at..).unwrap_or_default(), told);
}

/// The words of a file of options (`java @file`), or of a variable: quotes hold blanks together, a backslash
/// within quotes takes the next byte as it is, and `#` begins a comment.
pub(super) fn words(text: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (Some(open), close) if open == close => quote = None,
            (Some(_), b'\\') => word.get_or_insert_default().extend(bytes.next()),
            (None, b'\'' | b'"') => {
                word.get_or_insert_default();
                quote = Some(byte);
            }
            (None, b'#') if word.is_none() => _ = bytes.find(|byte| *byte == b'\n'),
            (None, blank) if blank.is_ascii_whitespace() => words.extend(word.take()),
            (_, 0) => {}
            (_, other) => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

/// A word as [`words`] reads it again.
pub(super) fn quoted(word: &[u8]) -> Vec<u8> {
    let escaped = word.iter().flat_map(|byte| match byte {
        b'"' | b'\\' => vec![b'\\', *byte],
        byte => vec![*byte],
    });
    [b"\"".to_vec(), escaped.collect(), b"\" ".to_vec()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_options_is_read_word_by_word() {
        let words = |text: &str| words(text.as_bytes()).iter().map(|w| String::from_utf8_lossy(w).into()).collect();
        let found: Vec<String> = words("-Xmx32m -cp \"/opt/a b/lib.jar\" # -jar x\n'Main' \"a\\\\b\"");
        assert_eq!(found, ["-Xmx32m", "-cp", "/opt/a b/lib.jar", "Main", "a\\b"]);
    }

    #[test]
    fn an_option_that_may_take_a_value_leaves_it_open_what_the_next_argument_is() {
        let files = |arguments: &[&str]| {
            let mut told = Told::default();
            read(&arguments.iter().map(|argument| argument.as_bytes()).collect::<Vec<_>>(), &mut told);
            told.files.into_iter().map(|file| file.into_string().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(files(&["--limit-modules", "java.base", "-cp", "lib/*", "Main"]), ["lib"]);
        assert_eq!(files(&["--enable-preview", "Main", "-cp", "lib"]), [""; 0]);
        assert_eq!(files(&["-Djava.class.path=a.jar:b", "Main"]), ["a.jar", "b"]);
        assert_eq!(files(&["--patch-module", "m=p", "-m", "m/Main"]), ["p"]);
    }
}
