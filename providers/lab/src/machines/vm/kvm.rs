//! Whether virtual machines run at the host's own speed: by KVM, where it is proven to be usable, and emulated otherwise.
//!
//! That there is a `/dev/kvm` proves nothing: in containers it may not be opened, under another hypervisor it may not work, and there
//! are hosts whose KVM runs kernels alone that were made for it. So the processor has to have the instructions for virtual machines,
//! and a machine has to have come into its 64 bits under KVM and said so.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::QEMU;

/// How virtual machines run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Accelerator {
    /// At the speed of the host's processors.
    Kvm,
    /// By QEMU's own emulation, for this reason.
    Emulated(String),
}

impl Accelerator {
    /// Returns why machines are emulated, if they are.
    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            Accelerator::Kvm => None,
            Accelerator::Emulated(reason) => Some(reason),
        }
    }
}

/// How long the proof may take; it takes a second where KVM is usable.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the proof says, and what QEMU ends with then.
const SAID: u8 = 0x2a;
const ENDED: i32 = ((SAID as i32) << 1) | 1;

/// Where the proof is in the lab's folder.
const PROOF: &str = "kvm-proof.img";

/// A sector that is booted from: it makes page tables, goes from 16 bits to 64, and writes to the port at which QEMU ends.
const SECTOR: [u8; 126] = [
    0xfa, // cli
    0x31, 0xc0, // xor ax, ax
    0x8e, 0xd8, // mov ds, ax
    0x8e, 0xc0, // mov es, ax
    0xbf, 0x00, 0x10, // mov di, 0x1000
    0xb9, 0x00, 0x0c, // mov cx, 0x0c00
    0x66, 0x31, 0xc0, // xor eax, eax
    0xfc, // cld
    0xf3, 0x66, 0xab, // rep stosd: three empty page tables
    0xc7, 0x06, 0x00, 0x10, 0x03, 0x20, // mov word [0x1000], 0x2003
    0xc7, 0x06, 0x00, 0x20, 0x03, 0x30, // mov word [0x2000], 0x3003
    0xc7, 0x06, 0x00, 0x30, 0x83, 0x00, // mov word [0x3000], 0x0083: two MiB where they are
    0x66, 0xbf, 0x00, 0x10, 0x00, 0x00, // mov edi, 0x1000
    0x0f, 0x22, 0xdf, // mov cr3, edi
    0x66, 0xb8, 0x20, 0x00, 0x00, 0x00, // mov eax, 0x20
    0x0f, 0x22, 0xe0, // mov cr4, eax: long addresses
    0x66, 0xb9, 0x80, 0x00, 0x00, 0xc0, // mov ecx, 0xc0000080
    0x0f, 0x32, // rdmsr
    0x66, 0x0d, 0x00, 0x01, 0x00, 0x00, // or eax, 0x100
    0x0f, 0x30, // wrmsr: long mode is allowed
    0x0f, 0x01, 0x16, 0x78, 0x7c, // lgdt [0x7c78]
    0x0f, 0x20, 0xc0, // mov eax, cr0
    0x66, 0x0d, 0x01, 0x00, 0x00, 0x80, // or eax, 0x80000001
    0x0f, 0x22, 0xc0, // mov cr0, eax: protection and paging
    0xea, 0x5e, 0x7c, 0x08, 0x00, // jmp 0x08:0x7c5e
    0xb8, SAID, 0x00, 0x00, 0x00, // mov eax, SAID
    0xe7, 0xf4, // out 0xf4, eax
    0xf4, // hlt
    0xeb, 0xfd, // jmp to the hlt
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // no segment
    0xff, 0xff, 0x00, 0x00, 0x00, 0x9a, 0xaf, 0x00, // 64-bit code
    0x0f, 0x00, 0x68, 0x7c, 0x00, 0x00, // their table: its limit, its place
];

/// Finds out how virtual machines run here.
pub(crate) async fn accelerator(lab: &Path) -> Accelerator {
    match usable(lab).await {
        Ok(()) => Accelerator::Kvm,
        Err(reason) => Accelerator::Emulated(reason),
    }
}

async fn usable(lab: &Path) -> Result<(), String> {
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    has_instructions(&processor)?;
    File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .map_err(|error| format!("/dev/kvm: {error}"))?;
    proven(lab, "kvm", "host").await
}

/// Refuses a processor without instructions for virtual machines: what calls itself KVM there is something else.
fn has_instructions(processor: &str) -> Result<(), String> {
    let mut flags = processor
        .lines()
        .filter(|line| line.starts_with("flags"))
        .flat_map(str::split_whitespace);
    if flags.any(|flag| matches!(flag, "vmx" | "svm")) {
        return Ok(());
    }
    Err("the host's processor has no instructions for virtual machines (vmx, svm)".into())
}

/// Has a machine say something from its 64 bits.
async fn proven(lab: &Path, accelerator: &str, processor: &str) -> Result<(), String> {
    let mut sector = SECTOR.to_vec();
    sector.resize(510, 0);
    sector.extend([0x55, 0xaa]);
    std::fs::write(lab.join(PROOF), sector).map_err(|error| format!("`{PROOF}`: {error}"))?;
    let ran = Command::new(QEMU)
        .current_dir(lab)
        .args(["-nodefaults", "-no-user-config", "-display", "none"])
        .args(["-machine", "pc", "-m", "32M", "-no-reboot"])
        .args(["-accel", accelerator, "-cpu", processor])
        .args(["-drive", &format!("file={PROOF},format=raw,if=ide")])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ran = tokio::time::timeout(PATIENCE, ran).await;
    // It is made anew each time.
    let _ = std::fs::remove_file(lab.join(PROOF));
    let output = match ran {
        Ok(output) => output.map_err(|error| format!("{QEMU}: {error}"))?,
        Err(_) => return Err("a machine under KVM says nothing".into()),
    };
    if output.status.code() == Some(ENDED) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().unwrap_or("it says nothing").trim();
    Err(format!(
        "a machine under KVM ends with {}: {last}",
        output.status
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_without_the_instructions_has_no_kvm() {
        let with = "processor : 0\nflags\t\t: fpu vme svm lm\n";
        assert_eq!(has_instructions(with), Ok(()));
        let without = "processor : 0\nmodel name : svm\nflags\t\t: fpu vme lm hypervisor\n";
        assert!(has_instructions(without).is_err());
    }

    /// The sector's own proof: emulation runs it, where QEMU is.
    #[tokio::test]
    #[expect(clippy::print_stderr, reason = "a test that was passed over says so")]
    async fn a_machine_comes_into_its_64_bits_and_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        if Command::new(QEMU).arg("--version").output().await.is_err() {
            eprintln!("SKIPPED: there is no {QEMU}");
            return;
        }
        assert_eq!(proven(folder.path(), "tcg", "max").await, Ok(()));
    }
}
