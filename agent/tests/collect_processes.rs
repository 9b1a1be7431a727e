//! Whose a process is: kinds of real processes that are a program's, and kinds that are nobody's.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside of test functions")]

#[path = "support/baseline.rs"]
mod baseline;
#[path = "support/programs.rs"]
mod programs;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use agent::collect::Collector;
use manifests::baseline::Baseline;
use manifests::evidence::{FindingKind, ProcessesSeen};
use programs::{Host, Loaded, Running, Talking, Watched, look, next_tick, older, replace, wait};

/// What a script does that waits: it says that it is there, and ends with its input.
const WAITS: &str = "echo ready\nread line\n";
const PYTHON_WAITS: &str = "import sys\nprint('ready', flush=True)\nsys.stdin.read()\n";
const PERL_WAITS: &str = "$| = 1;\nprint \"ready\\n\";\n<STDIN>;\n";

/// The same as a shell's text.
const WAIT: &str = "echo ready; read line";

fn new() -> Collector {
    Collector::new([7; 32], None)
}

fn make(path: &Path, text: &str) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    // Tests run side by side, and what runs in one must not be a copy of what another one has.
    replace(path, format!("{text}# {}\n", path.display()).as_bytes());
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_owned()
}

/// A program that is started by a script.
fn scripted(first_line: &str, text: &str) -> (Host, Baseline, PathBuf) {
    let host = Host::new();
    let script = make(&host.root.join("bin/start"), &format!("{first_line}\n{text}"));
    let baseline = host.baseline(&host.root, "{ exe = \"bin/start\" }", "");
    (host, baseline, script)
}

/// A directory beside the program's tree that everybody may go through.
fn beside(host: &Host, name: &str) -> PathBuf {
    let around = host.directory.path().canonicalize().unwrap();
    fs::set_permissions(&around, fs::Permissions::from_mode(0o755)).unwrap();
    let directory = around.join(name);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// An executable of the system that waits for ever on its own: `sleep 1000`, started and executed.
fn sleeping(command: &mut Command) -> Running {
    next_tick();
    let child = command.stdin(Stdio::null()).spawn().unwrap();
    let ours = fs::read_link("/proc/self/exe").unwrap();
    wait(|| {
        let exe = fs::read_link(format!("/proc/{}/exe", child.id())).unwrap();
        let arguments = fs::read(format!("/proc/{}/cmdline", child.id())).unwrap();
        exe != ours && arguments.ends_with(b"1000\0")
    });
    next_tick();
    Running(child)
}

/// It is the program that runs, and what it has loaded is compared with its files.
fn assert_counts(host: &Host, baseline: &Baseline, what: &str) {
    let mut collector = new();
    assert_eq!(look(&mut collector, baseline).loaded, Loaded::Current, "{what}");
    replace(&host.root.join("lib/module"), b"two");
    assert_eq!(look(&mut collector, baseline).loaded, older("lib/module"), "{what}");
    replace(&host.root.join("lib/module"), b"one");
    assert_eq!(look(&mut collector, baseline).loaded, Loaded::Current, "{what}");
}

#[test]
fn a_script_counts_whose_interpreter_is_called_as_nobody_else_is() {
    let host = Host::new();
    let runner = beside(&host, "vendor").join("runner");
    fs::copy("/bin/sh", &runner).unwrap();
    let script = make(&host.root.join("bin/start"), "echo ready\nread line\n");
    // The arguments that the baseline tells are none of this process's: its script ties it.
    let baseline = host.baseline(&host.root, &format!("{{ exe = {runner:?}, args = \"* --other\" }}"), "");
    let running = Talking::start(Command::new(&runner).arg(&script));
    assert_counts(&host, &baseline, "started before the agent");
    running.end();
}

/// Nobody of the program runs, whatever becomes of its files.
fn assert_nobody(host: &Host, baseline: &Baseline, what: &str) {
    let mut collector = new();
    assert_eq!(look(&mut collector, baseline).loaded, Loaded::NotRunning, "{what}");
    replace(&host.root.join("lib/module"), b"two");
    assert_eq!(look(&mut collector, baseline).loaded, Loaded::NotRunning, "{what}");
    replace(&host.root.join("lib/module"), b"one");
    assert_eq!(look(&mut new(), baseline).loaded, Loaded::NotRunning, "{what}");
}

#[test]
fn a_script_counts_that_was_started_by_a_relative_path() {
    let (host, baseline, _) = scripted("#!/bin/sh", WAITS);
    let kinds: [(&str, &[&str], &str); 6] = [
        ("./bin/start", &[], ""),
        ("./start", &[], "bin"),
        ("../bin/start", &[], "lib"),
        ("/bin/sh", &["start"], "bin"),
        ("/bin/sh", &["../lib/../bin/start"], "lib"),
        ("/bin/bash", &["./bin//start"], ""),
    ];
    for (program, arguments, directory) in kinds {
        let directory = host.root.join(directory);
        let running = Talking::start(Command::new(program).args(arguments).current_dir(directory));
        assert_counts(&host, &baseline, &format!("{program} {arguments:?}"));
        running.end();
        assert_eq!(look(&mut new(), &baseline).loaded, Loaded::NotRunning);
    }
}

#[test]
fn a_script_counts_that_has_gone_to_another_directory() {
    for (first_line, text) in [
        ("#!/bin/sh", format!("cd /\n{WAITS}")),
        ("#!/bin/bash", format!("cd ../lib\n{WAITS}")),
        ("#!/usr/bin/python3", format!("import os\nos.chdir('/')\n{PYTHON_WAITS}")),
        ("#!/usr/bin/perl", format!("chdir '/';\n{PERL_WAITS}")),
    ] {
        let (host, baseline, _) = scripted(first_line, &text);
        // As a shell starts it, that was there itself.
        let shell = "cd \"$1\" && exec ./start";
        let running = Talking::start(Command::new("/bin/sh").args(["-c", shell, "sh"]).arg(host.root.join("bin")));
        assert_counts(&host, &baseline, first_line);
        running.end();
    }
}

#[test]
fn a_binary_counts_that_was_started_by_a_relative_path() {
    let host = Host::new();
    for (program, directory) in [("bin/issuingd", ""), ("./issuingd", "bin"), ("../bin/./issuingd", "lib")] {
        let running = sleeping(
            Command::new("/bin/sh")
                .args(["-c", "exec \"$1\" 1000", "sh", program])
                .current_dir(host.root.join(directory)),
        );
        wait(|| fs::read_link(format!("/proc/{}/exe", running.0.id())).is_ok_and(|exe| exe == host.exe()));
        assert_counts(&host, &host.plain(), program);
    }
}

#[test]
fn a_binary_counts_under_whatever_name_it_was_started() {
    let host = Host::new();
    let other = beside(&host, "other");
    symlink(host.exe(), other.join("link")).unwrap();
    symlink(&host.root, other.join("tree")).unwrap();
    symlink("tree/bin/issuingd", other.join("chain")).unwrap();
    fs::hard_link(host.exe(), other.join("hard")).unwrap();
    for name in ["link", "tree/bin/issuingd", "chain", "hard"] {
        let _running = sleeping(Command::new(other.join(name)).arg0("sshd: idle").arg("1000"));
        assert_counts(&host, &host.plain(), name);
    }
}

#[test]
fn a_script_counts_under_whatever_name_it_was_started() {
    let (host, baseline, script) = scripted("#!/bin/sh", WAITS);
    let other = beside(&host, "other");
    symlink(&script, other.join("link")).unwrap();
    symlink("../issuing", other.join("tree")).unwrap();
    fs::hard_link(&script, other.join("hard")).unwrap();
    for name in ["link", "tree/bin/start", "hard", "tree/lib/../../issuing/bin/start"] {
        let running = Talking::start(&mut Command::new(other.join(name)));
        assert_counts(&host, &baseline, name);
        running.end();
    }
}

#[test]
fn a_program_counts_that_was_started_through_a_bind_mount() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: not root");
        return;
    }
    let host = Host::new();
    let script = make(&host.root.join("bin/start"), &format!("#!/bin/sh\n{WAITS}"));
    let at = beside(&host, "mounted");
    let (file, tree) = (at.join("file"), at.join("tree"));
    fs::write(&file, "").unwrap();
    fs::create_dir(&tree).unwrap();
    let baseline = host.baseline(&host.root, "{ exe = \"bin/start\" }", "");
    for (from, onto, program) in [
        (&host.root, &tree, tree.join("bin/start")),
        (&script, &file, file.clone()),
        (&host.root, &tree, tree.join("bin/issuingd")),
    ] {
        // In a mount namespace of its own, as a service has it.
        let text = "mount --make-rprivate / && mount --bind \"$1\" \"$2\" && exec \"$3\" 1000";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--", "sh", "-c", text, "sh"]).args([from, onto]).arg(&program);
        if program.ends_with("issuingd") {
            let running = sleeping(&mut command);
            let wanted = program.clone();
            wait(|| fs::read_link(format!("/proc/{}/exe", running.0.id())).is_ok_and(|exe| exe == wanted));
            assert_counts(&host, &host.plain(), "a binary");
        } else {
            let running = Talking::start(&mut command);
            assert_counts(&host, &baseline, &program.to_string_lossy());
            running.end();
        }
    }
}

