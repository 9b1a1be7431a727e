//! A tree digest is what coreutils make of the same tree, whatever its names.
#![expect(clippy::unwrap_used, reason = "a tree that cannot be made is a test that fails")]

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use manifests::digest::Digest;
use manifests::tree::FileList;

/// Regular files by `sha256sum`, links by the digest of their text under the path with `//` behind it,
/// in byte order of the paths.
const COREUTILS: &str = r#"
export LC_ALL=C
{ find . -type f -printf '%P\0'; find . -type l -printf '%P//\0'; } | sort -z |
while IFS= read -r -d '' path; do
    case $path in
    *//)
        digest=$(readlink -n -- "${path%//}" | sha256sum | cut -c1-64)
        name=${path//\\/\\\\}; name=${name//$'\n'/\\n}; name=${name//$'\r'/\\r}
        if [ "$name" != "$path" ]; then printf '\\'; fi
        printf '%s  %s\n' "$digest" "$name" ;;
    *) sha256sum -- "$path" ;;
    esac
done
"#;

struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn list(root: &Path, directory: &Path, into: &mut FileList) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes();
        let kind = std::fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_symlink() {
            into.insert_link(name, std::fs::read_link(&path).unwrap().as_os_str().as_bytes());
        } else if kind.is_dir() {
            list(root, &path, into);
        } else {
            into.insert_file(name, Digest::of(&std::fs::read(&path).unwrap()));
        }
    }
}

#[test]
fn coreutils_give_the_same_list_for_odd_names() {
    let root = Directory(std::env::temp_dir().join(format!("tree-digest-{}", std::process::id())));
    let _ = std::fs::remove_dir_all(&root.0);
    for directory in ["lib", "a", "a b/deep"] {
        std::fs::create_dir_all(root.0.join(directory)).unwrap();
    }
    let names: [&[u8]; 12] = [
        b"empty",
        b"new\nline",
        b"back\\slash",
        b"carriage\rreturn",
        b"x ->",
        b"-n",
        b" leading",
        b"lib/a.so",
        b"a-",
        b"a/inside",
        b"a b/deep/\xe5\xb8\xb3\xe7\xa5\xa8",
        b"not utf-8 \xff",
    ];
    for (index, name) in names.iter().enumerate() {
        let content = vec![b'x'; index * 7];
        std::fs::write(root.0.join(std::ffi::OsStr::from_bytes(name)), content).unwrap();
    }
    for (name, target) in [("link", "lib/a.so"), ("li\nnk", "no\\where\n"), ("a link", "/etc"), ("lib/up", "..")] {
        std::os::unix::fs::symlink(target, root.0.join(name)).unwrap();
    }
    let mut expected = FileList::new();
    list(&root.0, &root.0, &mut expected);
    assert_eq!(expected.len(), 16);

    let output = Command::new("bash").arg("-c").arg(COREUTILS).current_dir(&root.0).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (found, expected) = (output.stdout, expected.to_bytes());
    assert_eq!(String::from_utf8_lossy(&found), String::from_utf8_lossy(&expected));
    assert_eq!(Digest::of(&found), Digest::of(&expected));
    assert_eq!(FileList::parse(&found).unwrap().len(), 16);
}
