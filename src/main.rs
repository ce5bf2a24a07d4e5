//! The command line. It parses arguments, turns failures into one line and an exit code, and decides
//! nothing else.

mod cli;

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// A write makes many small allocations on several threads, and the decoder of entries frees what others allocated. Of four
/// allocators this one keeps the least memory that nobody uses. Not for RocksDB: in place of the C library's it would be called
/// by libraries that are loaded before it, and hangs with one that changes clocks.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// What the allocator reads when it starts: two arenas, or each core would keep pages of its own; free pages go back to the
/// system within a second or so, also when nothing is allocated; no huge pages, which would hold a few small records each.
#[allow(unsafe_code, reason = "a name that the allocator looks for; nothing else in this program exports it")]
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static MALLOC_CONF: &[u8; 80] =
    b"narenas:2,dirty_decay_ms:1000,muzzy_decay_ms:0,background_thread:true,thp:never\0";

fn main() -> ExitCode {
    cli::main()
}