#[test]
fn a_script_counts_behind_its_interpreter_s_options() {
    let (host, baseline, script) = scripted("#!/bin/sh", WAITS);
    let kinds: [&[&str]; 7] = [
        &["/bin/sh", "-e", "-u"],
        &["/bin/bash", "--norc", "-o", "pipefail", "-eu"],
        &["/bin/bash", "--rcfile", "/dev/null", "--"],
        &["/usr/bin/env", "sh", "-u"],
        &["/usr/bin/env", "-i", "A=1", "/bin/sh"],
        &["/usr/bin/env", "-S", "sh -e -u"],
        &["/usr/bin/nice", "-n", "1", "/usr/bin/setsid", "--wait", "sh"],
    ];
    for kind in kinds {
        let running = Talking::start(Command::new(kind[0]).args(&kind[1..]).arg(&script));
        assert_counts(&host, &baseline, &format!("{kind:?}"));
        running.end();
    }
}

#[test]
fn a_script_counts_whose_first_line_has_options_or_asks_env() {
    for (first_line, text) in [
        ("#!/bin/bash -eu", WAITS),
        ("#!/usr/bin/env bash", WAITS),
        ("#!/usr/bin/env -S sh -e -u", WAITS),
        ("#!/usr/bin/env -S perl -w -T", PERL_WAITS),
        ("#!/usr/bin/python3 -uBE", PYTHON_WAITS),
        ("#!/usr/bin/env -S /usr/bin/python3 -W ignore -X utf8", PYTHON_WAITS),
    ] {
        let (host, baseline, script) = scripted(first_line, text);
        let running = Talking::start(&mut Command::new(&script));
        assert_counts(&host, &baseline, first_line);
        running.end();
    }
}

#[test]
fn a_shell_counts_that_reads_a_file_of_the_tree_into_itself() {
    let host = Host::new();
    let file = host.root.join("lib/functions");
    replace(&file, WAITS.as_bytes());
    let kinds = [
        ("/bin/sh", format!(". {}", file.display())),
        ("/bin/bash", format!("A=1; source '{}'", file.display())),
        ("/bin/sh", format!("cd {} && . ./functions", host.root.join("lib").display())),
        ("/bin/sh", format!("umask 022\n. \"{}\"\n", file.display())),
    ];
    for (shell, text) in kinds {
        let running = Talking::start(Command::new(shell).args(["-c", &text]));
        assert_counts(&host, &host.plain(), &text);
        running.end();
    }
}

#[test]
fn a_module_counts_that_is_found_from_the_directory_or_by_the_search_path() {
    let host = Host::new();
    make(&host.root.join("app/__main__.py"), PYTHON_WAITS);
    make(&host.root.join("app/server.py"), PYTHON_WAITS);
    make(&host.root.join("single.py"), PYTHON_WAITS);
    let python = "/usr/bin/python3";
    let baseline = host.baseline(&host.root, "{ exe = \"bin/issuingd\" }", "");
    let kinds: [(&[&str], bool); 5] = [
        (&["-B", "-m", "app"], false),
        (&["-B", "-m", "app.server"], false),
        (&["-Bmsingle"], true),
        (&["-B", "-u", "-m", "app.server"], true),
        (&["-B", "app"], false),
    ];
    for (arguments, by_path) in kinds {
        let mut command = Command::new(python);
        command.args(arguments).current_dir(if by_path { Path::new("/") } else { &host.root });
        if by_path {
            command.env("PYTHONPATH", &host.root);
        }
        let running = Talking::start(&mut command);
        assert_counts(&host, &baseline, &format!("{arguments:?}"));
        running.end();
    }
}

