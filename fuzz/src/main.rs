//! Reads inputs of libFuzzer with the target that `ELMAN_FUZZ_TARGET` names.

#![no_main]

#[path = "../../tests/allocations.rs"]
mod allocations;
#[allow(dead_code, reason = "the trials use the rest")]
mod targets;

use std::cell::LazyCell;

use allocations::NotingAllocator;
use libfuzzer_sys::{Corpus, fuzz_target};
use targets::{Bench, TARGETS, Target};

#[global_allocator]
static ALLOCATOR: NotingAllocator = NotingAllocator;

thread_local! {
    static STATE: LazyCell<(Bench, &'static Target)> = LazyCell::new(|| {
        let name = std::env::var("ELMAN_FUZZ_TARGET").expect("ELMAN_FUZZ_TARGET names a target");
        let target = TARGETS.iter().find(|target| target.name == name);
        let bench = Bench::new().expect("valid files");
        (bench, target.unwrap_or_else(|| panic!("there is no target {name}")))
    });
}

fuzz_target!(|input: &[u8]| -> Corpus {
    let is_read = STATE.with(|state| state.0.read(state.1, input));
    if is_read {
        Corpus::Keep
    } else {
        Corpus::Reject
    }
});
