//! How families of interpreters read their command line.

/// How a family of interpreters reads its command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grammar {
    /// Letters of short options that take a value, attached or as the next argument.
    pub(super) valued: &'static [u8],
    /// Long options that take the next argument as their value.
    pub(super) long_valued: &'static [&'static str],
    /// Letters whose value is a file that is executed.
    pub(super) file: &'static [u8],
    /// Letters whose value is program text: no script follows.
    pub(super) text: &'static [u8],
    /// Letters whose value is a directory in which code is looked for.
    pub(super) search: &'static [u8],
    /// Letters behind which the rest of the argument is a value; the next argument never is.
    pub(super) attached: &'static [u8],
    /// Beginnings of long options that take no value, where others may: behind one of these the next argument
    /// is its value or the script. Nothing where no other takes one.
    pub(super) long_flags: Option<&'static [&'static str]>,
    /// Whether short options may stand together, as in `-uBE`.
    pub(super) joins: bool,
    /// Whether the first argument that is no option is a script.
    pub(super) has_script: bool,
}

pub(super) const PLAIN: Grammar = Grammar {
    valued: b"",
    long_valued: &[],
    file: b"",
    text: b"",
    search: b"",
    attached: b"",
    long_flags: Some(&[]),
    joins: true,
    has_script: true,
};

const SHELL_VALUED: &[&str] = &["--rcfile", "--init-file"];
/// Long options of `bash` and `fish` that take no value.
const SHELL_FLAGS: &[&str] = &[
    "--debugger",
    "--dump-po-strings",
    "--dump-strings",
    "--help",
    "--interactive",
    "--login",
    "--no-config",
    "--no-execute",
    "--noediting",
    "--noprofile",
    "--norc",
    "--posix",
    "--pretty-print",
    "--print-debug-levels",
    "--print-rusage-self",
    "--private",
    "--protected",
    "--restricted",
    "--verbose",
    "--version",
    "--wordexp",
];

pub(super) const SHELL: Grammar =
    Grammar { valued: b"oO", long_valued: SHELL_VALUED, text: b"c", long_flags: Some(SHELL_FLAGS), ..PLAIN };
pub(super) const PYTHON: Grammar =
    Grammar { valued: b"WXQm", long_valued: &["--check-hash-based-pycs"], text: b"c", long_flags: None, ..PLAIN };
pub(super) const PERL: Grammar =
    Grammar { text: b"eE", search: b"I", attached: b"MmixDCFV:", long_flags: None, ..PLAIN };
pub(super) const RUBY: Grammar = Grammar {
    valued: b"rCE",
    text: b"e",
    search: b"I",
    attached: b"FKxTWi",
    long_flags: Some(&["--yjit", "--jit", "--rjit", "--verbose", "--debug"]),
    ..PLAIN
};
/// Beginnings of options of Node.js without a value, by `node --help`.
const NODE_FLAGS: &[&str] = &[
    "--no-",
    "--trace-",
    "--enable-",
    "--harmony",
    "--inspect-brk",
    "--inspect-wait",
    "--inspect",
    "--watch",
    "--preserve-symlinks",
    "--expose-gc",
    "--expose_gc",
    "--throw-deprecation",
    "--pending-deprecation",
    "--abort-on-uncaught-exception",
    "--use-openssl-ca",
    "--use-bundled-ca",
    "--use-system-ca",
    "--experimental-vm-modules",
    "--experimental-strip-types",
    "--verify-base-objects",
    "--frozen-intrinsics",
    "--interpreted-frames-native-stack",
    "--jitless",
    "--prof",
];
/// Options that begin like one without a value, and take one.
pub(super) const NODE_VALUED: &[&str] =
    &["--inspect-port", "--watch-path", "--trace-event", "--trace-require-module", "--watch-kill-signal"];
pub(super) const NODE: Grammar = Grammar {
    valued: b"C",
    long_valued: &["--conditions", "--loader", "--experimental-loader", "--title", "--stack-trace-limit"],
    file: b"r",
    text: b"ep",
    long_flags: Some(NODE_FLAGS),
    joins: false,
    ..PLAIN
};
const PHP: Grammar = Grammar { valued: b"cdzSt", file: b"f", text: b"rBRE", ..PLAIN };
const LUA: Grammar = Grammar { valued: b"lW", text: b"e", ..PLAIN };
const EXPECT: Grammar = Grammar { file: b"fb", text: b"c", ..PLAIN };
const AWK: Grammar = Grammar { valued: b"vFlW", file: b"fEi", has_script: false, ..PLAIN };
const SED: Grammar = Grammar { valued: b"lE", file: b"f", text: b"e", has_script: false, ..PLAIN };
const R: Grammar = Grammar {
    file: b"f",
    text: b"e",
    long_flags: Some(&["--no-", "--vanilla", "--slave", "--quiet", "--silent", "--verbose", "--save", "--restore"]),
    ..PLAIN
};
const GUILE: Grammar = Grammar { valued: b"x", file: b"sl", text: b"c", search: b"LC", ..PLAIN };

/// Names of interpreters without the version behind them, and how they read their command line.
const FAMILIES: &[(&str, Grammar)] = &[
    ("sh", SHELL),
    ("bash", SHELL),
    ("rbash", SHELL),
    ("dash", SHELL),
    ("ash", SHELL),
    ("ksh", SHELL),
    ("ksh93", SHELL),
    ("mksh", SHELL),
    ("zsh", SHELL),
    ("yash", SHELL),
    ("fish", SHELL),
    ("csh", SHELL),
    ("tcsh", SHELL),
    ("python", PYTHON),
    ("pypy", PYTHON),
    ("perl", PERL),
    ("ruby", RUBY),
    ("jruby", RUBY),
    ("node", NODE),
    ("nodejs", NODE),
    ("deno", PLAIN),
    ("bun", PLAIN),
    ("php", PHP),
    ("php-cgi", PHP),
    ("lua", LUA),
    ("luajit", LUA),
    ("tclsh", PLAIN),
    ("wish", PLAIN),
    ("expect", EXPECT),
    ("awk", AWK),
    ("gawk", AWK),
    ("mawk", AWK),
    ("nawk", AWK),
    ("sed", SED),
    ("R", R),
    ("Rscript", R),
    ("guile", GUILE),
    ("mono", PLAIN),
    ("dotnet", PLAIN),
    ("escript", PLAIN),
    ("groovy", PLAIN),
    ("julia", PLAIN),
    ("ocaml", PLAIN),
    ("swipl", PLAIN),
    ("gforth", PLAIN),
    ("pwsh", PLAIN),
];

/// The family of an interpreter, by its name with or without a version.
pub(super) fn family(name: &[u8]) -> Option<(&'static str, Grammar)> {
    let known = |name: &[u8]| FAMILIES.iter().find(|(family, _)| family.as_bytes() == name).copied();
    // python3.11, perl5.36.0, php8.2, lua5.4
    let end = name.iter().rposition(|byte| !byte.is_ascii_digit() && *byte != b'.').map_or(0, |at| at + 1);
    known(name).or_else(|| known(name.get(..end)?))
}