#[test]
fn a_java_program_counts_by_its_archives_and_classes() {
    if !Path::new("/usr/bin/java").exists() || !Path::new("/usr/bin/javac").exists() {
        eprintln!("skipped: no java");
        return;
    }
    let host = Host::new();
    let lib = host.root.join("lib");
    let source = beside(&host, "source").join("Main.java");
    let text = "public class Main { public static void main(String[] a) throws Exception \
                { System.out.println(\"ready\"); System.in.read(); } }";
    fs::write(&source, text).unwrap();
    let run = |command: &mut Command| assert!(command.status().unwrap().success());
    run(Command::new("/usr/bin/javac").arg("-d").arg(&lib).arg(&source));
    let jar = lib.join("main.jar");
    // A zip file with the entry point named; `jar` is not everywhere that `javac` is.
    let pack = "import sys, zipfile\nwith zipfile.ZipFile(sys.argv[1], 'w') as z:\n \
                z.writestr('META-INF/MANIFEST.MF', 'Manifest-Version: 1.0\\nMain-Class: Main\\n\\n')\n \
                z.write(sys.argv[2], 'Main.class')\n";
    run(Command::new("/usr/bin/python3").args(["-c", pack]).args([&jar, &lib.join("Main.class")]));
    let kinds: [&[&str]; 4] = [
        &["-Xmx64m", "-jar", "lib/main.jar"],
        &["-cp", "lib", "Main"],
        &["-classpath", "/nonexistent.jar:lib/*", "Main"],
        &["--class-path=lib/main.jar", "Main"],
    ];
    for arguments in kinds {
        let running = Talking::start(Command::new("/usr/bin/java").args(arguments).current_dir(&host.root));
        assert_counts(&host, &host.plain(), &format!("{arguments:?}"));
        running.end();
    }
    fs::write(lib.join("jvm.args"), format!("-Xmx64m -cp \"{}\"\nMain\n", jar.display())).unwrap();
    let all = format!("{}/*", lib.display());
    let option = format!("-cp {}", lib.display());
    // Outside of the tree, whose files stay as they are.
    let options = beside(&host, "options").join("options.args");
    fs::write(&options, format!("-Xmx64m -cp \"{}\"\n", jar.display())).unwrap();
    let file = format!("@{}", options.display());
    let kinds: [(&[&str], &str, &str, &str); 6] = [
        (&["@lib/jvm.args"], "A", "", ""),
        (&["Main"], "JDK_JAVA_OPTIONS", &file, ""),
        (&["-Djava.class.path=lib", "Main"], "A", "", ""),
        (&["Main"], "CLASSPATH", &all, ""),
        (&["Main"], "JDK_JAVA_OPTIONS", &option, ""),
        (&["Main"], "A", "", "lib"),
    ];
    for (arguments, name, value, directory) in kinds {
        let mut command = Command::new("/usr/bin/java");
        command.args(arguments).env(name, value).current_dir(host.root.join(directory)).stderr(Stdio::null());
        let running = Talking::start(&mut command);
        assert_counts(&host, &host.plain(), &format!("{arguments:?} {name}={value} {directory}"));
        running.end();
    }
    // What it was told stood in a file that is gone: that may have been the program.
    let launcher = make(&host.root.join("bin/launcher"), "#!/usr/bin/java --source 17\n");
    let baseline = host.baseline(&host.root, "{ exe = \"bin/launcher\" }", "");
    assert!(launcher.exists());
    let running = Talking::start(Command::new("/usr/bin/java").args([&*file, "Main"]).current_dir("/"));
    fs::remove_file(&options).unwrap();
    assert_eq!(look(&mut new(), &baseline).loaded, Loaded::Unknown);
    running.end();
}

/// What is told to an interpreter besides a script of the tree, with `ROOT` for the tree's.
const OPTIONS: [(&str, &str, &str); 12] = [
    ("/usr/bin/perl", "-MData::Dumper ROOT/lib/app.pl", ""),
    ("/usr/bin/perl", "-wi.save -mTest::More ROOT/lib/app.pl", ""),
    ("/usr/bin/perl", "-S app.pl", "PATH=/bin:ROOT/lib"),
    ("/usr/bin/python3", "-m cProfile ROOT/lib/app.py", ""),
    ("/usr/bin/python3", "-m packed", "PYTHONPATH=ROOT/lib/packed.zip"),
    ("/usr/bin/python3", "-c from\tapp\timport\tsys", "PYTHONPATH=ROOT/lib"),
    ("/bin/sh", "-c exec\t3<&0;exec\t/usr/bin/python3\t-<ROOT/lib/input.py", ""),
    ("/usr/bin/node", "--unhandled-rejections strict ROOT/lib/app.js", ""),
    ("/usr/bin/node", "ROOT/lib/app", ""),
    ("/usr/bin/node", "--import file://ROOT/lib/app.mjs -e 0", ""),
    ("/usr/bin/node", "--require=ROOT/lib/app.js -e 0", ""),
    ("/usr/bin/node", "-e 0", "NODE_OPTIONS=--require=ROOT/lib/app.js"),
];

const NODE_WAITS: &str =
    "console.log('ready'); process.stdin.resume(); process.stdin.on('end', () => process.exit());\n//";

#[test]
fn a_script_counts_whatever_else_its_interpreter_is_told() {
    let host = Host::new();
    let lib = host.root.join("lib");
    let with_end = |text: &str, name: &str| fs::write(lib.join(name), text).unwrap();
    with_end(PERL_WAITS, "app.pl");
    with_end(PYTHON_WAITS, "app.py");
    with_end("import os\nprint('ready', flush=True)\nos.fdopen(3).read()\n", "input.py");
    with_end(NODE_WAITS, "app.js");
    with_end(NODE_WAITS, "app.mjs");
    fs::set_permissions(lib.join("app.pl"), fs::Permissions::from_mode(0o755)).unwrap();
    let pack = "import sys, zipfile\nwith zipfile.ZipFile(sys.argv[1], 'w') as z: z.write(sys.argv[2], 'packed.py')";
    let mut packing = Command::new("/usr/bin/python3");
    packing.args(["-c", pack]).args([lib.join("packed.zip"), lib.join("app.py")]);
    assert!(packing.status().unwrap().success());
    for (program, arguments, variable) in OPTIONS.iter().filter(|(program, ..)| Path::new(program).exists()) {
        let here = |text: &str| text.replace("ROOT", &host.root.to_string_lossy()).replace('\t', " ");
        let mut command = Command::new(program);
        command.args(arguments.split(' ').map(here)).env("PYTHONDONTWRITEBYTECODE", "1");
        if let Some((name, value)) = variable.split_once('=') {
            command.env(name, here(value));
        }
        let running = Talking::start(&mut command);
        assert_counts(&host, &host.plain(), &format!("{program} {arguments} {variable}"));
        running.end();
    }
}

