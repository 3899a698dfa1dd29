//! `#[derive(Key)]`: the published key encoding for structs and enums.
//!
//! The derive writes `tidegate::EncodeKey` and nothing else. A key is also compared, cloned and stored, so the type
//! derives `Clone, PartialEq, Eq, Serialize, Deserialize` beside it.

mod key;

use proc_macro::TokenStream;

/// Makes a struct or an enum a key by the published encoding: a struct is its fields in order, an enum is the index of
/// the variant as a little-endian `u32` and then the variant's fields.
///
/// The encoding is in people's snapshots. Reordering fields or variants, or inserting a variant before others, changes
/// it; appending a variant does not.
///
/// Type parameters must be keys themselves.
#[proc_macro_derive(Key)]
pub fn derive_key(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    key::expand(&input)
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}
