//! The `elman` program: runs the command line, prints errors with their causes, sets the exit code.

#![warn(clippy::print_stderr, clippy::print_stdout)]

use std::process::ExitCode;

use elman::cli::{Cli, exit_code, is_broken_pipe, name_rank_in_panics, write_error};
use elman::parallel;

/// Keeps Mesa's Vulkan layer that orders adapters by the display from writing two lines about
/// `XDG_RUNTIME_DIR` to standard error where there is no display. A layer is disabled only by a
/// variable, which the Vulkan loader reads in this process. Where users order adapters with the
/// layer themselves, it stays.
#[cfg(target_os = "linux")]
fn disable_device_selection() {
    let is_set = |name| std::env::var_os(name).is_some();
    let has_display = std::env::var_os("XDG_RUNTIME_DIR")
        .is_some_and(|path| std::path::Path::new(&path).is_absolute());
    if has_display
        || ["MESA_VK_DEVICE_SELECT", "DRI_PRIME"]
            .into_iter()
            .any(is_set)
    {
        return;
    }
    #[expect(
        unsafe_code,
        reason = "another thread must not use the environment meanwhile"
    )]
    // SAFETY: `main` calls this first. No code of this process has started a thread before: Rust's
    // runtime and the loader of the executable start none, and no library of Vulkan is loaded yet.
    unsafe {
        std::env::set_var("NODEVICE_SELECT", "1");
    }
}

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    disable_device_selection();
    let run = parallel::start()
        .inspect(|()| name_rank_in_panics())
        .and_then(|()| parallel::world().agree(Cli::from_arguments(std::env::args_os())))
        .and_then(Cli::run);
    let (code, failure) = match run {
        Ok(code) => (code, None),
        // `elman generate | head` closes the pipe early, which is not a failure.
        Err(error) if is_broken_pipe(&error) => (ExitCode::SUCCESS, None),
        Err(error) => {
            write_error(&error);
            let code = exit_code(&error);
            (ExitCode::from(code), Some(code))
        }
    };
    parallel::finish(failure);
    code
}
