//! BSON documents, written byte by byte: nothing here recurses, and nothing is built up before.
//! See <https://bsonspec.org/spec.html>.

/// Writes one document, or several one after the other. That containers are closed is the
/// caller's part.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    /// Where the containers that are open began.
    open: Vec<usize>,
}

/// The kinds of elements.
#[derive(Clone, Copy)]
enum Kind {
    Double = 1,
    Text = 2,
    Document = 3,
    Array = 4,
    Bool = 8,
    Null = 10,
    Int32 = 16,
    Int64 = 18,
}

impl Writer {
    pub fn with_capacity(bytes: usize) -> Writer {
        Writer { bytes: Vec::with_capacity(bytes), open: Vec::new() }
    }

    /// Begins a document that is in no other.
    pub fn start(&mut self) {
        self.open.push(self.bytes.len());
        // Its length is known at its end.
        self.bytes.extend_from_slice(&[0; 4]);
    }

    /// Ends the container that was begun last.
    pub fn end(&mut self) {
        self.bytes.push(0);
        let Some(start) = self.open.pop() else { return };
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        self.bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }

    /// Begins a document that is an element; its name has no NUL, here and everywhere below.
    pub fn document(&mut self, name: &str) {
        self.element(Kind::Document, name);
        self.start();
    }

    /// Begins an array; the names of its elements are their numbers from 0.
    pub fn array(&mut self, name: &str) {
        self.element(Kind::Array, name);
        self.start();
    }

    pub fn text(&mut self, name: &str, text: &str) {
        self.element(Kind::Text, name);
        let length = u32::try_from(text.len() + 1).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
    }

    pub fn double(&mut self, name: &str, number: f64) {
        self.element(Kind::Double, name);
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    pub fn int32(&mut self, name: &str, number: i32) {
        self.element(Kind::Int32, name);
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    pub fn int64(&mut self, name: &str, number: i64) {
        self.element(Kind::Int64, name);
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    /// In the smaller kind where it fits, as the JavaScript driver does.
    pub fn integer(&mut self, name: &str, number: i64) {
        match i32::try_from(number) {
            Ok(small) => self.int32(name, small),
            Err(_) => self.int64(name, number),
        }
    }

    pub fn bool(&mut self, name: &str, value: bool) {
        self.element(Kind::Bool, name);
        self.bytes.push(u8::from(value));
    }

    pub fn null(&mut self, name: &str) {
        self.element(Kind::Null, name);
    }

    /// An element that is a document, whole.
    pub fn whole_document(&mut self, name: &str, document: &[u8]) {
        self.element(Kind::Document, name);
        self.bytes.extend_from_slice(document);
    }

    fn element(&mut self, kind: Kind, name: &str) {
        self.bytes.push(kind as u8);
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// How many containers are open.
    pub fn depth(&self) -> usize {
        self.open.len()
    }

    /// Takes back what was written after there were so many bytes and open containers.
    pub fn rewind(&mut self, bytes: usize, depth: usize) {
        self.bytes.truncate(bytes);
        self.open.truncate(depth);
    }

    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}
