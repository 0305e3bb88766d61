//! Returning freed memory to the operating system.

/// Returns freed memory to the operating system. glibc keeps freed blocks of the size of a
/// parameter, so without this call a run keeps the memory that writing a checkpoint needed. On
/// other systems this does nothing.
pub(super) fn trim_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "malloc_trim is a C function")]
    // SAFETY: malloc_trim may be called at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
