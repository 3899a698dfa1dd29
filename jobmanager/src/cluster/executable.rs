//! What a file is, by its first bytes: whether it is an executable, and for which kind of machine.

/// How many bytes it takes to tell.
pub(crate) const HEADER_BYTES: usize = 20;

/// Machines by their number in an ELF header, as `std::env::consts::ARCH` calls them.
const MACHINES: [(u16, &str); 8] = [
    (3, "x86"),
    (21, "powerpc64"),
    (22, "s390x"),
    (40, "arm"),
    (62, "x86_64"),
    (183, "aarch64"),
    (243, "riscv64"),
    (258, "loongarch64"),
];

/// What an executable that begins with these bytes was compiled for, as architecture-system.
///
/// # Errors
/// What the file is instead, and what to do.
pub(crate) fn target(header: &[u8]) -> Result<String, String> {
    let advice = "upload the executable that `cargo build --release` makes of a job on Linux";
    if header.starts_with(b"#!") {
        return Err(format!("the file is a script and no executable; {advice}"));
    }
    if header.starts_with(b"MZ") {
        return Err(format!("the file is an executable for Windows; {advice}"));
    }
    if let Some([0xfe, 0xed, 0xfa, 0xce | 0xcf] | [0xce | 0xcf, 0xfa, 0xed, 0xfe]) = header.first_chunk::<4>()
    {
        return Err(format!("the file is an executable for macOS; {advice}"));
    }
    let Some(header) = header.first_chunk::<HEADER_BYTES>() else {
        return Err(format!(
            "the file has {} bytes and is no executable; {advice}",
            header.len()
        ));
    };
    if !header.starts_with(b"\x7fELF") {
        return Err(format!("the file is no executable; {advice}"));
    }
    let little_endian = header[5] != 2;
    let half = |at: usize| {
        let bytes = [header[at], header[at + 1]];
        if little_endian {
            u16::from_le_bytes(bytes)
        } else {
            u16::from_be_bytes(bytes)
        }
    };
    let (kind, machine) = (half(16), half(18));
    // Executables, and those that can be loaded anywhere.
    if !matches!(kind, 2 | 3) {
        return Err(format!("the file is an object file or a core dump; {advice}"));
    }
    match MACHINES.iter().find(|(number, _)| *number == machine) {
        Some((_, name)) => Ok(format!("{name}-linux")),
        None => Err(format!(
            "the file is an executable for machine {machine}, which is not known here; {advice}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: u16, machine: u16) -> Vec<u8> {
        let mut header = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        header.extend(kind.to_le_bytes());
        header.extend(machine.to_le_bytes());
        header
    }

    #[test]
    fn executables_say_what_they_were_compiled_for() {
        assert_eq!(target(&header(3, 62)).unwrap(), "x86_64-linux");
        assert_eq!(target(&header(2, 183)).unwrap(), "aarch64-linux");
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let expected = tidegate_proto::control::Registration::own_target();
        assert_eq!(target(&own).unwrap(), expected);
    }

    #[test]
    fn anything_else_is_named() {
        for (bytes, says) in [
            (b"".to_vec(), "has 0 bytes"),
            (b"#!/bin/sh\nexit 0\n0000000000".to_vec(), "a script"),
            (b"MZ00000000000000000000000".to_vec(), "Windows"),
            ([0xcf, 0xfa, 0xed, 0xfe].repeat(8), "macOS"),
            (b"{\"job\": \"this is no job\"}".to_vec(), "no executable"),
            (header(1, 62), "object file"),
            (header(2, 9999), "machine 9999"),
        ] {
            let refused = target(&bytes).unwrap_err();
            assert!(refused.contains(says), "{refused}");
        }
    }
}
