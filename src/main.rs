//! The `acefleet` program: the command line alone, on top of the library.

mod cli;

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// A write makes many small allocations on several threads, and another thread frees them. Of four allocators this one keeps the
/// least unused memory. RocksDB keeps the C library's allocator: replacing that one hangs with a preloaded library that changes
/// clocks.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Settings that the allocator reads at its start. Two arenas, or each core would keep pages of its own. Free pages return to the
/// system within about a second, also without allocations. No huge pages, which would hold a few small records each.
#[allow(unsafe_code, reason = "a name that the allocator looks for; nothing else in this program exports it")]
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static MALLOC_CONF: &[u8; 80] =
    b"narenas:2,dirty_decay_ms:1000,muzzy_decay_ms:0,background_thread:true,thp:never\0";

fn main() -> ExitCode {
    cli::main()
}
