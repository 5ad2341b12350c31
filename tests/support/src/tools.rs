//! Other programs of tests: whether they are here, what they say, and an emulator that waits for a debugger.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long an emulator may take to open its socket.
const START: Duration = Duration::from_secs(20);

/// Whether a tool is here and tells its version.
pub fn present(tool: &str) -> bool {
    Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Whether all tools are here; prints those that are not.
pub fn have(tools: &[&str]) -> bool {
    let missing: Vec<&str> = tools.iter().copied().filter(|tool| !present(tool)).collect();
    if !missing.is_empty() {
        println!("skipped: {} not found", missing.join(", "));
    }
    missing.is_empty()
}

/// What a command that must succeed prints on both outputs.
pub fn run(command: &mut Command) -> String {
    let output = command.output().expect("the tool was found before");
    assert!(output.status.success(), "{command:?} failed:\n{}", said(&output));
    said(&output)
}

/// What a command printed on both outputs.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// An emulator that waits for a debugger at `gdb.sock` in its folder, and ends when it is dropped.
pub struct Stopped(Child);

impl Stopped {
    /// Starts `qemu`, a command that names the machine and the program.
    pub fn start(qemu: &mut Command, folder: &Path) -> Stopped {
        let child = qemu
            .args(["-S", "-gdb", "unix:gdb.sock,server=on,wait=off"])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let emulator = Stopped(child.expect("the emulator was found before"));
        let begin = Instant::now();
        while !folder.join("gdb.sock").exists() {
            assert!(begin.elapsed() < START, "the emulator opens no socket");
            std::thread::sleep(Duration::from_millis(5));
        }
        emulator
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
