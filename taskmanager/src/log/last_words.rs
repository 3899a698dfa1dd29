//! The last lines of a stream.

use std::collections::VecDeque;

use tidegate_proto::taskmanager::LAST_WORDS_LIMIT_BYTES;

/// Keeps the last lines of a stream of bytes, at most [`LAST_WORDS_LIMIT_BYTES`].
#[derive(Debug, Default)]
pub(crate) struct LastWords {
    bytes: VecDeque<u8>,
    /// Whether there was more before.
    cut: bool,
}

impl LastWords {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        let excess = self.bytes.len().saturating_sub(LAST_WORDS_LIMIT_BYTES);
        self.cut |= excess > 0;
        self.bytes.drain(..excess);
    }

    /// Whole lines, if there is one; of a single line that is too long, its end.
    pub(crate) fn text(&self) -> String {
        let (front, back) = self.bytes.as_slices();
        let mut bytes = [front, back].concat();
        if self.cut {
            let first_line = bytes.iter().position(|byte| *byte == b'\n');
            match first_line {
                Some(end) if end + 1 < bytes.len() => drop(bytes.drain(..=end)),
                _ => {}
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        let mut text = text.trim_end();
        // What is no UTF-8 becomes longer.
        while text.len() > LAST_WORDS_LIMIT_BYTES {
            let mut rest = text.chars();
            rest.next();
            text = rest.as_str();
        }
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(chunks: &[&[u8]]) -> String {
        let mut words = LastWords::default();
        for chunk in chunks {
            words.push(chunk);
        }
        words.text()
    }

    #[test]
    fn whole_lines_are_kept() {
        assert_eq!(said(&[]), "");
        assert_eq!(said(&[b"one\ntw", b"o\n"]), "one\ntwo");
        let long = vec![b'x'; LAST_WORDS_LIMIT_BYTES];
        assert_eq!(said(&[&long, b"\nlast\n"]), "last");
        assert_eq!(said(&[&long, b"y"]).len(), LAST_WORDS_LIMIT_BYTES);
        assert!(said(&[&long, b"y"]).ends_with("xy"));
    }

    proptest! {
        #[test]
        fn they_are_a_bounded_text_whatever_was_said(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..3000), 0..5)
        ) {
            let chunks: Vec<_> = chunks.iter().map(Vec::as_slice).collect();
            prop_assert!(said(&chunks).len() <= LAST_WORDS_LIMIT_BYTES);
        }
    }
}