#[test]
fn a_binary_counts_that_is_started_through_the_loader() {
    let loader = Path::new("/lib64/ld-linux-x86-64.so.2");
    if !loader.exists() {
        eprintln!("skipped: another loader");
        return;
    }
    let host = Host::new();
    for options in [&[][..], &["--inhibit-cache"], &["--library-path", "/lib"], &["--argv0", "sleep"]] {
        let _running = sleeping(Command::new(loader).args(options).arg(host.exe()).arg("1000"));
        assert_counts(&host, &host.plain(), &format!("{options:?}"));
    }
}

#[test]
fn what_a_launcher_of_the_tree_executes_from_it_counts() {
    for (first_line, text) in [
        ("#!/bin/sh", "exec sh \"${0%/bin/start}/lib/app.sh\"\n"),
        ("#!/bin/sh", "cd \"${0%/bin/start}\" && exec bash --norc lib/app.sh\n"),
        ("#!/usr/bin/perl", "$0 =~ s|/bin/start$||; exec '/bin/sh', '-e', \"$0/lib/app.sh\";\n"),
    ] {
        let (host, baseline, script) = scripted(first_line, text);
        make(&host.root.join("lib/app.sh"), WAITS);
        let running = Talking::start(&mut Command::new(&script));
        assert_counts(&host, &baseline, text);
        running.end();
    }
    let (host, baseline, script) = scripted("#!/bin/sh", "exec \"${0%/start}/issuingd\" 1000\n");
    let running = sleeping(&mut Command::new(&script));
    wait(|| fs::read_link(format!("/proc/{}/exe", running.0.id())).is_ok_and(|exe| exe == host.exe()));
    assert_counts(&host, &baseline, "another binary of the tree");
}

#[test]
fn a_process_counts_that_only_maps_a_library_of_the_tree() {
    let host = Host::new();
    let library = host.root.join("lib/libissuing.so");
    let system = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib/aarch64-linux-gnu/libm.so.6", "/lib64/libm.so.6"];
    let Some(system) = system.into_iter().find(|path| Path::new(path).exists()) else {
        eprintln!("skipped: no library to copy");
        return;
    };
    fs::copy(system, &library).unwrap();
    let load = format!("import ctypes\nctypes.CDLL({:?})\n{PYTHON_WAITS}", library.to_str().unwrap());
    let mut commands = [
        (Command::new("/bin/sh"), vec!["-c", WAIT], true),
        (Command::new("/usr/bin/perl"), vec!["-e", PERL_WAITS], true),
        (Command::new("/usr/bin/python3"), vec!["-c", load.as_str()], false),
    ];
    for (command, arguments, preload) in &mut commands {
        command.args(arguments.iter());
        if *preload {
            command.env("LD_PRELOAD", &library);
        }
        let running = Talking::start(command);
        assert_counts(&host, &host.plain(), &format!("{arguments:?}"));
        running.end();
    }
}

#[test]
fn whoever_listens_on_the_program_s_address_counts() {
    let host = Host::new();
    for (family, address, listens) in
        [("AF_INET", "127.0.0.1", "127.0.0.1"), ("AF_INET", "0.0.0.0", "127.0.0.1"), ("AF_INET6", "::1", "[::1]")]
    {
        let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = probe.local_addr().unwrap().port();
        drop(probe);
        let text = format!(
            "import socket\ns = socket.socket(socket.{family})\ns.bind(('{address}', {port}))\ns.listen()\n{PYTHON_WAITS}"
        );
        let baseline =
            host.baseline(&host.root, &format!("{{ exe = \"bin/issuingd\", listens = \"{listens}:{port}\" }}"), "");
        assert_eq!(look(&mut new(), &baseline).loaded, Loaded::NotRunning);
        let running = Talking::start(Command::new("/usr/bin/python3").args(["-c", &text]));
        assert_counts(&host, &baseline, address);
        running.end();
        assert_eq!(look(&mut new(), &baseline).loaded, Loaded::NotRunning);
    }
}

/// A program whose main thread has ended while another one runs on.
fn only_a_thread_runs(host: &Host) -> Talking {
    let text = "#!/usr/bin/python3\nimport ctypes, platform, sys, threading\n\
                def serve():\n    print('ready', flush=True)\n    sys.stdin.read()\n\
                threading.Thread(target=serve).start()\n\
                ctypes.CDLL(None).syscall(60 if platform.machine() == 'x86_64' else 93, 0)\n";
    let running = Talking::start(&mut Command::new(make(&host.root.join("bin/start"), text)));
    let stat = || fs::read_to_string(format!("/proc/{}/stat", running.child.id())).unwrap();
    wait(|| stat().contains(") Z "));
    running
}

#[test]
fn a_process_counts_whose_main_thread_has_ended() {
    let host = Host::new();
    let baseline = host.baseline(&host.root, "{ exe = \"bin/start\" }", "");
    let running = only_a_thread_runs(&host);
    assert_counts(&host, &baseline, "its main thread had ended before");
    running.end();
    assert_eq!(look(&mut new(), &baseline).loaded, Loaded::NotRunning);
}

#[test]
fn a_process_that_has_ended_and_was_not_asked_for_is_not_running() {
    let host = Host::new();
    let baseline = host.plain();
    let mut running = Running(Command::new(host.exe()).arg("0").spawn().unwrap());
    wait(|| fs::read_to_string(format!("/proc/{}/stat", running.0.id())).unwrap().contains(") Z "));
    assert_eq!(look(&mut new(), &baseline).loaded, Loaded::NotRunning);
    running.0.wait().unwrap();
}

