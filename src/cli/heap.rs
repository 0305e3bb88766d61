//! Memory that was freed, back to the system.

/// Has glibc give back what it keeps of freed memory: by itself it holds on to vectors of the size
/// of parameters, and a run to the memory of the last checkpoint it wrote. Elsewhere nothing needs
/// to be done.
pub(super) fn trim_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "malloc_trim is a function of C")]
    // SAFETY: it may be called at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
