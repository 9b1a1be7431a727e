//! A migration added without any other change must be compiled in.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
