//! The texts in events: pieces of one fixed text, so that making one is a copy and not a loop over letters.

use super::random::{Draws, mix};

/// A power of two, small enough to stay in the second cache.
const TEXT_BYTES: usize = 64 * 1024;

/// Longer pieces are not asked for.
const LONGEST_PIECE: usize = 1024;

const HOT_CHANNELS: [(&str, &str); 4] = [
    (
        "Google",
        "https://www.nexmark.com/googl/dafge/tqoep/item.htm?query=1",
    ),
    (
        "Facebook",
        "https://www.nexmark.com/faceb/okjch/lkpro/item.htm?query=1",
    ),
    (
        "Baidu",
        "https://www.nexmark.com/baidu/ngida/qmoen/item.htm?query=1",
    ),
    (
        "Apple",
        "https://www.nexmark.com/apple/fnhae/jdolp/item.htm?query=1",
    ),
];

/// How many channels there are beside the hot ones.
const CHANNELS: u64 = 10_000;

/// A text of random letters that other texts are cut out of.
#[derive(Clone, Debug)]
pub(crate) struct Text(String);

impl Text {
    pub(crate) fn new() -> Self {
        let letters = (0..TEXT_BYTES as u64).map(|place| {
            let letter = (mix(place) % 26) as u8;
            char::from(b'a' + letter)
        });
        Self(letters.collect())
    }

    /// A piece of `length` bytes, which must not be above [`LONGEST_PIECE`].
    #[inline]
    pub(crate) fn piece(&self, draws: &mut Draws, length: usize) -> &str {
        self.piece_at(draws.below((TEXT_BYTES - LONGEST_PIECE) as u64), length)
    }

    #[inline]
    fn piece_at(&self, start: u64, length: usize) -> &str {
        let start = start as usize;
        &self.0[start..start + length.min(LONGEST_PIECE)]
    }

    /// Fills an event up to about `average` bytes, give or take a fifth, given that it has `bytes` already.
    #[inline]
    pub(crate) fn filler(&self, draws: &mut Draws, bytes: usize, average: usize) -> String {
        let missing = average.saturating_sub(bytes) as u64;
        let tolerance = missing / 5;
        let (more, start) = draws.pair_below(2 * tolerance + 1, (TEXT_BYTES - LONGEST_PIECE) as u64);
        self.piece_at(start, (missing - tolerance + more) as usize)
            .to_owned()
    }

    /// A channel and its address: one of four hot ones for every other bid.
    #[inline]
    pub(crate) fn channel(&self, draws: &mut Draws) -> (String, String) {
        let (hot, which) = draws.pair_below(2, CHANNELS);
        if hot > 0 {
            let (channel, url) = HOT_CHANNELS[which as usize % HOT_CHANNELS.len()];
            return (channel.to_owned(), url.to_owned());
        }
        let digits = digits(which);
        let mut channel = String::with_capacity(12);
        channel.push_str("channel-");
        channel.push_str(as_text(&digits));
        // A channel's address is a function of the channel, as if it had been looked up.
        let mut place = Draws::of(which);
        let mut url = String::with_capacity(84);
        url.push_str("https://www.nexmark.com/");
        url.push_str(self.piece(&mut place, 5));
        url.push('/');
        url.push_str(self.piece(&mut place, 5));
        url.push_str("/item.htm?query=1&channel_id=");
        url.push_str(as_text(&digits));
        (channel, url)
    }
}

fn digits(number: u64) -> [u8; 4] {
    let digit = |unit: u64| b'0' + (number / unit % 10) as u8;
    [digit(1000), digit(100), digit(10), digit(1)]
}

fn as_text(digits: &[u8; 4]) -> &str {
    std::str::from_utf8(digits).expect("digits are text")
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    #[test]
    fn half_of_the_channels_are_hot_and_every_channel_has_one_address() {
        let text = Text::new();
        let mut urls: HashMap<String, String> = HashMap::new();
        let mut hot = 0;
        for number in 0..20_000 {
            let (channel, url) = text.channel(&mut Draws::of(number));
            hot += u32::from(!channel.starts_with("channel-"));
            assert_eq!(urls.entry(channel).or_insert_with(|| url.clone()), &url);
        }
        assert!((9_700..10_300).contains(&hot), "{hot}");
        assert!(urls.len() > 5_000);
    }

    #[test]
    fn pieces_differ() {
        let text = Text::new();
        let pieces: HashSet<_> = (0..1_000)
            .map(|n| text.piece(&mut Draws::of(n), 12).to_owned())
            .collect();
        assert!(pieces.len() > 950);
    }
}
