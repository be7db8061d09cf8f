//! The `lockmaster` program: see [`lockmaster::cli`].

fn main() -> std::process::ExitCode {
    lockmaster::cli::main()
}
