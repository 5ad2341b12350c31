//! The checked-in objects are what `make.sh` makes today.

use std::path::Path;
use std::process::Command;

#[test]
fn prebuilt_objects_come_from_the_c_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("prebuilt");
    let script = std::fs::read_to_string(folder.join("make.sh")).unwrap();
    let version = Command::new("arm-none-eabi-gcc").arg("-dumpfullversion").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    // Another release of the compiler may well choose other instructions.
    let Some(version) = version.ok().filter(|v| script.contains(&format!("arm-none-eabi-gcc {v}."))) else {
        println!("skipped: the arm-none-eabi-gcc that prebuilt/make.sh names was not found");
        return;
    };
    let fresh = tempfile::tempdir().unwrap();
    let status = Command::new("sh").arg(folder.join("make.sh")).arg(fresh.path()).status().unwrap();
    assert!(status.success(), "make.sh failed with arm-none-eabi-gcc {version}");
    for name in ["startup.o", "driver.o"] {
        let made = std::fs::read(fresh.path().join(name)).unwrap();
        let kept = std::fs::read(folder.join(name)).unwrap();
        assert!(made == kept, "{name} is stale: run runtime/prebuilt/make.sh");
    }
}
