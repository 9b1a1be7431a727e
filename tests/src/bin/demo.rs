//! The demo: a fleet of 123 municipalities on one machine. `tests::demo` has all of it.

use std::process::ExitCode;

fn main() -> ExitCode {
    // First of all, or the first TLS connection has no cryptography to use.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("demo: another cryptographic provider is installed already");
        return ExitCode::FAILURE;
    }
    // One thread starts every process, so that they end with it.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("demo: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(tests::demo::main())
}