#[test]
fn a_fork_counts_whose_parent_has_gone() {
    let fork = "import os\nif os.fork(): os._exit(0)\nos.chdir('/')\n";
    let twice = "import os\nif os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\n";
    for (first_line, text) in [
        ("#!/usr/bin/python3", format!("{fork}{PYTHON_WAITS}")),
        ("#!/usr/bin/python3", format!("{twice}{PYTHON_WAITS}")),
        ("#!/usr/bin/perl", format!("fork and exit;\nchdir '/';\n{PERL_WAITS}")),
        ("#!/bin/bash", "{ echo ready; read line; } <&0 &\n".to_owned()),
    ] {
        let (host, baseline, script) = scripted(first_line, &text);
        let mut watched = Watched::new();
        // Its line may have begun right after the first look began: only what was old by then is certain.
        next_tick();
        assert_eq!(watched.look(&baseline).loaded, Loaded::NotRunning);
        let mut running = Talking::start(&mut Command::new(&script));
        let input = running.child.stdin.take();
        assert!(running.child.wait().unwrap().success(), "what was started has gone");
        assert_eq!(watched.look(&baseline).loaded, Loaded::Current, "{text}");
        // Who was not there cannot say when its line began: it may have read what was there since the boot.
        assert_ne!(look(&mut new(), &baseline).loaded, Loaded::NotRunning, "{text}");
        replace(&host.root.join("lib/module"), b"two");
        assert_eq!(watched.look(&baseline).loaded, older("lib/module"), "{text}");
        drop(input);
        running.end();
        assert_eq!(watched.look(&baseline).loaded, Loaded::NotRunning);
    }
}

#[test]
fn a_fork_counts_whose_image_was_known_before_it_was_renamed() {
    let perl = "$| = 1;\nprint \"ready\\n\";\n<STDIN>;\nfork and exit;\n$0 = 'idle';\nchdir '/';\nprint \"gone\\n\";\n<STDIN>;\n";
    let (host, baseline, script) = scripted("#!/usr/bin/perl", perl);
    let mut running = Talking::start(&mut Command::new(&script));
    let mut watched = Watched::new();
    assert_eq!(watched.look(&baseline).loaded, Loaded::Current);
    let mut input = running.child.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, b"go\n").unwrap();
    running.hear("gone");
    assert!(running.child.wait().unwrap().success(), "what was started has gone");
    assert_eq!(watched.look(&baseline).loaded, Loaded::Current);
    replace(&host.root.join("lib/module"), b"two");
    assert_eq!(watched.look(&baseline).loaded, older("lib/module"));
    drop(input);
    running.end();
    assert_eq!(watched.look(&baseline).loaded, Loaded::NotRunning);
}

#[test]
fn a_process_counts_that_shows_another_title_before_anybody_has_looked() {
    let kinds = [
        ("#!/usr/bin/perl", format!("$0 = 'idle';\n{PERL_WAITS}")),
        ("#!/usr/bin/perl", format!("$0 = 'idle worker 1';\nfork and exit;\n{PERL_WAITS}")),
        ("#!/usr/bin/perl -w", format!("$0 = 'x' x 4000;\nfork and exit;\nchdir '/';\n{PERL_WAITS}")),
    ];
    for (first_line, text) in kinds {
        let (host, baseline, script) = scripted(first_line, &text);
        let other = make(&beside(&host, "other").join("other"), &format!("{first_line}\n{text}"));
        for (program, is_ours) in [(&script, true), (&other, false)] {
            let running = Talking::start(&mut Command::new(program));
            let seen = look(&mut new(), &baseline).loaded;
            assert_eq!(seen != Loaded::NotRunning, is_ours, "{}: {seen:?}", program.display());
            running.end();
            assert_eq!(look(&mut new(), &baseline).loaded, Loaded::NotRunning);
        }
    }
}

#[test]
fn an_interpreter_of_which_nothing_tells_what_it_executes_is_not_told_to_be_nobody_s() {
    let host = Host::new();
    // An interpreter of this test's own: every other test's would be unknown, too.
    let interpreter = beside(&host, "other").join(format!("perl9.{}", std::process::id()));
    fs::copy("/usr/bin/perl", &interpreter).unwrap();
    let baseline = host.baseline(&host.root, "{ exe = \"bin/start\" }", "");
    // `env` executes the interpreter, so that the kernel has the interpreter's path and not the script's.
    let first_line = format!("#!/usr/bin/env {}", interpreter.display());
    for text in ["$0 = 'idle';\n", "$0 = 'idle';\nfork and exit;\n", "fork and exit;\n$0 = '';\nchdir '/';\n"] {
        let script = make(&host.root.join("bin/start"), &format!("{first_line}\n{text}{PERL_WAITS}"));
        let running = Talking::start(&mut Command::new(&script));
        assert_eq!(look(&mut new(), &baseline).loaded, Loaded::Unknown, "{text}");
        running.end();
        assert_eq!(look(&mut new(), &baseline).loaded, Loaded::NotRunning);
    }
}

#[test]
fn an_executable_counts_that_was_deleted_replaced_or_moved_away() {
    type Change = fn(&Host);
    let kinds: [(&str, Change); 5] = [
        ("deleted", |host| fs::remove_file(host.exe()).unwrap()),
        ("replaced", |host| host.install(&host.root, b"another build")),
        ("deleted and made again", |host| {
            fs::remove_file(host.exe()).unwrap();
            host.install(&host.root, b"another build");
        }),
        ("moved within the tree", |host| fs::rename(host.exe(), host.root.join("bin/old")).unwrap()),
        ("its directory exchanged", |host| {
            fs::rename(host.root.join("bin"), host.root.join("bin.old")).unwrap();
            host.install(&host.root, b"another build");
        }),
    ];
    for (what, change) in kinds {
        let host = Host::new();
        let baseline = host.plain();
        let _running = host.start(&host.exe());
        let mut knows = new();
        assert_eq!(look(&mut knows, &baseline).loaded, Loaded::Current);
        change(&host);
        for collector in [&mut knows, &mut new()] {
            let seen = look(collector, &baseline).loaded;
            assert!(matches!(seen, Loaded::Older(_)), "{what}: {seen:?}");
        }
    }
}

