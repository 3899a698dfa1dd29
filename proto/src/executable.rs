//! What the first bytes of an executable say about where it runs.
//!
//! Both the door where executables are uploaded and the machines that run them look, so that what cannot be run is refused
//! by name and not by whatever a kernel makes of it.

/// How many bytes from the beginning are enough.
pub const EXECUTABLE_HEADER_BYTES: usize = 20;

/// Bytes that are no executable of Linux.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the file is {found} and no executable of Linux; upload the executable that `cargo build --release` makes of a job"
)]
pub struct NotExecutable {
    /// What they seem to be.
    pub found: &'static str,
}

/// ELF machines that Rust compiles for, by number: as [`std::env::consts::ARCH`] calls them with 64 and with 32 bits.
const MACHINES: [(u16, &str, &str); 10] = [
    (3, "x86", "x86"),
    (8, "mips64", "mips"),
    (20, "powerpc", "powerpc"),
    (21, "powerpc64", "powerpc64"),
    (22, "s390x", "s390"),
    (40, "arm", "arm"),
    (62, "x86_64", "x86_64"),
    (183, "aarch64", "aarch64"),
    (243, "riscv64", "riscv32"),
    (258, "loongarch64", "loongarch32"),
];

/// What files begin with that are uploaded by mistake.
const OTHERS: [(&[u8], &str); 10] = [
    (b"#!", "a script"),
    (b"MZ", "an executable of Windows"),
    (b"\xcf\xfa\xed\xfe", "an executable of macOS"),
    (b"\xca\xfe\xba\xbe", "an executable of macOS or a Java class"),
    (b"PK", "an archive"),
    (b"\x1f\x8b", "a compressed file"),
    (b"\x28\xb5\x2f\xfd", "a compressed file"),
    (b"!<arch>", "a library"),
    (b"{", "text"),
    (b"<", "text"),
];

/// What an executable that begins with `header` was compiled for, as architecture-system: see
/// [`own_target`](crate::control::Registration::own_target). One for a machine that is not known is named by its number.
///
/// # Errors
/// If it is none, with what it is.
pub fn executable_target(header: &[u8]) -> Result<String, NotExecutable> {
    let Some(rest) = header.strip_prefix(b"\x7fELF") else {
        let other = OTHERS.iter().find(|(magic, _)| header.starts_with(magic));
        let found = match other {
            Some((_, found)) => found,
            None if header.is_empty() => "empty",
            None => "data",
        };
        return Err(NotExecutable { found });
    };
    // As in the System V ABI, chapter 4: class and byte order at 4 and 5, kind of file at 16, machine at 18.
    let fields = rest
        .first_chunk::<2>()
        .zip(rest.get(12..).and_then(<[u8]>::first_chunk::<4>));
    let Some((&[class, order], &[kind_0, kind_1, machine_0, machine_1])) = fields else {
        let found = "the beginning of an executable";
        return Err(NotExecutable { found });
    };
    let number = |bytes| match order {
        2 => u16::from_be_bytes(bytes),
        _ => u16::from_le_bytes(bytes),
    };
    match number([kind_0, kind_1]) {
        // Those that stay where they are, and those that can be put anywhere.
        2 | 3 => Ok(format!(
            "{}-linux",
            machine_name(number([machine_0, machine_1]), class)
        )),
        1 => Err(NotExecutable {
            found: "an object file",
        }),
        4 => Err(NotExecutable { found: "a core dump" }),
        _ => Err(NotExecutable {
            found: "an ELF file of an unknown kind",
        }),
    }
}

fn machine_name(number: u16, class: u8) -> String {
    let known = MACHINES.iter().find(|(known, ..)| *known == number);
    match known {
        Some((_, wide, _)) if class == 2 => (*wide).to_owned(),
        Some((.., narrow)) => (*narrow).to_owned(),
        None => format!("machine{number}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn elf(class: u8, order: u8, kind: u16, machine: u16) -> Vec<u8> {
        let number = |number: u16| match order {
            2 => number.to_be_bytes(),
            _ => number.to_le_bytes(),
        };
        let mut header = vec![0x7f, b'E', b'L', b'F', class, order];
        header.resize(16, 0);
        header.extend(number(kind));
        header.extend(number(machine));
        header
    }

    #[test]
    fn executables_are_told_apart_by_machine() {
        for (header, target) in [
            (elf(2, 1, 3, 62), "x86_64-linux"),
            (elf(2, 1, 2, 62), "x86_64-linux"),
            (elf(2, 1, 3, 183), "aarch64-linux"),
            (elf(1, 1, 2, 3), "x86-linux"),
            (elf(1, 1, 2, 243), "riscv32-linux"),
            (elf(2, 2, 2, 22), "s390x-linux"),
            (elf(2, 1, 2, 9999), "machine9999-linux"),
        ] {
            assert_eq!(executable_target(&header).as_deref(), Ok(target));
        }
    }

    #[test]
    fn what_is_none_is_named() {
        for (header, found) in [
            (elf(2, 1, 1, 62), "an object file"),
            (elf(2, 1, 4, 62), "a core dump"),
            (elf(2, 1, 9, 62), "unknown kind"),
            (elf(2, 1, 3, 62)[..12].to_vec(), "the beginning"),
            (b"\x7fELF".to_vec(), "the beginning"),
            (vec![], "the file is empty"),
            (b"#!/bin/sh\n".to_vec(), "a script"),
            (b"MZ\x90\0".to_vec(), "Windows"),
            (vec![0xcf, 0xfa, 0xed, 0xfe], "macOS"),
            (b"{\"job\":1}".to_vec(), "text"),
            (b"hello".to_vec(), "data"),
        ] {
            let error = executable_target(&header).unwrap_err().to_string();
            assert!(error.contains(found), "{error}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_very_executable_runs_here() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let target = crate::control::Registration::own_target();
        assert_eq!(executable_target(&own[..EXECUTABLE_HEADER_BYTES]), Ok(target));
    }

    proptest! {
        #[test]
        fn random_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = executable_target(&bytes);
            let _ = executable_target(&[&[0x7f, b'E', b'L', b'F'], &bytes[..]].concat());
        }
    }
}
