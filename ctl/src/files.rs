//! Files that are there whole or not at all, and their compression.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use flate2::Compression;

use crate::ending::{at_end, AtEnd};

/// What the names of unfinished files end with.
const PART: &str = ".part";

/// A file that is written beside its place and takes it when it is whole.
pub struct NewFile {
    file: File,
    /// Its name until then, and its place; none where the place is no file, such as a pipe or a device.
    names: Option<(PathBuf, PathBuf)>,
    removal: Option<AtEnd>,
}

impl NewFile {
    pub fn create(place: &Path) -> io::Result<NewFile> {
        // Through links, so that they stay.
        let place = fs::canonicalize(place).unwrap_or_else(|_| place.to_owned());
        let is_other = fs::metadata(&place).is_ok_and(|there| !there.is_file());
        if is_other {
            let file = File::options().write(true).open(&place)?;
            return Ok(NewFile { file, names: None, removal: None });
        }
        let name = place.file_name().ok_or_else(|| io::Error::other("this is no name of a file"))?.to_owned();
        let name = name.to_string_lossy();
        let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        remove_leftovers(folder, &name);
        let beside = folder.join(format!(".{name}.{}{PART}", process::id()));
        let remove = beside.clone();
        // Before it is made, so that no signal comes between. Where there is none, there is nothing to do.
        let removal = at_end(move || drop(fs::remove_file(remove)));
        let file = File::create(&beside)?;
        Ok(NewFile { file, names: Some((beside, place)), removal: Some(removal) })
    }

    /// Puts it into its place.
    pub fn finish(mut self) -> io::Result<()> {
        self.file.flush()?;
        if let Some((beside, place)) = &self.names {
            self.file.sync_data()?;
            fs::rename(beside, place)?;
            if let Some(removal) = self.removal.take() {
                removal.forget();
            }
        }
        Ok(())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Removes what programs left that were killed without a chance to do it.
fn remove_leftovers(folder: &Path, name: &str) {
    let begin = format!(".{name}.");
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    for entry in entries {
        let file = entry.file_name();
        let process = file.to_str().and_then(|file| file.strip_prefix(&begin)?.strip_suffix(PART));
        let Some(process) = process.filter(|id| id.bytes().all(|byte| byte.is_ascii_digit())) else {
            continue;
        };
        if Path::new("/proc/self").exists() && !Path::new("/proc").join(process).exists() {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Replaces a small file's text.
pub fn replace(place: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = NewFile::create(place)?;
    file.write_all(text)?;
    file.finish()
}

/// A file of lines, compressed as its name says.
pub enum Written {
    Plain(BufWriter<NewFile>),
    Gzip(Box<GzEncoder<BufWriter<NewFile>>>),
    Zstd(Box<zstd::Encoder<'static, BufWriter<NewFile>>>),
}

impl Written {
    pub fn create(name: &str) -> io::Result<Written> {
        let file = BufWriter::with_capacity(1 << 16, NewFile::create(Path::new(name))?);
        Ok(match Form::of(name) {
            Form::Plain => Written::Plain(file),
            Form::Gzip => Written::Gzip(Box::new(GzEncoder::new(file, Compression::default()))),
            Form::Zstd => Written::Zstd(Box::new(zstd::Encoder::new(file, 0)?)),
        })
    }

    pub fn line(&mut self, line: &[u8]) -> io::Result<()> {
        let writer: &mut dyn Write = match self {
            Written::Plain(writer) => writer,
            Written::Gzip(writer) => writer.as_mut(),
            Written::Zstd(writer) => writer.as_mut(),
        };
        writer.write_all(line)?;
        writer.write_all(b"\n")
    }

    pub fn finish(self) -> io::Result<()> {
        let file = match self {
            Written::Plain(writer) => writer,
            Written::Gzip(writer) => writer.finish()?,
            Written::Zstd(writer) => writer.finish()?,
        };
        file.into_inner().map_err(io::IntoInnerError::into_error)?.finish()
    }
}

/// How a file is compressed.
enum Form {
    Plain,
    Gzip,
    Zstd,
}

impl Form {
    fn of(name: &str) -> Form {
        match Path::new(name).extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Form::Gzip,
            Some("zst") => Form::Zstd,
            _ => Form::Plain,
        }
    }
}

/// A text, and how much of its file was read.
pub struct Text {
    /// Decompressed as the name says.
    reader: Box<dyn Read>,
    /// The file's bytes; none where that is not known.
    size: Option<u64>,
    read: Arc<AtomicU64>,
}

impl Text {
    /// Opens a file; `-` is standard input.
    pub fn open(name: &str) -> io::Result<Text> {
        let read = Arc::new(AtomicU64::new(0));
        if name == "-" {
            return Ok(Text { reader: Box::new(io::stdin().lock()), size: None, read });
        }
        let file = File::open(name)?;
        let there = file.metadata()?;
        let size = there.is_file().then_some(there.len());
        let file = BufReader::with_capacity(1 << 16, Counted { file, read: Arc::clone(&read) });
        let reader: Box<dyn Read> = match Form::of(name) {
            Form::Plain => Box::new(file),
            Form::Gzip => Box::new(MultiGzDecoder::new(file)),
            Form::Zstd => Box::new(zstd::Decoder::with_buffer(file)?),
        };
        Ok(Text { reader, size, read })
    }

    /// What reads it; once.
    pub fn take_reader(&mut self) -> Box<dyn Read> {
        std::mem::replace(&mut self.reader, Box::new(io::empty()))
    }

    /// How many records there are, if it goes on as it was for so many.
    pub fn estimate(&self, records: u64) -> Option<u64> {
        let (size, read) = (self.size?, self.read.load(Ordering::Relaxed));
        let all = u128::from(records) * u128::from(size) / u128::from(read.max(1));
        u64::try_from(all).ok()
    }
}

/// Counts what is read of a file.
struct Counted {
    file: File,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(bytes)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