#[test]
fn a_copy_counts_in_a_directory_that_was_moved_away() {
    let kinds: [fn(&Host) -> PathBuf; 3] = [
        |host| host.root.with_extension("old"),
        |host| beside(host, "releases").join("1"),
        |host| beside(host, "backup").join("2024/issuing.bak"),
    ];
    for place in kinds {
        let host = Host::new();
        let baseline = host.plain();
        let old = place(&host);
        fs::create_dir_all(old.parent().unwrap()).unwrap();
        let _running = host.start(&host.exe());
        fs::rename(&host.root, &old).unwrap();
        // The same build again.
        host.install(&host.root, b"");
        let seen = look(&mut new(), &baseline).loaded;
        assert!(matches!(seen, Loaded::Older(_)), "{}: {seen:?}", old.display());
    }
}

/// A process that the kernel lays out alike whenever it executes the same, and that executes itself anew where
/// it is told so.
fn laid_out_alike(host: &Host) -> (Baseline, impl Fn() -> Talking, fn(&mut Talking)) {
    let text = "#!/bin/sh\necho ready\nwhile read word; do exec \"$0\"; done\n";
    let script = make(&host.root.join("bin/start"), text);
    let baseline = host.baseline(&host.root, "{ exe = \"bin/start\" }", "");
    let start = move || Talking::start(Command::new("setarch").arg("-R").arg(&script));
    let exec = |running: &mut Talking| {
        writeln!(running.child.stdin.as_mut().unwrap(), "exec").unwrap();
        running.hear("ready");
    };
    (baseline, start, exec)
}

#[test]
fn a_content_put_back_may_have_been_read_where_no_layout_tells_an_exec() {
    let host = Host::new();
    let (baseline, start, exec) = laid_out_alike(&host);
    let module = host.root.join("lib/module");
    // Seen in between, and between two looks.
    for is_seen in [true, false] {
        let mut watched = Watched::new();
        let mut running = start();
        assert_eq!(watched.look(&baseline).loaded, Loaded::Current, "{is_seen}");
        exec(&mut running);
        assert_eq!(watched.look(&baseline).loaded, Loaded::Current, "{is_seen}: nothing was changed");
        replace(&module, b"two");
        if is_seen {
            assert_eq!(watched.look(&baseline).loaded, older("lib/module"));
        }
        exec(&mut running);
        replace(&module, b"one");
        assert_eq!(watched.look(&baseline).loaded, older("lib/module"), "{is_seen}");
        assert_eq!(look(&mut new(), &baseline).loaded, older("lib/module"), "{is_seen}");
        running.end();
        let running = start();
        assert_eq!(watched.look(&baseline).loaded, Loaded::Current, "{is_seen}: it was started again");
        running.end();
    }
}

#[test]
fn a_program_counts_that_a_known_process_executes_without_another_layout() {
    let host = Host::new();
    let (baseline, _, _) = laid_out_alike(&host);
    let text = "echo ready; read line; exec /bin/sh \"$1\"";
    let command = ["-R", "/bin/sh", "-c", text, "sh"];
    let mut running = Talking::start(Command::new("setarch").args(command).arg(host.root.join("bin/start")));
    let mut collector = new();
    assert_eq!(look(&mut collector, &baseline).loaded, Loaded::NotRunning);
    writeln!(running.child.stdin.as_mut().unwrap(), "go").unwrap();
    running.hear("ready");
    assert_eq!(look(&mut collector, &baseline).loaded, Loaded::Current);
    replace(&host.root.join("lib/module"), b"two");
    assert_eq!(look(&mut collector, &baseline).loaded, older("lib/module"));
}

#[test]
fn a_process_counts_that_began_between_two_looks() {
    let (host, baseline, script) = scripted("#!/bin/sh", WAITS);
    let mut watched = Watched::new();
    assert_eq!(watched.look(&baseline).loaded, Loaded::NotRunning);
    for _ in 0..3 {
        let running = Talking::start(&mut Command::new(&script));
        assert_eq!(watched.look(&baseline).loaded, Loaded::Current);
        replace(&host.root.join("lib/module"), b"two");
        assert_eq!(watched.look(&baseline).loaded, older("lib/module"));
        running.end();
        replace(&host.root.join("lib/module"), b"one");
        assert_eq!(watched.look(&baseline).loaded, Loaded::NotRunning);
    }
}

#[test]
fn a_shell_in_the_tree_is_nobody_s() {
    let (host, baseline, _) = scripted("#!/bin/sh", WAITS);
    let gate = "echo ready; read line && exec ./bin/start";
    let kinds: [(&str, &[&str], &str); 6] = [
        ("/bin/sh", &["-c", WAIT], ""),
        ("/bin/bash", &["--norc", "-c", WAIT], "bin"),
        // As `ExecCondition` and a start by hand do: the gate is asked before anything of the program runs.
        ("/bin/sh", &["-c", gate], ""),
        ("/bin/sh", &["-c", "sh -c 'echo ready; read line'; true"], "lib"),
        ("/usr/bin/perl", &["-e", PERL_WAITS], "lib"),
        ("/usr/bin/python3", &["-c", PYTHON_WAITS], "bin"),
    ];
    for (shell, arguments, directory) in kinds {
        let mut command = Command::new(shell);
        let running = Talking::start(command.args(arguments).current_dir(host.root.join(directory)));
        assert_nobody(&host, &baseline, &format!("{arguments:?}"));
        running.end();
    }
}

#[test]
fn the_gate_asked_from_a_shell_in_the_tree_is_nobody_s() {
    let host = Host::new();
    // Nobody answers at its socket; it is a process that executes nothing of the tree.
    let agent = env!("CARGO_BIN_EXE_sekisho-agent");
    for text in ["echo ready; \"$0\" --version >&2; read line", "cd lib; echo ready; read line; exec \"$0\" gate"] {
        let mut command = Command::new("/bin/sh");
        let running = Talking::start(command.args(["-c", text, agent]).current_dir(&host.root).stderr(Stdio::null()));
        assert_nobody(&host, &host.plain(), text);
        running.end();
    }
}

