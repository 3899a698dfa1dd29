//! What the first bytes of an executable say about where it runs.
//!
//! Both the door where executables are uploaded and the machine that runs them look, so that one for another kind of
//! machine is refused by name and not by whatever the kernel makes of it.

use std::fmt;

/// How many bytes from the beginning are enough.
pub const EXECUTABLE_HEADER_BYTES: usize = 20;

/// Bytes that cannot be executed as a job.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotExecutable {
    /// They are for another kind of machine.
    #[error(
        "it is an executable for {found} and is to run on {wanted}; build the job for the cluster's machines"
    )]
    OtherMachine {
        /// What they are for, as architecture-system where that is known.
        found: String,
        /// What is wanted, as architecture-system.
        wanted: String,
    },
    /// They are something else.
    #[error(
        "it is {found} and no executable for {wanted}; upload what `cargo build --release` has made of the job"
    )]
    NoExecutable {
        /// What they seem to be.
        found: &'static str,
        /// What is wanted, as architecture-system.
        wanted: String,
    },
}

/// ELF machines that Rust compiles for, by number: with 64 bits, with 32 bits, and as little-endian.
const MACHINES: [(u16, &str, &str); 10] = [
    (3, "x86", "x86"),
    (8, "mips64", "mips"),
    (21, "powerpc64", "powerpc64"),
    (20, "powerpc", "powerpc"),
    (22, "s390x", "s390"),
    (40, "arm", "arm"),
    (62, "x86_64", "x86_64"),
    (183, "aarch64", "aarch64"),
    (243, "riscv64", "riscv32"),
    (258, "loongarch64", "loongarch32"),
];

/// Says whether what begins with `header` can be executed on machines of kind `target`, which is architecture-system as
/// [`own_target`](crate::control::Registration::own_target) has it. Only Linux is told apart by architecture.
///
/// # Errors
/// If it cannot, with what it is.
pub fn check_executable(header: &[u8], target: &str) -> Result<(), NotExecutable> {
    let wanted = || target.to_owned();
    let found = match Format::of(header) {
        Format::Elf(machine) => format!("{machine}-linux"),
        Format::Foreign(system) => system.to_owned(),
        Format::Other(found) => {
            return Err(NotExecutable::NoExecutable {
                found,
                wanted: wanted(),
            });
        }
    };
    if found == target {
        return Ok(());
    }
    Err(NotExecutable::OtherMachine {
        found,
        wanted: wanted(),
    })
}

enum Format {
    Elf(Machine),
    Foreign(&'static str),
    Other(&'static str),
}

struct Machine {
    number: u16,
    wide: bool,
}

impl Format {
    fn of(header: &[u8]) -> Self {
        match header {
            [] => Self::Other("empty"),
            [0x7f, b'E', b'L', b'F', rest @ ..] => Self::of_elf(rest),
            [b'#', b'!', ..] => Self::Other("a script"),
            [b'M', b'Z', ..] => Self::Foreign("windows"),
            [0xcf, 0xfa, 0xed, 0xfe, ..] | [0xca, 0xfe, 0xba, 0xbe, ..] => Self::Foreign("macos"),
            [b'P', b'K', ..] => Self::Other("an archive"),
            [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Other("a compressed file"),
            [b'!', b'<', b'a', b'r', b'c', b'h', b'>', ..] => Self::Other("a library"),
            _ => Self::Other("data"),
        }
    }

    /// As in the System V ABI, chapter 4: class and byte order at 4 and 5, kind of file at 16, machine at 18.
    fn of_elf(rest: &[u8]) -> Self {
        let (Some(&[class, order]), Some(&[kind_0, kind_1, machine_0, machine_1])) = (
            rest.first_chunk::<2>(),
            rest.get(12..).and_then(<[u8]>::first_chunk::<4>),
        ) else {
            return Self::Other("the beginning of an executable");
        };
        let number = |bytes: [u8; 2]| match order {
            2 => u16::from_be_bytes(bytes),
            _ => u16::from_le_bytes(bytes),
        };
        match number([kind_0, kind_1]) {
            // Those that stay where they are, and those that can be put anywhere.
            2 | 3 => Self::Elf(Machine {
                number: number([machine_0, machine_1]),
                wide: class == 2,
            }),
            1 => Self::Other("an object file"),
            _ => Self::Other("an ELF file of another kind"),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match MACHINES.iter().find(|(number, ..)| *number == self.number) {
            Some((_, wide, _)) if self.wide => f.write_str(wide),
            Some((.., narrow)) => f.write_str(narrow),
            None => write!(f, "machine {}", self.number),
        }
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
        let cases = [
            (elf(2, 1, 3, 62), None),
            (elf(2, 1, 2, 62), None),
            (
                elf(2, 1, 3, 183),
                Some("for aarch64-linux and is to run on x86_64-linux"),
            ),
            (elf(1, 1, 2, 3), Some("for x86-linux")),
            (elf(1, 1, 2, 243), Some("for riscv32-linux")),
            (elf(2, 2, 2, 22), Some("for s390x-linux")),
            (elf(2, 1, 2, 9999), Some("machine 9999")),
            (elf(2, 1, 1, 62), Some("an object file and no executable")),
            (elf(2, 1, 4, 62), Some("another kind")),
            (
                elf(2, 1, 3, 62)[..12].to_vec(),
                Some("the beginning of an executable"),
            ),
            (vec![], Some("it is empty")),
            (b"#!/bin/sh\n".to_vec(), Some("a script")),
            (b"MZ\x90\0".to_vec(), Some("for windows")),
            (vec![0xcf, 0xfa, 0xed, 0xfe], Some("for macos")),
            (b"hello".to_vec(), Some("data and no executable for x86_64-linux")),
        ];
        for (header, says) in cases {
            let checked = check_executable(&header, "x86_64-linux");
            match (says, checked) {
                (None, checked) => assert_eq!(checked, Ok(())),
                (Some(says), Ok(())) => panic!("{says} was taken"),
                (Some(says), Err(error)) => assert!(error.to_string().contains(says), "{error}"),
            }
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_very_executable_runs_here() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let target = crate::control::Registration::own_target();
        assert_eq!(check_executable(&own[..EXECUTABLE_HEADER_BYTES], &target), Ok(()));
    }

    proptest! {
        #[test]
        fn random_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = check_executable(&bytes, "x86_64-linux");
            let _ = check_executable(&[&[0x7f, b'E', b'L', b'F'], &bytes[..]].concat(), "x86_64-linux");
        }
    }
}
