//! How both ends of a connection prove that they know the cluster secret without sending it. Pure, but for the nonces.
//!
//! A challenge and a response in both directions, after ISO/IEC 9798-4 (mechanism 4, three-pass mutual authentication with
//! a keyed check function), with HMAC-SHA-256 (RFC 2104). Each proof covers who it is from, both nonces and the
//! handshake that it vouches for, so that none can be turned around, replayed, or used for another attempt.
//!
//! ```text
//!   connecting                          accepting
//!     │ handshake, its nonce               │
//!     │───────────────────────────────────▶│
//!     │                 the other's nonce  │
//!     │◀───────────────────────────────────│
//!     │ proof                              │  wrong: refused before anything else is said
//!     │───────────────────────────────────▶│
//!     │          handshake, proof of its own
//!     │◀───────────────────────────────────│  wrong: the connection is closed
//! ```

use std::{fmt, sync::Arc};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The length of a nonce and of a proof.
pub(crate) const TOKEN_BYTES: usize = 32;

/// A nonce or a proof.
pub(crate) type Token = [u8; TOKEN_BYTES];

/// What the workers of a cluster know and others do not. Debug output does not show it.
#[derive(Clone)]
pub struct PeerSecret(Arc<[u8]>);

/// Which end a proof is from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// The one that connects.
    Connecting,
    /// The one that accepts.
    Accepting,
}

impl End {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Connecting => b"tidegate data connection 1, connecting",
            Self::Accepting => b"tidegate data connection 1, accepting",
        }
    }
}

/// The nonces of both ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Nonces {
    pub(crate) connecting: Token,
    pub(crate) accepting: Token,
}

/// Bytes that nobody can foresee.
pub(crate) fn nonce() -> Token {
    rand::random()
}

impl PeerSecret {
    /// The secret as bytes.
    pub fn new(secret: &[u8]) -> Self {
        Self(secret.into())
    }

    /// What `end` shows to prove it.
    pub(crate) fn proof(&self, end: End, nonces: &Nonces, handshake: &[u8]) -> Token {
        self.code(end, nonces, handshake).finalize().into_bytes().into()
    }

    /// Whether `end` has proved it; takes the same time for every wrong proof.
    pub(crate) fn is_proved(&self, end: End, nonces: &Nonces, handshake: &[u8], proof: &Token) -> bool {
        self.code(end, nonces, handshake).verify_slice(proof).is_ok()
    }

    fn code(&self, end: End, nonces: &Nonces, handshake: &[u8]) -> Hmac<Sha256> {
        let mut code = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key may have any length");
        // All but the last part have fixed lengths for an end, so no two inputs run together.
        code.update(end.label());
        code.update(&nonces.connecting);
        code.update(&nonces.accepting);
        code.update(handshake);
        code
    }
}

impl fmt::Debug for PeerSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCES: Nonces = Nonces {
        connecting: [1; TOKEN_BYTES],
        accepting: [2; TOKEN_BYTES],
    };

    #[test]
    fn a_proof_is_good_for_one_end_one_exchange_and_one_handshake() {
        let secret = PeerSecret::new(b"correct horse battery staple");
        let proof = secret.proof(End::Connecting, &NONCES, b"handshake");
        assert!(secret.is_proved(End::Connecting, &NONCES, b"handshake", &proof));
        let swapped = Nonces {
            connecting: NONCES.accepting,
            accepting: NONCES.connecting,
        };
        let fresh = Nonces {
            accepting: [3; TOKEN_BYTES],
            ..NONCES
        };
        let mut damaged = proof;
        damaged[TOKEN_BYTES - 1] ^= 1;
        let other = PeerSecret::new(b"another secret altogether");
        for (secret, end, nonces, handshake, proof) in [
            (&other, End::Connecting, NONCES, &b"handshake"[..], proof),
            (&secret, End::Accepting, NONCES, b"handshake", proof),
            (&secret, End::Connecting, swapped, b"handshake", proof),
            (&secret, End::Connecting, fresh, b"handshake", proof),
            (&secret, End::Connecting, NONCES, b"handshakes", proof),
            (&secret, End::Connecting, NONCES, b"handshake", damaged),
            (&secret, End::Connecting, NONCES, b"handshake", [0; TOKEN_BYTES]),
        ] {
            assert!(
                !secret.is_proved(end, &nonces, handshake, &proof),
                "{end:?} {nonces:?}"
            );
        }
    }

    #[test]
    fn nonces_differ_and_the_secret_is_not_shown() {
        assert_ne!(nonce(), nonce());
        assert!(!format!("{:?}", PeerSecret::new(b"hidden")).contains("hidden"));
    }
}
