//! A byte that the kernel clears in every forked child, however the fork was made: by `fork`,
//! `_Fork` or the bare system call.

use std::ptr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::OnceLock;

/// The byte; null where the kernel has no such memory (Linux before 4.14, other systems).
struct Mark(*const AtomicU8);

// SAFETY: it points to an atomic byte that is never unmapped.
unsafe impl Send for Mark {}
// SAFETY: as above.
unsafe impl Sync for Mark {}

fn mark() -> Option<&'static AtomicU8> {
    static MARK: OnceLock<Mark> = OnceLock::new();
    let mark = MARK.get_or_init(|| Mark(map().unwrap_or(ptr::null())));
    // SAFETY: null, or a byte of a page that stays mapped and that nothing else touches.
    unsafe { mark.0.as_ref() }
}

/// A page of its own, since it is cleared as a whole.
#[cfg(target_os = "linux")]
fn map() -> Option<*const AtomicU8> {
    const SIZE: usize = 1;
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping, which touches no other memory.
    let page = unsafe { libc::mmap(ptr::null_mut(), SIZE, protection, flags, -1, 0) };
    if page == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: the page that was just mapped.
    if unsafe { libc::madvise(page, SIZE, libc::MADV_WIPEONFORK) } != 0 {
        // SAFETY: as above; nobody has a pointer to it.
        unsafe { libc::munmap(page, SIZE) };
        return None;
    }
    let mark = page.cast::<AtomicU8>().cast_const();
    // SAFETY: the first byte of the page, which is aligned and zero.
    unsafe { &*mark }.store(1, Ordering::SeqCst);
    Some(mark)
}

#[cfg(not(target_os = "linux"))]
fn map() -> Option<*const AtomicU8> {
    None
}

/// Whether there is a mark. The first call makes it.
pub(super) fn exists() -> bool {
    mark().is_some()
}

/// Whether this process was forked since the mark was set last; sets it again. One load otherwise.
pub(super) fn is_fresh_child() -> bool {
    mark().is_some_and(|mark| mark.load(Ordering::Relaxed) == 0 && mark.swap(1, Ordering::SeqCst) == 0)
}
