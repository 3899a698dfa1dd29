//! Writes `EncodeKey` for a type.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{
    Data, DataEnum, DeriveInput, Error, Fields, Generics, Ident, Result, parse_quote, spanned::Spanned,
};

/// The implementation of `EncodeKey` for `input`.
///
/// # Errors
/// If `input` is a union: which of its fields is valid cannot be known.
pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let body = match &input.data {
        Data::Struct(data) => struct_body(&data.fields),
        Data::Enum(data) => enum_body(data)?,
        Data::Union(_) => {
            return Err(Error::new_spanned(
                &input.ident,
                "a union cannot be a key; use an enum, which knows its variant",
            ));
        }
    };
    let name = &input.ident;
    let generics = with_key_bounds(input.generics.clone());
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics ::tidegate::EncodeKey for #name #type_generics #where_clause {
            #[inline]
            fn encode(&self, encoder: &mut ::tidegate::KeyEncoder, last: bool) {
                #body
            }
        }
    })
}

fn with_key_bounds(mut generics: Generics) -> Generics {
    for parameter in generics.type_params_mut() {
        parameter.bounds.push(parse_quote!(::tidegate::EncodeKey));
    }
    generics
}

fn struct_body(fields: &Fields) -> TokenStream {
    let (bindings, encoding) = encoding(fields);
    let pattern = pattern(fields, &bindings);
    quote! {
        let Self #pattern = self;
        #encoding
    }
}

fn enum_body(data: &DataEnum) -> Result<TokenStream> {
    let arms = data
        .variants
        .iter()
        .enumerate()
        .map(|(index, variant)| {
            let index = u32::try_from(index)
                .map_err(|_| Error::new_spanned(variant, "a key has at most 2^32 variants"))?;
            let (bindings, encoding) = encoding(&variant.fields);
            let pattern = pattern(&variant.fields, &bindings);
            let name = &variant.ident;
            Ok(quote! {
                Self::#name #pattern => {
                    encoder.fixed(&u32::to_le_bytes(#index));
                    #encoding
                }
            })
        })
        .collect::<Result<Vec<_>>>()?;
    if arms.is_empty() {
        return Ok(quote! {
            let _ = (encoder, last);
            match *self {}
        });
    }
    Ok(quote! { match self { #(#arms)* } })
}

/// Names for the fields, and the statements that encode them in order. Only the last field may go without a length.
fn encoding(fields: &Fields) -> (Vec<Ident>, TokenStream) {
    let bindings: Vec<_> = (0..fields.len())
        .map(|index| format_ident!("field_{index}"))
        .collect();
    let statements = fields
        .iter()
        .zip(&bindings)
        .enumerate()
        .map(|(index, (field, binding))| {
            let last = if index + 1 == fields.len() {
                quote!(last)
            } else {
                quote!(false)
            };
            let ty = &field.ty;
            // The field's own span makes a field that is not a key the place the compiler points at.
            quote_spanned! { ty.span() =>
                <#ty as ::tidegate::EncodeKey>::encode(#binding, encoder, #last);
            }
        });
    let ignored = if fields.is_empty() {
        quote!(let _ = (&encoder, last);)
    } else {
        quote!()
    };
    let encoding = quote! { #ignored #(#statements)* };
    (bindings, encoding)
}

fn pattern(fields: &Fields, bindings: &[Ident]) -> TokenStream {
    match fields {
        Fields::Named(named) => {
            let names = named.named.iter().map(|field| &field.ident);
            quote!({ #(#names: #bindings),* })
        }
        Fields::Unnamed(_) => quote!(( #(#bindings),* )),
        Fields::Unit => quote!(),
    }
}
