//! Counts and hashes what is written or read.

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

/// Counts what passes through it.
pub(super) struct Counted<T> {
    pub inner: T,
    pub bytes: u64,
}

/// Hashes what passes through it.
pub(super) struct Hashed<T> {
    through: Counted<T>,
    hash: Sha256,
}

impl<T> Hashed<T> {
    pub fn new(inner: T) -> Self {
        Self { through: Counted { inner, bytes: 0 }, hash: Sha256::new() }
    }

    /// How many bytes passed, and their hash in hex.
    pub fn finish(self) -> (u64, String) {
        (self.through.bytes, hex(&self.hash.finalize()))
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.through.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.through.flush()
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.through.read(into)?;
        self.hash.update(&into[..read]);
        Ok(read)
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