#[test]
fn who_only_reads_a_file_of_the_tree_is_nobody() {
    let (host, baseline, script) = scripted("#!/bin/sh", WAITS);
    let file = host.root.join("script");
    let other = beside(&host, "other");
    let reader = make(&other.join("reader.sh"), WAITS);
    let python = make(&other.join("reader.py"), PYTHON_WAITS);
    let perl = make(&other.join("reader.pl"), PERL_WAITS);
    let editor = format!("exec 3<>{}; {WAIT}", script.display());
    let open = format!("$f = open(F, '<', '{}');\n{PERL_WAITS}", file.display());
    let mut kinds: Vec<Command> = Vec::new();
    let mut kind = |program: &str, arguments: &[&Path]| {
        let mut command = Command::new(program);
        command.args(arguments);
        kinds.push(command);
    };
    kind("/bin/sh", &[&reader, &script]);
    kind("/bin/sh", &[Path::new("-c"), Path::new(&editor)]);
    kind("/usr/bin/python3", &[&python, &file]);
    kind("/usr/bin/perl", &[&perl, &script]);
    kind("/usr/bin/perl", &[Path::new("-MData::Dumper"), &perl, &host.root]);
    kind("/usr/bin/python3", &[Path::new("-u"), Path::new("-Xdev"), &python, &host.root]);
    let node = make(&other.join("reader.js"), NODE_WAITS);
    if Path::new("/usr/bin/node").exists() {
        kind("/usr/bin/node", &[Path::new("--no-warnings"), &node, &script]);
    }
    kind("/usr/bin/perl", &[Path::new("-e"), Path::new(&open), &script]);
    kind("/usr/bin/python3", &[Path::new("-c"), Path::new(PYTHON_WAITS), &script]);
    kind("/usr/bin/env", &[Path::new("sh"), &reader, Path::new("--config"), &file]);
    for mut command in kinds {
        let what = format!("{command:?}");
        let running = Talking::start(&mut command);
        assert_nobody(&host, &baseline, &what);
        running.end();
    }
}

#[test]
fn tail_backup_and_search_are_nobody() {
    let host = Host::new();
    fs::create_dir(host.root.join("logs")).unwrap();
    // More than a pipe takes, so that who writes it out waits.
    fs::write(host.root.join("logs/large.log"), "a line\n".repeat(100_000)).unwrap();
    let root = host.root.to_str().unwrap();
    let (module, exe) = (host.root.join("lib/module"), host.exe());
    let (module, exe) = (module.to_str().unwrap(), exe.to_str().unwrap());
    let kinds: [&[&str]; 6] = [
        &["tail", "-f", module],
        &["tail", "-n", "0", "-F", module, exe],
        &["tar", "-cf", "-", root],
        &["grep", "-r", "line", root],
        &["find", root, "-exec", "cat", "{}", "+"],
        &["cat", exe, module, &format!("{root}/logs/large.log")],
    ];
    for kind in kinds {
        next_tick();
        let child = Command::new(kind[0])
            .args(&kind[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut running = Running(child.unwrap());
        let about = format!("/proc/{}/cmdline", running.0.id());
        wait(|| fs::read(&about).is_ok_and(|arguments| arguments.starts_with(kind[0].as_bytes())));
        next_tick();
        assert_nobody(&host, &host.plain(), &format!("{kind:?}"));
        assert!(running.0.try_wait().unwrap().is_none(), "{kind:?} has ended before it was looked at");
        // Those that it has started write into the pipe, too.
        drop(running.0.stdout.take());
    }
}

#[test]
fn a_copy_that_a_stranger_runs_is_shown_and_nobody_s() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: not root");
        return;
    }
    let host = Host::new();
    let baseline = host.plain();
    let other = beside(&host, "home");
    let copy = other.join("issuingd");
    fs::copy(host.exe(), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    let stranger = || {
        let running =
            sleeping(Command::new("setpriv").args(["--reuid=65534", "--clear-groups"]).arg(&copy).arg("1000"));
        wait(|| fs::read_link(format!("/proc/{}/exe", running.0.id())).is_ok_and(|exe| exe == copy));
        running
    };
    let shows = |collector: &mut Collector| {
        let seen = look(collector, &baseline);
        let program = &seen.state.programs[&"server".parse().unwrap()];
        let is_shown = program.findings.iter().any(|finding| finding.kind == FindingKind::RunsElsewhere);
        (seen.loaded, is_shown)
    };
    // The program does not run.
    let _first = stranger();
    assert_eq!(shows(&mut new()), (Loaded::NotRunning, true));
    // It runs beside it, and is the same build or another.
    let running = host.start(&host.exe());
    assert_eq!(shows(&mut new()), (Loaded::Current, true));
    drop(running);
    let mut knows = new();
    assert_eq!(shows(&mut knows), (Loaded::NotRunning, true));
    host.install(&host.root, b"another build");
    assert_eq!(shows(&mut knows), (Loaded::NotRunning, true), "the build that it was");
}

#[test]
fn the_system_s_interpreter_beside_a_bundled_one_is_nobody_s() {
    let host = Host::new();
    let bundled = host.root.join("bin/python3");
    fs::copy("/usr/bin/python3", &bundled).unwrap();
    let baseline = host.baseline(&host.root, "{ exe = \"bin/python3\" }", "");
    let other = make(&beside(&host, "other").join("other.py"), PYTHON_WAITS);
    let text = ["-c", PYTHON_WAITS].map(Path::new);
    let kinds: [(&[&Path], &Path); 4] =
        [(&text, Path::new("/")), (&text, &host.root), (&[&other], Path::new("/")), (&[&other, &bundled], &host.root)];
    for (arguments, directory) in kinds {
        let running = Talking::start(Command::new("/usr/bin/python3").args(arguments).current_dir(directory));
        assert_nobody(&host, &baseline, &format!("{arguments:?}"));
        running.end();
    }
    // The bundled one is the program's, whatever it is told to run.
    let running = Talking::start(Command::new(&bundled).args(["-B", "-I"]).arg(&other));
    assert_counts(&host, &baseline, "bundled");
    running.end();
}

/// What is seen from where not every process can be: run again by the test below, there.
#[test]
#[ignore = "is run by the test of what cannot be seen"]
fn from_inside() {
    let host = Host::new();
    let seen = look(&mut new(), &host.plain());
    let program = &seen.state.programs[&"server".parse().unwrap()];
    assert!(matches!(program.processes, ProcessesSeen::Unknown(_)), "{:?}", program.processes);
    assert!(seen.state.coverage.iter().any(|gap| gap.what == "/proc"), "{:?}", seen.state.coverage);
    // One that is seen runs, and the others are still not known.
    let _running = host.start(&host.exe());
    let seen = look(&mut new(), &host.plain());
    let program = &seen.state.programs[&"server".parse().unwrap()];
    assert_eq!((program.processes, seen.loaded), (ProcessesSeen::Running, Loaded::Unknown));
}

#[test]
fn not_running_is_said_only_where_every_process_can_be_seen() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: not root");
        return;
    }
    let ours = std::env::current_exe().unwrap();
    let hidden = "mount --make-rprivate / && mount -t proc -o hidepid=2 proc /proc && \
                  exec setpriv --bounding-set=-sys_ptrace --inh-caps=-sys_ptrace \"$@\"";
    let places: [&[&str]; 2] =
        [&["unshare", "--pid", "--fork", "--mount-proc"], &["unshare", "--mount", "sh", "-c", hidden, "sh"]];
    for place in places {
        let inside = Command::new(place[0])
            .args(&place[1..])
            .arg(&ours)
            .args(["--ignored", "--exact", "from_inside"])
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&inside.stdout);
        assert!(inside.status.success() && told.contains("1 passed"), "{place:?}: {told}");
    }
}

/// A library of the tree, and another one of outside with other bytes.
fn libraries(host: &Host) -> Option<(PathBuf, PathBuf)> {
    let system = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib/aarch64-linux-gnu/libm.so.6", "/lib64/libm.so.6"];
    let Some(system) = system.into_iter().find(|path| Path::new(path).exists()) else {
        eprintln!("skipped: no library to copy");
        return None;
    };
    let (ours, other) = (host.root.join("lib/libprint.so"), beside(host, "other").join("libprint.so.1.0"));
    fs::copy(system, &ours).unwrap();
    fs::write(&other, [fs::read(system).unwrap(), b"older".to_vec()].concat()).unwrap();
    symlink("libprint.so.1.0", other.with_file_name("libprint.so")).unwrap();
    fs::copy("/usr/bin/python3", host.exe()).unwrap();
    Some((ours, other))
}

#[test]
fn a_library_is_shadowed_by_a_link_of_its_name_on_the_library_path() {
    let host = Host::new();
    let Some((ours, other)) = libraries(&host) else { return };
    let link = other.with_file_name("libprint.so");
    // It overwrites its environment once it is told to, as whoever gives itself a title does.
    let load = "import ctypes, sys\nctypes.CDLL('libprint.so')\nprint('ready', flush=True)\nsys.stdin.readline()\n\
                at = [int(field) for field in open('/proc/self/stat').read().rsplit(')', 1)[1].split()[-3:-1]]\n\
                ctypes.memset(at[0], 0, at[1] - at[0])\nprint('titled', flush=True)\nsys.stdin.read()\n";
    let mut command = Command::new(host.exe());
    command.args(["-c", load]).env("LD_LIBRARY_PATH", other.parent().unwrap());
    let mut running = Talking::start(&mut command);
    let mut collector = new();
    assert_eq!(look(&mut collector, &host.plain()).loaded, older(link.to_str().unwrap()));
    std::io::Write::write_all(running.child.stdin.as_mut().unwrap(), b"go\n").unwrap();
    running.hear("titled");
    assert_eq!(look(&mut collector, &host.plain()).loaded, older(link.to_str().unwrap()), "it has another title");
    running.end();
    fs::copy(&ours, &other).unwrap();
    let running = Talking::start(&mut command);
    assert_eq!(look(&mut new(), &host.plain()).loaded, Loaded::Current, "the same bytes");
    running.end();
}

#[test]
fn a_library_that_lies_in_memory_is_shadowed_by_the_name_that_it_was_given() {
    let host = Host::new();
    let Some((ours, other)) = libraries(&host) else { return };
    for (from, expected) in [(&other, older("/memfd:libprint.so")), (&ours, Loaded::Current)] {
        let load = format!(
            "import ctypes, os\nfd = os.memfd_create('libprint.so')\nos.write(fd, open({from:?}, 'rb').read())\n\
             ctypes.CDLL('/proc/self/fd/%d' % fd)\nos.close(fd)\n{PYTHON_WAITS}"
        );
        let running = Talking::start(Command::new(host.exe()).args(["-c", &load]));
        assert_eq!(look(&mut new(), &host.plain()).loaded, expected, "{from:?}");
        running.end();
    }
}

#[test]
fn a_process_counts_as_a_copy_that_runs_the_executable_s_bytes_from_memory() {
    let host = Host::new();
    let text = "import os, sys\nfd = os.memfd_create('odd')\nos.write(fd, open(sys.argv[1], 'rb').read())\n\
                os.execve(fd, ['odd', '1000'], {})";
    let running = Running(
        Command::new("/usr/bin/python3").args(["-c", text]).arg(host.exe()).stdin(Stdio::null()).spawn().unwrap(),
    );
    let exe = || fs::read_link(format!("/proc/{}/exe", running.0.id())).unwrap();
    wait(|| exe().to_string_lossy().starts_with("/memfd:"));
    next_tick();
    assert_eq!(look(&mut new(), &host.plain()).loaded, older("/memfd:odd"));
}

#[test]
fn a_process_is_older_whose_executable_s_link_was_switched_before_or_after_the_first_look() {
    let host = Host::new();
    let other = beside(&host, "other");
    for version in ["v1", "v2"] {
        fs::create_dir(other.join(version)).unwrap();
        let bytes = [fs::read(host.exe()).unwrap(), version.into()].concat();
        replace(&other.join(version).join("run"), &bytes);
        fs::set_permissions(other.join(version).join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let link = other.join("run");
    let lead = |to: &str| {
        symlink(to, other.join("next")).unwrap();
        fs::rename(other.join("next"), &link).unwrap();
    };
    let baseline = host.baseline(&host.root, &format!("{{ exe = {link:?}, args = \"*1000*\" }}"), "");
    for is_known in [false, true] {
        lead("v1/run");
        let mut collector = new();
        let running = host.start(&link);
        if is_known {
            assert_eq!(look(&mut collector, &baseline).loaded, Loaded::Current);
        }
        lead("v2/run");
        let expected = older(other.join("v1/run").to_str().unwrap());
        assert_eq!(look(&mut collector, &baseline).loaded, expected, "known: {is_known}");
        drop(running);
        let _running = host.start(&link);
        assert_eq!(look(&mut collector, &baseline).loaded, Loaded::Current, "it was started again");
    }
}
